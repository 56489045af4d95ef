"""The token exchange grant (RFC 8693)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, validates_schema

from grantway._types.fields import GrantSchema, Scope, Text
from grantway._types.grant import Grant, Replay
from grantway.hookspecs import hookimpl
from grantway_grants._resource import Resource, Several, Uri

from ._fields import TOKEN_TYPE

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
#: The token types of RFC 8693 section 3.
ACCESS_TOKEN = f"{TOKEN_TYPE}access_token"
REFRESH_TOKEN = f"{TOKEN_TYPE}refresh_token"
ID_TOKEN = f"{TOKEN_TYPE}id_token"
SAML1 = f"{TOKEN_TYPE}saml1"
SAML2 = f"{TOKEN_TYPE}saml2"
JWT = f"{TOKEN_TYPE}jwt"
#: An identity assertion (draft-ietf-oauth-identity-assertion-authz-grant).
ID_JAG = f"{TOKEN_TYPE}id-jag"


def _token_type(*, required: bool = False) -> Uri:
    return Uri(required=required, example=f'"{ACCESS_TOKEN}"')


class TokenExchangeSchema(GrantSchema):
    """The parameters of RFC 8693 section 2.1."""

    subject_token = Text(required=True, example='"accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC"')
    subject_token_type = _token_type(required=True)
    actor_token = Text(example='"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln"')
    actor_token_type = _token_type()
    requested_token_type = _token_type()
    resource = Resource()
    audience = Several(Text(example='"orders"'))
    scope = Scope()

    @validates_schema
    def _check_actor(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Require an actor's token and its type to be given together (RFC 8693 section 2.1)."""
        for name, other in (
            ("actor_token_type", "actor_token"),
            ("actor_token", "actor_token_type"),
        ):
            if other in data and name not in data:
                raise ValidationError(f"is required with {other}", name)


#: An access token is still valid after an exchange, but other subject tokens may not be: a refresh
#: token may rotate, and an assertion may be valid only once (RFC 8693 section 2.1). The replay
#: class must be correct for all of them.
TOKEN_EXCHANGE = Grant(
    grant_type=GRANT_TYPE,
    schema=TokenExchangeSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"subject_token", "actor_token"}),
    repeatable=frozenset({"resource", "audience"}),
    summary="A token in exchange for another token (RFC 8693)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Register the token exchange grant."""
    return [TOKEN_EXCHANGE]


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, str]:
    """Register the issuer's decision, which only an issuer imports."""
    module = "grantway_plugins.issuer._decisions.grants.token_exchange"
    return {GRANT_TYPE: f"{module}:TOKEN_EXCHANGE"}
