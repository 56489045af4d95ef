"""Check that a profile works, and that its resource still names its provider."""

from __future__ import annotations

from collections.abc import Iterator

from grantway._exceptions import GrantwayError, ResourceMetadataError
from grantway._wire.protected_resource import is_listed
from grantway_plugins.profiles import load
from grantway_plugins.profiles._profile import Profile

from .finding import Finding
from .resource_address import listed_issuers


def profile_findings(name: str, config: str | None) -> Iterator[Finding]:
    """Check a profile, its provider and its resources.

    Args:
        name: Name of the profile.
        config: Path given with ``--config``, or None.
    """
    about = f"profile {name}"
    try:
        with load(name, config) as profile:
            endpoint = profile.provider.token_endpoint
            yield Finding("ok", about, f"its provider is reachable at {endpoint}")
            for url in profile.resource or ():
                yield _resource(url, profile)
    except GrantwayError as error:
        yield Finding("problem", about, f"{type(error).__name__}: {error}")


def _resource(url: str, profile: Profile) -> Finding:
    """Check whether a resource still names the provider of the profile."""
    about, issuer = f"resource {url}", profile.table["provider"].get("issuer")
    try:
        listed = listed_issuers(url, profile)
    except ResourceMetadataError as error:
        if error.missing:
            return Finding("note", about, f"not checked: it {error.rule}")
        return Finding("problem", about, f"{error.document} {error.rule}")
    except GrantwayError as error:
        return Finding("problem", about, f"{type(error).__name__}: {error}")
    if issuer is not None and is_listed(issuer, listed):
        return Finding("ok", about, f"gets its tokens from {issuer}")
    return Finding(
        "problem",
        about,
        f"gets its tokens from {', '.join(listed)}, and not from {issuer}, the provider of the "
        f"profile {profile.name}",
        f"If this is intended, run: {profile.command('login', url)}",
    )
