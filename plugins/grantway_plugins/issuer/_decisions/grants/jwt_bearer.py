"""The JWT bearer grant, for assertions of trusted issuers (RFC 7523 section 3)."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

from grantway._exceptions import ConfigurationError
from grantway._types.grant import IssuerGrant
from grantway.hookspecs import hookimpl
from grantway_plugins.grants.jwt_bearer import GRANT_TYPE
from grantway_plugins.issuer._decisions.decision import GrantRequest, Issue
from grantway_plugins.issuer._decisions.randomness import digest
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial

try:
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry, Key

    from grantway_plugins.client_auth._keys import LEAST_RSA, REGISTRY, algorithms_of
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"Checking JWTs needs {missing.name}: pip install 'grantway[jose]'.", name=missing.name
    ) from None

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.transaction import Transaction

#: Accepted ``typ`` values of an assertion. JWTs of other types, such as access tokens and DPoP
#: proofs, serve another purpose (RFC 8725 section 3.11).
TYPES = frozenset({"", "jwt", "authorization-grant+jwt"})
#: Allowed clock skew, in seconds.
LEEWAY = 30.0
#: Maximum remaining lifetime of an assertion, in seconds.
MAX_LIFETIME = 3600.0


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer whose assertions are accepted for any subject.

    Attributes:
        issuer: The ``iss`` claim of its assertions.
        jwks: Its public keys, as a JWK Set or a single JWK.

    Raises:
        ConfigurationError: a key is invalid or not public.
    """

    issuer: str
    jwks: InitVar[Mapping[str, Any]]
    keys: tuple[Key, ...] = field(init=False, repr=False)

    def __post_init__(self, jwks: Mapping[str, Any]) -> None:
        found = tuple(_public(jwk) for jwk in jwks.get("keys", [jwks]))
        if not self.issuer or not found:
            raise ConfigurationError(
                "TrustedIssuer: issuer and at least one key in jwks are required."
            )
        object.__setattr__(self, "keys", found)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the public keys as a JWK Set."""
        keys = [key.as_dict(private=False) for key in self.keys]
        return type(self), (self.issuer, {"keys": keys})


def _public(jwk: Mapping[str, Any]) -> Key:
    if jwk.get("kty") not in ("RSA", "EC", "OKP") or "d" in jwk:
        raise ConfigurationError("jwks: every key must be a public key of type RSA, EC or OKP.")
    if jwk["kty"] == "RSA" and len(str(jwk.get("n"))) * 6 // 8 * 8 < LEAST_RSA:
        raise ConfigurationError(f"jwks: an RSA key must have at least {LEAST_RSA} bits.")
    try:
        key = JWKRegistry.import_key(dict(jwk))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        problem = type(error).__name__
    else:
        return key
    # Raised outside the except block, because joserfc's error may contain the key.
    raise ConfigurationError(f"jwks: a key cannot be used ({problem}).")


class JwtBearerIssuer:
    """Issues an access token, without a refresh token, for an assertion of a trusted issuer.

    The assertion's audience must be this issuer or its token endpoint. An assertion with a ``jti``
    can be used once, and one without until it expires (RFC 7521 section 4.1).

    An instance is also a plugin: pass it to ``build_registry``. It is not registered automatically,
    because the operator must choose the trusted issuers.

    Args:
        trusted: Issuers whose assertions are accepted.
    """

    def __init__(self, trusted: Iterable[TrustedIssuer]) -> None:
        self._trusted = {each.issuer: each for each in trusted}

    @hookimpl
    def grantway_register_issuer_grants(self) -> Mapping[str, IssuerGrant]:
        """Register this grant."""
        return {GRANT_TYPE: self}

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """See ``IssuerGrant``."""
        assertion = request.params["assertion"]
        claims = self._verified(assertion)
        if claims is None:
            return _denied("is not signed by a trusted issuer")
        problem = _claims_problem(claims, request)
        if problem:
            return _denied(problem)
        decision = request.issue(
            subject=claims["sub"],
            lifetime=request.settings.lifetimes.access_token,
            refresh_token=False,
            audience=request.params.get("resource", ()),
        )
        if isinstance(decision, Issue) and "jti" in claims:
            # The issuer's name and the jti together are unique (RFC 7523 section 3).
            key = digest(json.dumps([GRANT_TYPE, claims["iss"], claims["jti"]]))
            if not transaction.spend(key, claims["exp"] + LEEWAY):
                return _denied("has already been used", AuditEvent("replay", subject=claims["sub"]))
        return decision

    def _verified(self, assertion: str) -> dict[str, Any] | None:
        """Return the claims of an assertion signed by a trusted issuer, or None."""
        header, claimed = (_unverified(part) for part in assertion.split(".")[:2])
        iss = claimed.get("iss")
        trusted = self._trusted.get(iss) if isinstance(iss, str) else None
        typ = header.get("typ", "")
        if trusted is None or not isinstance(typ, str) or typ.lower() not in TYPES:
            return None
        for key in trusted.keys:
            if _fits(key, header):
                try:
                    return jwt.decode(assertion, key, registry=REGISTRY).claims
                except (JoseError, ValueError, TypeError):
                    continue
        return None


def _fits(key: Key, header: Mapping[str, Any]) -> bool:
    """Return whether a key allows the JWT's algorithm."""
    kid, alg = header.get("kid"), header.get("alg")
    named = kid is None or key.kid is None or key.kid == kid
    return named and alg in algorithms_of(key) and key.alg in (None, alg)


def _unverified(part: str) -> dict[str, Any]:
    """Return a decoded part of a JWT, or an empty mapping if it is invalid."""
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _claims_problem(claims: Mapping[str, Any], request: GrantRequest) -> str | None:
    """Return how the claims violate RFC 7523 section 3, or None."""
    sub, aud = claims.get("sub"), claims.get("aud")
    url = request.settings.url
    if not isinstance(sub, str) or not sub.isprintable() or not sub:
        return "has no sub"
    audience = aud if isinstance(aud, list) else [aud]
    if url not in audience and f"{url}/token" not in audience:
        return f"has another audience; set aud to {url}"
    if "jti" in claims and (not isinstance(claims["jti"], str) or not claims["jti"]):
        return "has a jti that is not a string"
    return _time_problem(claims, request.now)


def _time_problem(claims: Mapping[str, Any], now: float) -> str | None:
    exp = claims.get("exp")
    if not _is_time(exp):
        return "has no exp"
    if exp + LEEWAY <= now:
        return "has expired"
    if exp > now + MAX_LIFETIME + LEEWAY:
        return f"must expire within {MAX_LIFETIME:g} seconds"
    for name in ("nbf", "iat"):
        since = claims.get(name, 0)
        if not _is_time(since) or since > now + LEEWAY:
            return f"has an {name} that is invalid or in the future"
    return None


def _is_time(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _denied(problem: str, event: AuditEvent | None = None) -> Denial:
    return Denial("invalid_grant", f"The assertion {problem}", event=event)
