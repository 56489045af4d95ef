"""Settings of a protected resource, the audience of access tokens (RFC 8707)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from marshmallow import ValidationError

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value
from grantway._types.fields import Scope
from grantway._types.quantity import check_seconds
from grantway_grants._resource import Uri

AccessTokenFormat = Literal["opaque", "jwt"]

_MAX_LIFETIME = 3650 * 86_400.0


@dataclass(frozen=True)
class Resource(Value):
    """A protected resource for which clients may request access tokens.

    Attributes:
        url: Identifier of the resource (RFC 8707 section 2): an absolute URI without fragment.
            Clients must send exactly this value.
        scopes: Scopes of the resource. A token for it has only these. None means all scopes.
        access_token_format: ``opaque`` or ``jwt`` (RFC 9068). None means the issuer's setting.
        access_token_lifetime: Lifetime of its access tokens, in seconds. None means the issuer's
            setting; a longer one has no effect.
        introspection_clients: Client ids that may introspect tokens for the resource.

    Raises:
        ConfigurationError: a field is invalid; the error names it.
    """

    url: str
    scopes: tuple[str, ...] | None = None
    access_token_format: AccessTokenFormat | None = None
    access_token_lifetime: float | None = None
    introspection_clients: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Validate the fields."""
        if not is_resource(self.url):
            raise _invalid(
                "url", "must be an absolute URI without fragment, like https://api.example.com/"
            )
        if self.scopes is not None:
            try:
                Scope().deserialize(self.scopes)
            except ValidationError as invalid:
                raise _invalid("scopes", str(invalid.messages[0])) from None
        if self.access_token_format not in {None, *get_args(AccessTokenFormat)}:
            raise _invalid("access_token_format", 'must be "opaque" or "jwt"')
        if self.access_token_lifetime is not None:
            check_seconds(
                "access_token_lifetime", self.access_token_lifetime, least=1.0, most=_MAX_LIFETIME
            )
        clients: object = self.introspection_clients
        if not isinstance(clients, tuple) or not all(isinstance(c, str) and c for c in clients):
            raise _invalid("introspection_clients", "must be a tuple of client ids")


def is_resource(value: object) -> bool:
    """Return whether a value is an absolute URI without fragment, in printable ASCII."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        return False
    try:
        _URI.deserialize(value)
    except ValidationError:
        return False
    return True


def check_resources(resources: object) -> None:
    """Check a tuple of resources.

    Raises:
        ConfigurationError: an element is not a ``Resource``, or two have the same URL.
    """
    if not isinstance(resources, tuple) or not all(isinstance(r, Resource) for r in resources):
        raise _invalid("resources", "must be a tuple of Resource")
    urls = [each.url for each in resources]
    twice = next((url for url in urls if urls.count(url) > 1), None)
    if twice is not None:
        raise _invalid("resources", f"has {twice} twice; combine the entries")


_URI = Uri(example="https://api.example.com/")


def _invalid(name: str, rule: str) -> ConfigurationError:
    errors: Mapping[str, list[str]] = {name: [rule]}
    return ConfigurationError(f"{name} {rule}", errors=errors)
