"""Parameters of a login that are sent with its first request and with the token request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import ValidationError

from grantway._exceptions import ConfigurationError, RequestInvalidError
from grantway._plugins.grant_rules import RESERVED
from grantway._secrets.params import Params

from ._resource import Resource

if TYPE_CHECKING:
    from grantway._requests.client import Client

#: Parameters of the first request alone, because some token endpoints reject them. The IANA
#: registry of OAuth parameters lists the first group for authorization requests only; the others
#: are specific to Google and AWS.
FIRST_REQUEST_ONLY = frozenset(
    {
        "acr_values",
        "claims",
        "claims_locales",
        "display",
        "dpop_jkt",
        "id_token_hint",
        "login_hint",
        "max_age",
        "nonce",
        "prompt",
        "registration",
        "request",
        "request_uri",
        "response_mode",
        "ui_locales",
        # Google
        "access_type",
        "enable_granular_consent",
        "hd",
        "include_granted_scopes",
        # AWS
        "start_url",
    }
)


@dataclass(frozen=True, slots=True)
class LoginParameters:
    """The additional parameters of a login.

    Attributes:
        first: The parameters of the first request, at the authorization, pushed authorization,
            device authorization or backchannel authentication endpoint.
        token: The parameters of the token request.
    """

    first: Params = field(repr=False)
    token: Params = field(repr=False)


def login_parameters(
    client: Client,
    grant_type: str,
    *,
    extra: Mapping[str, Any] | None,
    resource: str | Sequence[str] | None,
) -> LoginParameters:
    """Check the additional parameters of a login before it starts.

    Args:
        client: The client.
        grant_type: The grant of the token request.
        extra: Provider-specific parameters. Those in ``FIRST_REQUEST_ONLY`` are not sent to the
            token endpoint.
        resource: The APIs that the token is for (RFC 8707); by default that of the provider.

    Raises:
        RequestInvalidError: ``resource`` is not an absolute URI, or a value is neither a string
            nor a list of strings.
        ConfigurationError: ``extra`` contains a parameter that the login sets.
    """
    first = Params({name: value for name, value in (extra or {}).items() if value is not None})
    grant = client.registry.grant(grant_type)
    own = {*grant.names.wire.values()} | RESERVED
    if resource is None and "resource" not in first:
        resource = client.provider.resource
    if resource is not None:
        own = own | {"resource"}
    if taken := sorted(own & first.keys()):
        raise ConfigurationError(f"extra: must not contain {', '.join(taken)}; the login sets it.")
    if resource is not None:
        first["resource"] = _checked(resource)
    token = Params(
        {
            name: _as_text(name, each)
            for name, each in first.items()
            if name not in FIRST_REQUEST_ONLY
        }
    )
    return LoginParameters(first, token)


def _checked(resource: str | Sequence[str]) -> tuple[str, ...]:
    try:
        found: tuple[str, ...] = Resource().deserialize(resource)
    except ValidationError as invalid:
        rules = [str(rule) for rule in invalid.messages]
    else:
        return found
    raise RequestInvalidError(
        f"Nothing was sent: resource {'; '.join(rules)}", errors={"resource": rules}
    )


def _as_text(name: str, value: Any) -> Any:
    """Return a value as it would be written in a query; leave a function unchanged."""
    if callable(value):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, (list, tuple)) and all(
        isinstance(one, (str, int, float)) for one in value
    ):
        return [str(one) for one in value]
    rule = "must be a string or a list of strings"
    raise RequestInvalidError(
        f"Nothing was sent: extra.{name} {rule}", errors={f"extra.{name}": [rule]}
    )
