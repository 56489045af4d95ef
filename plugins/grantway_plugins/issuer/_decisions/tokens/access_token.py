"""Access tokens of this issuer: opaque ones, which are stored, and JWTs (RFC 9068)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from grantway_plugins._jwt import unverified_claims
from grantway_plugins.issuer._decisions.randomness import (
    family_digest,
    new_family_secret,
    new_id,
)
from grantway_plugins.issuer._decisions.resources import access_token_format, unlisted
from grantway_plugins.issuer._storage.records import AccessTokenRecord

if TYPE_CHECKING:
    from grantway_plugins.issuer._decisions.issuer import Issuer
    from grantway_plugins.issuer._keys.ring import KeyRing
    from grantway_plugins.issuer._storage.transaction import Transaction

#: Type of a JWT access token (RFC 9068 section 2.1).
AT_JWT = "at+jwt"
_JTI = re.compile(r"([0-9a-f]{32})\.[0-9a-f]{32}")
_OWN = "grantway"


def new_access_token(record: AccessTokenRecord, issuer: Issuer, transaction: Transaction) -> str:
    """Return a new access token. The transaction stores the digest of an opaque one.

    Raises:
        SigningKeyError: the key for a JWT cannot be used.
    """
    settings = issuer.settings
    is_jwt = access_token_format(settings, record.audience, settings.access_token_format) == "jwt"
    # A client could take a JWT with its id as audience for an ID token.
    if is_jwt and not any(map(transaction.clients.find, unlisted(settings, record.audience))):
        return signed_access_token(record, issuer, transaction)
    token = new_family_secret("gwa", record.family.family_id)
    transaction.add_access_token(family_digest(token), record)
    return token


def signed_access_token(record: AccessTokenRecord, issuer: Issuer, transaction: Transaction) -> str:
    """Return a JWT access token (RFC 9068), which is not stored.

    The ``jti`` begins with the family id, so that revoking the family revokes the token.

    Raises:
        SigningKeyError: the signing key cannot be used.
    """
    assert issuer.keys is not None  # ``requires_keys`` is checked at start
    family = record.family
    audience = record.audience or (issuer.settings.url,)
    claims: dict[str, Any] = {
        "iss": issuer.settings.url,
        "sub": family.subject,
        "aud": audience[0] if len(audience) == 1 else list(audience),
        "client_id": family.client_id,
        "scope": " ".join(record.scope),
        "iat": int(record.issued_at),
        "exp": int(record.expires_at),
        "jti": f"{family.family_id}.{new_id()}",
    }
    if family.details.auth_time is not None:
        claims["auth_time"] = int(family.details.auth_time)
    if record.confirmation:
        claims["cnf"] = dict(record.confirmation)
    return issuer.keys.sign(claims, transaction, record.issued_at, typ=AT_JWT)


def find_access_token(
    token: str, transaction: Transaction, *, keys: KeyRing | None, url: str, now: float
) -> AccessTokenRecord | None:
    """Return an access token of this issuer, or None if it is unknown or was revoked by itself.

    The caller compares the expiry with the clock, and checks whether the family was revoked.

    Args:
        token: The token.
        transaction: The transaction in which to find it.
        keys: The signing keys, or None.
        url: The issuer's URL.
        now: Current time in seconds since the epoch.
    """
    if keys is None or "." not in token:
        return transaction.access_token(family_digest(token))
    claims = keys.verified(token, transaction, now, typ=AT_JWT)
    if claims is None or claims.get("iss") != url:
        return None
    named = _JTI.fullmatch(claims["jti"])
    family = transaction.family(named[1]) if named else None
    if family is None or transaction.records(_OWN).get(_revoked(claims["jti"])) is not None:
        return None
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    return AccessTokenRecord(
        scope=tuple(claims["scope"].split()),
        issued_at=claims["iat"],
        expires_at=claims["exp"],
        family=family,
        audience=() if audience == [url] else tuple(audience),
        confirmation=claims.get("cnf", {}),
    )


def revoke_access_token(token: str, record: AccessTokenRecord, transaction: Transaction) -> None:
    """Revoke a token that ``find_access_token`` found.

    A JWT is recorded until it expires. Resource servers that do not introspect it accept it until
    then.
    """
    if "." not in token:
        transaction.delete_access_token(family_digest(token))
        return
    key = _revoked(unverified_claims(token)["jti"])
    transaction.records(_OWN).put(key, {}, until=record.expires_at)


def _revoked(jti: str) -> str:
    return f"revoked jti {jti}"
