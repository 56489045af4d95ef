"""The JWT bearer grant (RFC 7523 section 2.1), which exchanges a signed assertion for a token."""

from __future__ import annotations

from collections.abc import Mapping

from grantway._types.fields import GrantSchema, Scope
from grantway._types.grant import Grant, Replay
from grantway.hookspecs import hookimpl
from grantway_grants._resource import Resource

from ._fields import Jwt

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class JwtBearerSchema(GrantSchema):
    """The parameters ``assertion``, ``scope`` and ``resource``."""

    assertion = Jwt(required=True)
    scope = Scope()
    resource = Resource()


#: A provider may accept each ``jti`` only once (RFC 7523 section 3), and may recognise an assertion
#: without ``jti`` by its digest. Sending the same assertion again after an unknown outcome could
#: therefore fail although the first request succeeded. Signing a new assertion is cheap.
JWT_BEARER = Grant(
    grant_type=GRANT_TYPE,
    schema=JwtBearerSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"assertion"}),
    single_use=frozenset({"assertion"}),
    repeatable=frozenset({"resource"}),
    summary="A token in exchange for a signed JWT (RFC 7523)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Register the JWT bearer grant."""
    return [JWT_BEARER]


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, str]:
    """Register the issuer's decision, which only an issuer imports."""
    module = "grantway_plugins.issuer._decisions.grants.jwt_bearer"
    return {GRANT_TYPE: f"{module}:JWT_BEARER"}
