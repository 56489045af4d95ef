"""Public keys of an issuer (RFC 7517)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from grantway._exceptions import ConfigurationError

try:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry, Key

    from grantway_plugins.client_auth._keys import (
        LEAST_RSA,
        MOST_EXPONENT,
        REGISTRY,
        algorithms_of,
    )
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"Checking JWTs needs {missing.name}: pip install 'grantway[jose]'.", name=missing.name
    ) from None

#: Maximum number of keys that are read from a published set, and that are tried for one token.
MOST_KEYS, MOST_TRIED = 100, 8
#: Maximum bits of an RSA modulus. Anonymous clients choose keys too, so checking a signature must
#: not take long.
_MOST_RSA = 8192
_TYPES = ("RSA", "EC", "OKP")
#: Values of ``use`` for keys that sign tokens: RFC 7517 section 4.2, and SPIFFE's JWT-SVIDs.
_USES = (None, "sig", "jwt-svid")


class InvalidKeySetError(Exception):
    """Raised for a published document that contains no usable key. The message has no values."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """Public keys that verify the tokens of one issuer."""

    keys: tuple[Key, ...] = field(repr=False)

    def fitting(self, header: Mapping[str, Any], algorithms: Collection[str]) -> tuple[Key, ...]:
        """Return the first keys that may have signed a token with this header.

        There is rarely more than one if the token has a key ID.

        Args:
            header: The token's header, not verified.
            algorithms: Accepted algorithms.
        """
        alg = header.get("alg")
        if alg not in algorithms:
            return ()
        return tuple(islice((key for key in self.keys if _fits(key, header)), MOST_TRIED))

    def has(self, kid: object) -> bool:
        """Return whether a key has this key ID."""
        return kid is not None and any(key.kid == kid for key in self.keys)


def verified_claims(token: str, keys: Iterable[Key]) -> dict[str, Any] | None:
    """Return the claims of a token that one of the keys signed, or None."""
    for key in keys:
        try:
            return jwt.decode(token, key, registry=REGISTRY).claims
        except (JoseError, ValueError, TypeError, RecursionError):
            continue
    return None


def given_keys(jwks: Mapping[str, Any]) -> KeySet:
    """Return the keys of a setting, all of which must be usable.

    Raises:
        ConfigurationError: a key is invalid or not public, or there is none.
    """
    found = jwks.get("keys", [jwks])
    if not isinstance(found, (list, tuple)) or not found:
        raise ConfigurationError(
            "TrustedIssuer.jwks: must have at least one key.",
            errors={"jwks": ["must have at least one key"]},
        )
    keys = []
    for jwk in found:
        key, problem = _public(jwk)
        if key is None:
            raise ConfigurationError(f"TrustedIssuer.jwks: {problem}.", errors={"jwks": [problem]})
        keys.append(key)
    return KeySet(tuple(keys))


def published_keys(document: bytes) -> KeySet:
    """Return the usable keys of a published JWK Set; others are ignored (RFC 7517 section 5).

    Raises:
        InvalidKeySetError: the document is not a JWK Set, or has no usable key.
    """
    try:
        found: object = json.loads(document)
    except (ValueError, RecursionError):
        found = None
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise InvalidKeySetError("it is not a JWK Set")
    if len(listed) > MOST_KEYS:
        raise InvalidKeySetError(f"it has more than {MOST_KEYS} keys")
    read = [_public(jwk) for jwk in listed if _signs(jwk)]
    keys = tuple(key for key, _ in read if key is not None)
    if not keys:
        problems = "; ".join(dict.fromkeys(problem for _, problem in read if problem))
        raise InvalidKeySetError(f"it has no usable key{f': {problems}' if problems else ''}")
    return KeySet(keys)


def _signs(jwk: object) -> bool:
    return isinstance(jwk, dict) and jwk.get("use") in _USES


def _fits(key: Key, header: Mapping[str, Any]) -> bool:
    kid, alg = header.get("kid"), header.get("alg")
    named = kid is None or key.kid is None or key.kid == kid
    return named and alg in algorithms_of(key) and key.alg in (None, alg)


def _public(jwk: object) -> tuple[Key | None, str]:
    """Return a public key, or None and the problem."""
    if not isinstance(jwk, Mapping) or jwk.get("kty") not in _TYPES or "d" in jwk:
        return None, "every key must be a public key of type RSA, EC or OKP"
    if jwk["kty"] == "RSA" and len(str(jwk.get("n"))) * 6 // 8 * 8 < LEAST_RSA:
        return None, f"an RSA key must have at least {LEAST_RSA} bits"
    # SPIFFE's `use` is unknown to joserfc, and `key_ops` may list more than verifying.
    read = {name: value for name, value in jwk.items() if name not in {"use", "key_ops"}}
    try:
        key = JWKRegistry.import_key(read)
        native: object = key.public_key
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        return None, f"a key cannot be used ({type(error).__name__})"
    if isinstance(native, RSAPublicKey) and (
        native.key_size > _MOST_RSA or native.public_numbers().e.bit_length() > MOST_EXPONENT
    ):
        return None, (
            f"an RSA key must have at most {_MOST_RSA} bits, and an exponent of at most "
            f"{MOST_EXPONENT}"
        )
    return key, ""
