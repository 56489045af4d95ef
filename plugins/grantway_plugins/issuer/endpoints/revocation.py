"""Ending a token before its time (RFC 7009)."""

from __future__ import annotations

from collections.abc import Callable

from grantway_plugins.issuer.authentication import authenticate, credentials_of
from grantway_plugins.issuer.decision import Denial, Refusal
from grantway_plugins.issuer.issuer import Issuer
from grantway_plugins.issuer.randomness import family_digest
from grantway_plugins.issuer.transaction import Transaction
from grantway_plugins.issuer.wire import Answer, WireRequest, answer_json


def revoke(issuer: Issuer, request: WireRequest) -> Callable[[Transaction], Answer | Denial]:
    """Return the work: an access token ends alone, a refresh token with its whole family.

    Raises:
        Refusal: the request is refused without asking the database.
    """
    token = request.text("token")
    credentials = credentials_of(request)
    if token is None:
        raise Refusal("invalid_request", "token is required")
    key = family_digest(token)

    def work(transaction: Transaction) -> Answer | Denial:
        now = issuer.clock()
        client = authenticate(credentials, transaction, now)
        found = transaction.refresh_token(key) or transaction.access_token(key)
        if found is None:
            return answer_json(200, {})  # RFC 7009 section 2.2: an unknown token is no error
        if found.family.client_id != client.client_id:
            return Denial("invalid_grant", "The token belongs to another client")
        if transaction.refresh_token(key) is not None:
            transaction.revoke_family(found.family.family_id, now)
        else:
            transaction.forget_access_token(key)
        return answer_json(200, {})

    return work
