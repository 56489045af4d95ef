"""The rules of a trusted issuer, applied to the claims of a token whose signature is valid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grantway._secrets.redaction import printable
from grantway._types.quantity import finite
from grantway_plugins._jose.validity import time_problem

from .patterns import matches
from .trusted_issuer import TrustedIssuer
from .trusted_token import TrustedToken

#: The parameters that may contain a token of a trusted issuer, and the accepted values of ``typ``.
#: JWTs of other types, such as DPoP proofs, serve another purpose (RFC 8725 section 3.11).
TYPES: Mapping[str, frozenset[str]] = {
    "client_assertion": frozenset({"", "jwt", "jose", "client-authentication+jwt"}),
    "assertion": frozenset({"", "jwt", "jose", "authorization-grant+jwt"}),
    "subject_token": frozenset({"", "jwt", "jose", "at+jwt"}),
}
_SHOWN = 200


class TokenRejectedError(Exception):
    """Raised for a token that is not accepted; the message continues "The token ..."."""


def judge(
    claims: Mapping[str, Any],
    trusted: TrustedIssuer,
    audiences: tuple[str, ...],
    parameter: str,
    now: float,
) -> TrustedToken:
    """Return the token if the rules allow it.

    Args:
        claims: Claims of a token with a valid signature.
        trusted: The issuer of the token, and its rules.
        audiences: The accepted audiences.
        parameter: The parameter with the token, a key of ``TYPES``.
        now: Current time in seconds since the epoch.

    Raises:
        TokenRejectedError: the rules do not allow it.
    """
    sub, jti = _subject(claims), claims.get("jti")
    if trusted.is_trust_domain and not sub.startswith(f"{trusted.issuer}/"):
        raise TokenRejectedError(f"has the subject {shown(sub)}, which is not in the trust domain")
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(each in named for each in audiences):
        raise TokenRejectedError(
            f"has the audience {shown(audience)}, not {' or '.join(audiences)}"
        )
    if jti is not None and (not isinstance(jti, str) or not jti):
        raise TokenRejectedError("has a jti that is not a string")
    if trusted.single_use and jti is None:
        raise TokenRejectedError("has no jti, which single_use requires")
    problem = time_problem(
        claims, leeway=trusted.leeway, max_lifetime=trusted.max_lifetime, now=now
    ) or _claim_problem(claims, trusted)
    if problem:
        raise TokenRejectedError(problem)
    authenticates = parameter == "client_assertion"
    allowed = tuple(trusted.clients) if authenticates else trusted.subjects
    matching = _matching(allowed, sub, "clients" if authenticates else "subjects")
    return TrustedToken(
        issuer=trusted.issuer,
        subject=sub,
        expires_at=claims["exp"],
        claims=claims,
        clients=tuple({trusted.clients[each]: None for each in matching}) if authenticates else (),
        single_use_id=jti if trusted.single_use else None,
        kept_until=claims["exp"] + trusted.leeway,
    )


def judge_identity_assertion(
    claims: Mapping[str, Any], trusted: TrustedIssuer, url: str, now: float
) -> TrustedToken:
    """Return an identity assertion (ID-JAG) if the rules allow it.

    The caller checks its client, its resource and its scope.

    Args:
        claims: Claims of a token with a valid signature and the ``typ`` of an identity assertion.
        trusted: The issuer of the token, and its rules.
        url: URL of this issuer, which must be the only audience.
        now: Current time in seconds since the epoch.

    Raises:
        TokenRejectedError: the rules do not allow it.
    """
    sub = _subject(claims)
    if claims.get("iss") != trusted.issuer or trusted.issuer == url:
        raise TokenRejectedError("has the wrong iss; an issuer does not accept its own assertions")
    if claims.get("aud") not in (url, [url]):
        raise TokenRejectedError(f"has the audience {shown(claims.get('aud'))}, not {url}")
    for name in ("client_id", "jti"):
        value = claims.get(name)
        if not isinstance(value, str) or not value:
            raise TokenRejectedError(f"has no {name}")
    if "iat" not in claims:
        raise TokenRejectedError("has no iat")
    login = finite(claims.get("auth_time", 0))
    if login is None or login > now + trusted.leeway:
        raise TokenRejectedError("has an auth_time that is not a time in the past")
    problem = time_problem(
        claims, leeway=trusted.leeway, max_lifetime=trusted.max_lifetime, now=now
    ) or _claim_problem(claims, trusted)
    if problem:
        raise TokenRejectedError(problem)
    _matching(trusted.users, sub, "users")
    return TrustedToken(
        issuer=trusted.issuer,
        subject=sub,
        expires_at=claims["exp"],
        claims=claims,
        single_use_id=claims["jti"],
        kept_until=claims["exp"] + trusted.leeway,
        identity_assertion=True,
    )


def _subject(claims: Mapping[str, Any]) -> str:
    sub = claims.get("sub")
    if not isinstance(sub, str) or not sub.isprintable() or not sub:
        raise TokenRejectedError("has no sub")
    return sub


def _matching(patterns: tuple[str, ...], sub: str, setting: str) -> list[str]:
    found = [pattern for pattern in patterns if matches(pattern, sub)]
    if not found:
        raise TokenRejectedError(f"has the subject {shown(sub)}, which {setting} does not list")
    return found


def _claim_problem(claims: Mapping[str, Any], trusted: TrustedIssuer) -> str | None:
    for name, pattern in trusted.claims.items():
        value = claims.get(name)
        if not isinstance(value, str):
            return f"has no text in the claim {name}"
        if not matches(pattern, value):
            return f"has the {name} {shown(value)}, which claims does not allow"
    return None


def shown(value: object) -> str:
    """Return a claim for a message."""
    return printable(str(value))[:_SHOWN]
