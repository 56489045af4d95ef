"""The client credentials grant (RFC 6749 section 4.4): a program acts for itself."""

from __future__ import annotations

from collections.abc import Mapping

from grantway._types.grant import Grant, GrantSchema, IssuerGrant, Replay, Scope
from grantway.hookspecs import hookimpl
from grantway_grants._resource import Resource

GRANT_TYPE = "client_credentials"


class ClientCredentialsSchema(GrantSchema):
    """``scope``, and the ``resource`` that the token is for (RFC 8707)."""

    scope = Scope()
    resource = Resource()


#: Nothing is spent: a second send gets another token, and the first one harms nobody.
CLIENT_CREDENTIALS = Grant(
    grant_type=GRANT_TYPE,
    schema=ClientCredentialsSchema(),
    replay=Replay.SAFE,
    repeatable=frozenset({"resource"}),
    summary="A token for the client itself (RFC 6749 section 4.4)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Bring the client credentials grant."""
    return [CLIENT_CREDENTIALS]


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, IssuerGrant]:
    """Return how the issuer decides the client credentials grant."""
    from grantway_plugins.issuer._decisions.grants.client_credentials import (  # noqa: PLC0415
        ClientCredentialsIssuer,
    )

    return {GRANT_TYPE: ClientCredentialsIssuer()}
