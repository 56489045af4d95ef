"""Verify DPoP proofs (RFC 9449 section 4.3). Needs the extra ``jose``."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from grantway._types.quantity import finite
from grantway_plugins._jwt import unverified_part
from grantway_plugins.client_auth._dpop import target, token_hash
from grantway_plugins.client_auth._keys import LEAST_RSA, MOST_EXPONENT, REGISTRY, algorithms_of
from grantway_plugins.server._http.denial import DenialError

from .algorithms import ALGORITHMS
from .nonces import Nonces

INVALID = "invalid_dpop_proof"
USE_NONCE = "use_dpop_nonce"
#: Maximum length of a proof, in characters. A proof with an RSA key of 4096 bits has about 2500.
MAX_PROOF = 8192
#: Maximum bits of an RSA modulus; more would cost much processor time.
_MOST_RSA = 4096
#: Maximum number of seconds that a proof may be in the future.
_MOST_AHEAD = 60.0
#: How much longer a used proof is remembered, because the clocks of replicas differ.
_MARGIN = 60.0
_KNOWN_KEYS = 1024

_RSA = f"has a jwk that does not have {LEAST_RSA} to {_MOST_RSA} bits, or a large exponent"
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_CURVES = {"EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519",), "RSA": (None,)}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")


@dataclass(frozen=True, slots=True)
class Proof:
    """A verified proof.

    Attributes:
        thumbprint: Thumbprint of the key (RFC 7638), the value of ``jkt``.
        use: Identifies the proof among all others; not secret. The receiver must accept it once.
        kept_until: Time until which the proof would be accepted again, in seconds since the epoch.
    """

    thumbprint: str
    use: str = field(repr=False)
    kept_until: float


class ProofVerifier:
    """Verifies the proofs of requests.

    Args:
        clock: Returns seconds since the epoch.
        window: Maximum age of a proof, in seconds, and maximum time that it may be in the future,
            which is 60 seconds at most.
        nonces: The accepted nonces; None if proofs need no nonce.
        algorithms: Accepted signature algorithms.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        window: float = 60.0,
        *,
        nonces: Nonces | None = None,
        algorithms: Collection[str] = ALGORITHMS,
    ) -> None:
        self._window = window
        self._clock = clock
        self._nonces = nonces
        self._algorithms = frozenset(algorithms)

    def verify(
        self, header: str | None, method: str, url: str, access_token: str | None = None
    ) -> Proof:
        """Return the proof in a request.

        The caller must reject a proof whose ``use`` it has seen before.

        Args:
            header: The header ``DPoP``; repeated headers joined with a comma. None if missing.
            method: HTTP method of the request.
            url: URL of the request, as the client knows it.
            access_token: Access token of the request, to which the proof must belong; None at the
                token endpoint.

        Raises:
            DenialError: the proof is missing, invalid or lacks the nonce.
        """
        if not header:
            raise _invalid("is missing; send one in the header DPoP")
        if len(header) > MAX_PROOF:
            raise _invalid(f"is longer than {MAX_PROOF} characters")
        if "," in header:
            raise _invalid("was sent twice; send the header DPoP once")
        if not _COMPACT.fullmatch(header):
            raise _invalid("is not a signed JWT in compact form")
        key = _key_of(header.partition(".")[0])
        if key.algorithm not in self._algorithms:
            accepted = ", ".join(sorted(self._algorithms))
            raise _invalid(f"has an algorithm that is not one of {accepted}")
        claims = key.verified_claims(header)
        issued_at = self._check_time(claims, self._clock())
        target_url = self._check_target(claims, method, url)
        if access_token is not None and not _is_bound(claims, access_token):
            raise _invalid("does not belong to the access token: ath must be its hash")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not jti:
            raise _invalid("has no jti: it must be a random string")
        # Last, so that a client with another mistake learns about that one.
        if self._nonces is not None and not self._nonces.accepts(claims.get("nonce")):
            raise DenialError(USE_NONCE, "The DPoP proof needs the nonce of the header DPoP-Nonce")
        # Normalised, because the same proof fits every spelling of the URL.
        use = json.dumps(["DPoP", key.thumbprint, jti, method, target_url])
        return Proof(
            key.thumbprint,
            hashlib.sha256(use.encode("utf-8", "surrogatepass")).hexdigest(),
            issued_at + self._window + _MARGIN,
        )

    def _check_time(self, claims: Mapping[str, Any], now: float) -> float:
        """Return ``iat``, which must be recent."""
        issued_at = finite(claims.get("iat"))
        if issued_at is None:
            raise _invalid("has no iat: it must be the time in seconds since the epoch")
        if issued_at < now - self._window:
            raise _invalid(f"is older than {self._window:g} seconds; check the client's clock")
        if issued_at > now + min(self._window, _MOST_AHEAD):
            raise _invalid("is of the future; check the client's clock")
        return issued_at

    def _check_target(self, claims: Mapping[str, Any], method: str, url: str) -> str:
        """Return the normalised URL, which must be that of the request."""
        if claims.get("htm") != method:
            raise _invalid(f"is for another method: htm must be {method}")
        claimed = _normal(claims.get("htu"))
        if claimed is None or claimed != _normal(url):
            raise _invalid(f"is for another URL: htu must be {url}")
        return claimed


