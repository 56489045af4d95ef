"""Parameters that a login sends twice: when it begins, and when it asks for the token."""

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

#: Parameters that only the beginning of a login knows. The IANA registry of OAuth parameters lists
#: the first group for the authorization request alone; the others are Google's and AWS's own. Some
#: token endpoints refuse parameters of another request.
BEGINNING_ONLY = frozenset(
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
    """What a caller gave to a login besides its scope.

    Attributes:
        beginning: For the request that begins the login, at the authorization, pushed
            authorization, device authorization or backchannel authentication endpoint.
        token: For the token request.
    """

    beginning: Params = field(repr=False)
    token: Params = field(repr=False)


def login_parameters(
    client: Client,
    grant_type: str,
    *,
    extra: Mapping[str, Any] | None,
    resource: str | Sequence[str] | None,
) -> LoginParameters:
    """Check a login's ``extra`` and ``resource``, before a person is asked for anything.

    Args:
        client: The client that logs in.
        grant_type: The grant of the token request.
        extra: Provider-specific parameters. Those of ``BEGINNING_ONLY`` are not sent to the token
            endpoint.
        resource: The APIs that the token is for (RFC 8707).

    Raises:
        RequestInvalidError: ``resource`` is not an absolute URI, or a value is neither text nor a
            list of texts.
        ConfigurationError: ``extra`` has a parameter that the login writes itself.
    """
    beginning = Params({name: value for name, value in (extra or {}).items() if value is not None})
    grant = client.registry.grant(grant_type)
    own = {*grant.names.wire.values()} | RESERVED
    if resource is not None:
        own = own | {"resource"}
    if taken := sorted(own & beginning.keys()):
        raise ConfigurationError(f"extra: {', '.join(taken)} cannot be given here.")
    if resource is not None:
        beginning["resource"] = _checked(resource)
    token = Params(
        {
            name: _as_text(name, each)
            for name, each in beginning.items()
            if name not in BEGINNING_ONLY
        }
    )
    return LoginParameters(beginning, token)


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
    """Write a value as the query of an authorization request would; leave a function unchanged."""
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
    rule = "must be text or a list of texts"
    raise RequestInvalidError(
        f"Nothing was sent: extra.{name} {rule}", errors={f"extra.{name}": [rule]}
    )
