"""Find the provider of a protected resource by its address (RFC 9728)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from grantway._requests.provider import Provider
from grantway._requests.resource_provider import discover_for
from grantway._transport.deadline import Deadline
from grantway._wire.protected_resource import (
    MAX_DOCUMENT,
    FoundResource,
    find_resource,
    is_listed,
    issuers_of,
)
from grantway_plugins._config.components import Components
from grantway_plugins._config.network import NetworkSettings
from grantway_plugins._provider_features import with_offline_access
from grantway_plugins.profiles import ProfileFile

if TYPE_CHECKING:
    from grantway._transport.transport import HttpTransport
    from grantway_plugins.profiles._profile import Profile

#: Seconds for all requests.
_TIMEOUT = 30.0


def provider_of(
    address: str, file: ProfileFile, *, issuer: str | None, known: Sequence[tuple[str, str]]
) -> Provider:
    """Return the provider of the protected resource at an address.

    Args:
        address: Address of the resource.
        file: The profile file, which has the network settings.
        issuer: The authorization server that the user chose. It is also used if the resource
            publishes no metadata.
        known: Resource and issuer of each profile. If the resource still lists one of these
            issuers, it is chosen.

    Raises:
        ResourceMetadataError: A document is missing, or breaks a rule; names both.
        GrantwayError: The resource or its provider could not be reached, or is invalid.
    """
    settings = NetworkSettings(Components(file.toml), {}, (), file.network)
    transport = _transport(settings, address)
    deadline = Deadline(_TIMEOUT)
    try:
        found = find_resource(address, issuer, transport, deadline)
        if not issuer:
            found = replace(found, issuer=_known_issuer(found, known))
        provider = discover_for(found, Provider, transport, deadline)
    finally:
        transport.close()
    return replace(provider, scope=with_offline_access(provider.scope, provider))


def listed_issuers(url: str, profile: Profile) -> list[str]:
    """Return the authorization servers that a protected resource of a profile lists now.

    Raises:
        ResourceMetadataError: The metadata is missing or invalid.
        GrantwayError: The resource could not be reached.
    """
    transport = _transport(profile.network, url)
    try:
        found = find_resource(url, None, transport, Deadline(_TIMEOUT))
    finally:
        transport.close()
    return issuers_of(found.metadata, found.url)


def _transport(settings: NetworkSettings, url: str) -> HttpTransport:
    """Return a transport for the documents that lead from a resource to its provider."""
    return settings.transport(
        _TIMEOUT, max_response=MAX_DOCUMENT, public_only=True, unless_private=url
    )


def _known_issuer(found: FoundResource, known: Sequence[tuple[str, str]]) -> str:
    """Return the issuer of a profile if the resource lists it, otherwise the first listed one."""
    listed = issuers_of(found.metadata, found.url)
    mine = (each for url, each in known if url == found.url and is_listed(each, listed))
    return next(mine, found.issuer)
