"""The JWT bearer grant (RFC 7523 section 2.1): a signed statement about somebody, for a token."""

from __future__ import annotations

from grantway._types.grant import Grant, GrantSchema, Replay, Scope
from grantway.hookspecs import hookimpl
from grantway_grants._resource import Resource

from ._fields import Jwt

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class JwtBearerSchema(GrantSchema):
    """The ``assertion``, and the ``scope`` and ``resource`` of the token."""

    assertion = Jwt(required=True)
    scope = Scope()
    resource = Resource()


#: A provider may take each ``jti`` once (RFC 7523 section 3), and may remember assertions without
#: one by their digest. A fresh assertion costs its maker a signature; a second send of the same one
#: could turn an unknown outcome into a false "no".
JWT_BEARER = Grant(
    grant_type=GRANT_TYPE,
    schema=JwtBearerSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"assertion"}),
    single_use=frozenset({"assertion"}),
    repeatable=frozenset({"resource"}),
    summary="A token for a signed JWT about somebody (RFC 7523)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Bring the JWT bearer grant."""
    return [JWT_BEARER]
