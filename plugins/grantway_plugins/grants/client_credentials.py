"""The client credentials grant (RFC 6749 section 4.4), for programs that act for themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grantway._types.fields import GrantSchema, Scope
from grantway._types.grant import Grant, Replay
from grantway.hookspecs import hookimpl
from grantway_grants._resource import Resource

if TYPE_CHECKING:
    from grantway._requests.client import Client
    from grantway._types.token import Token

GRANT_TYPE = "client_credentials"


class ClientCredentialsSchema(GrantSchema):
    """The parameters ``scope`` and ``resource`` (RFC 8707)."""

    scope = Scope()
    resource = Resource()


#: The request consumes nothing, so a retry only issues another token.
CLIENT_CREDENTIALS = Grant(
    grant_type=GRANT_TYPE,
    schema=ClientCredentialsSchema(),
    replay=Replay.SAFE,
    repeatable=frozenset({"resource"}),
    summary="A token for the client itself (RFC 6749 section 4.4)",
)


def login(
    client: Client,
    *,
    scope: str | Sequence[str] | None = None,
    resource: str | Sequence[str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Token:
    """Request a token for the client itself, as the ``login`` of a ``ResourceAuth``.

    Args:
        client: The client, which must have a secret or a key.
        scope: Scope names to request. ``offline_access`` is left out, because this grant has no
            refresh token.
        resource: The APIs that the token is for (RFC 8707).
        extra: Provider-specific parameters.

    Raises:
        GrantwayError: As for ``Client.create_token``.
    """
    return client.create_token(grant_type=GRANT_TYPE, **_parameters(scope, resource, extra))


async def login_async(
    client: Client,
    *,
    scope: str | Sequence[str] | None = None,
    resource: str | Sequence[str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Token:
    """Request a token without blocking the event loop; see ``login``.

    Args:
        client: As for ``login``.
        scope: As for ``login``.
        resource: As for ``login``.
        extra: As for ``login``.
    """
    given = _parameters(scope, resource, extra)
    return await client.create_token_async(grant_type=GRANT_TYPE, **given)


def _parameters(
    scope: str | Sequence[str] | None,
    resource: str | Sequence[str] | None,
    extra: Mapping[str, Any] | None,
) -> dict[str, Any]:
    names = [each for each in Scope().names(scope) or () if each != "offline_access"]
    given = {"scope": names, "resource": resource, "extra": extra}
    return {name: value for name, value in given.items() if value}


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Register the client credentials grant."""
    return [CLIENT_CREDENTIALS]


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, str]:
    """Register the issuer's decision, which only an issuer imports."""
    module = "grantway_plugins.issuer._decisions.grants.client_credentials"
    return {GRANT_TYPE: f"{module}:CLIENT_CREDENTIALS"}
