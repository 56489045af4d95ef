"""Validate an ID token (OpenID Connect Core section 3.1.3.7)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grantway._secrets.redaction import printable
from grantway._types.quantity import finite
from grantway_plugins._jose.key_set import verified_claims
from grantway_plugins._jwt import unverified_part
from grantway_plugins.server._proofs.algorithms import ALGORITHMS

from .provider import Connection

#: Tolerated difference of the clocks, in seconds.
LEEWAY = 60.0
#: Maximum length of a subject (OpenID Connect Core section 2).
MAX_SUBJECT = 255
#: Maximum length of an ID token, in characters.
_MAX_TOKEN = 32_768
_PARTS = 3
_SHOWN = 200
#: JWTs of other types, such as access tokens, serve another purpose (RFC 8725 section 3.11).
_TYPES = frozenset({"", "jwt"})
#: Hash of ``at_hash`` by the end of the algorithm's name (OpenID Connect Core section 3.1.3.6).
_HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


class IDTokenRejectedError(Exception):
    """Raised for an ID token that is not accepted; the message continues "The ID token ..."."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The values that an ID token must have.

    Attributes:
        client_id: The client id, in ``aud``.
        nonce: The nonce of the request.
        access_token: The access token that was issued with it.
        authenticated_after: Earliest accepted ``auth_time``, in seconds since the epoch, or None.
        now: Current time in seconds since the epoch.
    """

    client_id: str
    nonce: str = field(repr=False)
    access_token: str = field(repr=False)
    authenticated_after: float | None
    now: float


def validate(token: str | None, connection: Connection, expected: Expected) -> Mapping[str, Any]:
    """Return the claims of a valid ID token.

    Raises:
        IDTokenRejectedError: it is missing or invalid.
        KeysUnavailableError: the provider's keys cannot be read.
    """
    if not token or token.count(".") != _PARTS - 1 or len(token) > _MAX_TOKEN:
        raise IDTokenRejectedError("is missing, too long or not a signed JWT")
    header = unverified_part(token.split(".")[0])
    claims = _verified(token, header, connection)
    _check_parties(claims, connection, expected)
    _check_times(claims, expected)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(
        nonce.encode("utf-8", "replace"), expected.nonce.encode()
    ):
        raise IDTokenRejectedError("has another nonce than the request")
    at_hash = claims.get("at_hash")
    if at_hash is not None and at_hash != _at_hash(header, expected.access_token):
        raise IDTokenRejectedError("has an at_hash that does not fit the access token")
    return claims


def _verified(token: str, header: Mapping[str, Any], connection: Connection) -> Mapping[str, Any]:
    if header.get("alg") not in ALGORITHMS:
        raise IDTokenRejectedError(
            f"has the algorithm {_shown(header.get('alg'))}; accepted are {', '.join(ALGORITHMS)}"
        )
    typ = header.get("typ", "")
    if not isinstance(typ, str) or typ.lower() not in _TYPES:
        raise IDTokenRejectedError(f"has the type {_shown(typ)}")
    keys = connection.current_keys()
    claims = verified_claims(token, keys.fitting(header, ALGORITHMS))
    if claims is None and not keys.has(header.get("kid")):
        keys = connection.newer_keys(keys)
        claims = verified_claims(token, keys.fitting(header, ALGORITHMS))
    if claims is None:
        raise IDTokenRejectedError("has no valid signature of a key that the provider publishes")
    return claims


def _check_parties(claims: Mapping[str, Any], connection: Connection, expected: Expected) -> None:
    if claims.get("iss") != connection.provider.issuer:
        raise IDTokenRejectedError(
            f"is of {_shown(claims.get('iss'))}, not of {connection.provider.issuer}"
        )
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if expected.client_id not in named:
        raise IDTokenRejectedError(f"has the audience {_shown(audience)}")
    azp = claims.get("azp")
    if (azp is None and len(named) > 1) or (azp is not None and azp != expected.client_id):
        raise IDTokenRejectedError(f"has the authorized party {_shown(azp)}")
    sub = claims.get("sub")
    if not isinstance(sub, str) or not sub or len(sub) > MAX_SUBJECT or not sub.isprintable():
        raise IDTokenRejectedError(f"has no sub of 1 to {MAX_SUBJECT} printable characters")


def _check_times(claims: Mapping[str, Any], expected: Expected) -> None:
    times = {name: finite(claims.get(name)) for name in ("exp", "iat", "nbf", "auth_time")}
    for name, value in times.items():
        if value is None and (name in {"exp", "iat"} or claims.get(name) is not None):
            raise IDTokenRejectedError(f"has no valid {name}")
    exp, iat, nbf, auth_time = times.values()
    if (exp or 0) + LEEWAY <= expected.now:
        raise IDTokenRejectedError(f"expired {expected.now - (exp or 0):.0f} seconds ago")
    since = max(iat or 0, nbf or 0, auth_time or 0) - expected.now
    if since > LEEWAY:
        raise IDTokenRejectedError(f"is of a time that is {since:.0f} seconds in the future")
    if (
        auth_time is not None
        and expected.authenticated_after is not None
        and auth_time + LEEWAY < expected.authenticated_after
    ):
        raise IDTokenRejectedError(
            "says that the user authenticated earlier than the application accepts; the provider "
            "did not ask the user again"
        )


def _at_hash(header: Mapping[str, Any], access_token: str) -> str | None:
    alg = str(header["alg"])
    # EdDSA has no hash in its name; Ed25519 uses SHA-512.
    hashed = _HASHES.get(alg[-3:], hashlib.sha512)(access_token.encode()).digest()
    return base64.urlsafe_b64encode(hashed[: len(hashed) // 2]).rstrip(b"=").decode("ascii")


def _shown(value: object) -> str:
    return printable(str(value))[:_SHOWN]
