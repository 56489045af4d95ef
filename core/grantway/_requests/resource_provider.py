"""The provider of a protected resource whose metadata was read (RFC 9728)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from grantway._wire.dialect import RFC6749, Dialect
from grantway._wire.protected_resource import FoundResource, check_pkce

if TYPE_CHECKING:
    from grantway._transport.deadline import Deadline
    from grantway._transport.http import Transport

    from .provider import Provider

_ProviderT = TypeVar("_ProviderT", bound="Provider")


def discover_for(
    resource: FoundResource,
    kind: type[_ProviderT],
    transport: Transport,
    deadline: Deadline,
    dialect: str | Dialect = RFC6749,
) -> _ProviderT:
    """Return the provider of a resource, with its resource identifier and scope.

    Args:
        resource: The resource, with the authorization server to use.
        kind: Class of the provider.
        transport: Sends the requests.
        deadline: The deadline for all requests.
        dialect: The provider's dialect.

    Raises:
        ResourceMetadataError: The authorization server has an authorization endpoint, but does not
            support PKCE with ``S256``.
        GrantwayError: As for ``Provider.discover``.
    """
    found = kind.discover(
        resource.issuer,
        dialect=dialect,
        timeout=max(0.01, deadline.remaining()),
        transport=transport,
    )
    if found.authorization_endpoint is not None:
        check_pkce(found.metadata, resource.issuer)
    return replace(found, resource=resource.url, scope=resource.scope)
