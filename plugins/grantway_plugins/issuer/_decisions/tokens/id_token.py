"""ID tokens (OpenID Connect Core section 2)."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from grantway_plugins.issuer._decisions.openid import ID_TOKEN_ALG, id_token_alg

if TYPE_CHECKING:
    from grantway_plugins.issuer._decisions.decision import Issue
    from grantway_plugins.issuer._decisions.issuer import Issuer
    from grantway_plugins.issuer._keys.key_pair import KeyPair
    from grantway_plugins.issuer._storage.records import RegisteredClient
    from grantway_plugins.issuer._storage.transaction import Transaction


def new_id_token(
    issue: Issue,
    client: RegisteredClient,
    issuer: Issuer,
    transaction: Transaction,
    *,
    access_token: str,
    now: float,
    expires_at: float,
) -> str:
    """Return an ID token for the login of a decision.

    Args:
        issue: The decision.
        client: The client, which is the audience.
        issuer: The issuer, which has signing keys.
        transaction: The transaction in which to find the key.
        access_token: The access token of the same response, for ``at_hash``.
        now: Current time in seconds since the epoch.
        expires_at: Expiry of the ID token, in seconds since the epoch.

    Raises:
        SigningKeyError: the signing key cannot be used.
    """
    assert issuer.keys is not None
    alg = id_token_alg(client.metadata.get(ID_TOKEN_ALG), issuer.keys.algorithms)
    key = issuer.keys.signer(alg, transaction, now)
    details = issue.family.details
    claims: dict[str, Any] = {
        "iss": issuer.settings.url,
        "sub": issue.family.subject,
        "aud": client.client_id,
        "iat": int(now),
        "exp": int(expires_at),
    }
    if details.auth_time is not None:
        claims["auth_time"] = int(details.auth_time)
    if details.nonce is not None and issue.new:  # section 12.2: not after a refresh
        claims["nonce"] = details.nonce
    if details.session_id is not None:
        claims["sid"] = details.session_id
    if (half := half_hash(access_token, key)) is not None:
        claims["at_hash"] = half
    return key.sign(claims, "JWT")


def half_hash(token: str, key: KeyPair) -> str | None:
    """Return the ``at_hash`` of a token (section 3.1.3.6).

    None for Ed448, for which the specification does not define a hash.
    """
    curve = key.jwk.get("crv")
    if curve == "Ed448":
        return None
    # Ed25519, whose algorithm is EdDSA or Ed25519 (RFC 9864), hashes with SHA-512.
    bits = "512" if curve == "Ed25519" else key.alg[2:5]
    found = hashlib.new(f"sha{bits}", token.encode()).digest()
    return base64.urlsafe_b64encode(found[: len(found) // 2]).rstrip(b"=").decode()