@dataclass(frozen=True, slots=True)
class _Key:
    """The public key and the algorithm in a proof's header."""

    key: Key = field(repr=False)
    algorithm: str
    thumbprint: str

    def verified_claims(self, proof: str) -> dict[str, Any]:
        try:
            return jwt.decode(proof, self.key, registry=REGISTRY).claims
        except (JoseError, ValueError, TypeError, RecursionError):
            pass
        # Raised here, because the original error may quote the proof.
        raise _invalid("has an invalid signature or payload")


@lru_cache(_KNOWN_KEYS)  # all proofs of a client have the same header
def _key_of(encoded: str) -> _Key:
    """Return the key of a proof's header.

    Raises:
        DenialError: the header is invalid.
    """
    header = unverified_part(encoded)
    if str(header.get("typ")).lower() != "dpop+jwt":
        raise _invalid("has another typ than dpop+jwt")
    if "crit" in header:
        raise _invalid("has critical header members, which are not supported")
    key, algorithm = _imported(header.get("jwk")), header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms_of(key):
        raise _invalid("has an alg that does not fit its key")
    return _Key(key, algorithm, key.thumbprint())


def _imported(jwk: object) -> Key:
    """Return a public key.

    Raises:
        DenialError: it is not one, or not of a kind that is accepted.
    """
    if not isinstance(jwk, dict):
        raise _invalid("has no jwk: the header must contain the public key")
    if not _PRIVATE.isdisjoint(jwk):
        raise _invalid("contains a private or symmetric key; create a new key, and keep it")
    kty = jwk.get("kty")
    if not isinstance(kty, str) or jwk.get("crv") not in _CURVES.get(kty, ()):
        raise _invalid("has a jwk that is not RSA, P-256, P-384, P-521 or Ed25519")
    # Before joserfc warns about it.
    if kty == "RSA" and len(str(jwk.get("n"))) * 6 // 8 * 8 < LEAST_RSA:
        raise _invalid(_RSA)
    # Only what the key consists of: `use`, `key_ops` and `alg` are the client's own rules.
    public = {each: jwk[each] for each in ("kty", "crv", "x", "y", "n", "e") if each in jwk}
    key: Key | None
    try:
        key = JWKRegistry.import_key(public)
        native: object = key.public_key
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        key = native = None
    if key is None:
        raise _invalid("has a jwk that is not a public key")
    if isinstance(native, RSAPublicKey) and (
        not LEAST_RSA <= native.key_size <= _MOST_RSA
        or native.public_numbers().e.bit_length() > MOST_EXPONENT
    ):
        raise _invalid(_RSA)
    return key


def _is_bound(claims: Mapping[str, Any], access_token: str) -> bool:
    given = claims.get("ath")
    return (
        isinstance(given, str)
        and access_token.isascii()
        and hmac.compare_digest(given.encode("utf-8", "replace"), token_hash(access_token).encode())
    )


def _normal(url: object) -> str | None:
    """Return a URL without query and fragment, normalised (RFC 9449 section 4.3, RFC 3986 6.2)."""
    if not isinstance(url, str):
        return None
    try:
        return _ESCAPE.sub(_plain, target(url))
    except ValueError:  # an invalid port or IPv6 address
        return None


def _plain(escape: re.Match[str]) -> str:
    character = chr(int(escape[0][1:], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()


def _invalid(problem: str) -> DenialError:
    return DenialError(INVALID, f"The DPoP proof {problem}")
