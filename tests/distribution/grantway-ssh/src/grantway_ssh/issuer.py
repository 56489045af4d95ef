"""The issuer side: nonces, and the decision about a signature."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING

from grantway_plugins.issuer import Additions, Denial, Endpoint, Reply

from .grant import signed_text

if TYPE_CHECKING:
    from grantway_plugins.issuer import (
        GrantRequest,
        Issue,
        IssuerRequest,
        IssuerSettings,
        Transaction,
    )

    from .allowed_signers import AllowedSigners

#: Namespace of the records.
RECORDS = "grantway-ssh"
#: Lifetime of a nonce in seconds.
LIFETIME = 120.0


def new_nonce(request: IssuerRequest, transaction: Transaction) -> Reply:
    """Return a nonce for the client of the request."""
    assert request.client is not None  # the endpoint authenticates clients
    nonce = secrets.token_urlsafe(24)
    record = {"client_id": request.client.client_id}
    transaction.records(RECORDS).put(nonce, record, until=request.now + LIFETIME)
    return Reply({"nonce": nonce, "expires_in": int(LIFETIME)})


class SshSignatures:
    """Issues tokens for signatures of allowed keys.

    Args:
        allowed: The keys.
    """

    def __init__(self, allowed: AllowedSigners) -> None:
        self._allowed = allowed

    def extend(self, settings: IssuerSettings) -> Additions:
        """Add the endpoint for nonces."""
        return Additions(
            endpoints=[Endpoint("/ssh-nonce", new_nonce, authenticate="client")],
            metadata={"ssh_nonce_endpoint": f"{settings.url}/ssh-nonce"},
        )

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """Issue a token for the signature of a nonce, which can be used once."""
        nonce, _, encoded = request.params["assertion"].partition(".")
        found = transaction.records(RECORDS).take(nonce)
        if found is None or found["client_id"] != request.client.client_id:
            return Denial("invalid_grant", "The nonce is unknown, has expired or was used")
        principal = request.params["principal"]
        text = signed_text(request.settings.url, request.client.client_id, principal, nonce)
        if not self._allowed.accept(principal, text, _decoded(encoded)):
            return Denial("invalid_grant", "The signature is not of an allowed key of principal")
        # A client with the key needs no refresh token.
        return request.issue(subject=principal, refresh_token=False)


def _decoded(encoded: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(encoded)
    except ValueError:
        return b""
