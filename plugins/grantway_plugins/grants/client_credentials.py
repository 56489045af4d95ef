"""The client credentials grant (RFC 6749 section 4.4), for programs that act for themselves."""

from __future__ import annotations

from collections.abc import Mapping

from grantway._types.fields import GrantSchema, Scope
from grantway._types.grant import Grant, Replay
from grantway.hookspecs import hookimpl
from grantway_grants._resource import Resource

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


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Register the client credentials grant."""
    return [CLIENT_CREDENTIALS]


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, str]:
    """Register the issuer's decision, which only an issuer imports."""
    module = "grantway_plugins.issuer._decisions.grants.client_credentials"
    return {GRANT_TYPE: f"{module}:CLIENT_CREDENTIALS"}
