"""The UserInfo endpoint (OpenID Connect Core section 5.3)."""

from __future__ import annotations

from grantway_plugins.issuer._decisions.openid import OPENID, user_claims
from grantway_plugins.issuer._extensions.additions import Endpoint
from grantway_plugins.issuer._extensions.reply import Reply
from grantway_plugins.issuer._extensions.request import IssuerRequest
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.denial import Denial


def userinfo(request: IssuerRequest, transaction: Transaction) -> Reply | Denial:
    """Return the claims about the user that the access token permits; always ``sub``."""
    token = request.token
    assert token is not None  # the endpoint requires one
    if OPENID not in token.scope:
        return Denial("insufficient_scope", f"The access token needs the scope {OPENID}")
    user = transaction.users.find(token.family.subject)
    claims = {} if user is None else user_claims(user.claims, token.scope)
    return Reply({**claims, "sub": token.family.subject})


USERINFO = Endpoint(
    "/userinfo",
    userinfo,
    methods=("GET", "POST"),
    authenticate="token",
    per_minute=None,
    cors=True,
)
