"""Metadata of a protected resource (RFC 9728)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from grantway._exceptions import ConfigurationError
from grantway._transport.http import require_secure
from grantway_plugins.server._proofs.algorithms import ALGORITHMS

WELL_KNOWN = "/.well-known/oauth-protected-resource"


def checked_resource(resource: object) -> str:
    """Return a resource identifier (RFC 9728 section 1.2).

    Raises:
        ConfigurationError: It is not an https URL (http on this machine), or has a query.
    """
    problem = "must be the URL of this resource, like https://api.example.com"
    if isinstance(resource, str):
        try:
            require_secure(resource, "resource")
        except ConfigurationError as error:
            problem = error.message.removeprefix("resource: ").rstrip(".")
        else:
            if "?" not in resource:
                return resource
            problem = "must have no query"
    raise ConfigurationError(f"resource: {problem}.", errors={"resource": [problem]})


def origin_of(resource: str) -> str:
    """Return scheme, host and port of a resource."""
    parts = urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}"


def metadata_url(resource: str) -> str:
    """Return the URL of the metadata (RFC 9728 section 3.1): the path follows the well-known one.

    Only the slash of a resource without a path is removed.
    """
    parts = urlsplit(resource)
    path = "" if parts.path == "/" else parts.path
    return urlunsplit(parts._replace(path=f"{WELL_KNOWN}{path}"))


def metadata_of(
    resource: str,
    issuers: Sequence[str],
    scopes: Sequence[str],
    *,
    proofs: bool,
    certificates: bool,
) -> dict[str, Any]:
    """Return the metadata.

    Args:
        resource: The resource identifier.
        issuers: The accepted issuers.
        scopes: Scopes that requests may need.
        proofs: Whether DPoP proofs can be verified.
        certificates: Whether client certificates can be verified.
    """
    members: dict[str, Any] = {
        "resource": resource,
        "authorization_servers": list(issuers),
        "bearer_methods_supported": ["header"],
    }
    if scopes:
        members["scopes_supported"] = list(scopes)
    if proofs:
        members["dpop_signing_alg_values_supported"] = list(ALGORITHMS)
    if certificates:
        members["tls_client_certificate_bound_access_tokens"] = True
    return members
