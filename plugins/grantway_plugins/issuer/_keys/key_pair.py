"""One signing key: its private half signs, and its public half is published and verifies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Self

from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._secrets.masked import Masked
from grantway_plugins._jose.key_set import verified_claims
from grantway_plugins.client_auth import SigningKey

_RSA_BITS = 2048
_GENERATE: Mapping[str, Callable[[], ECKey | OKPKey | RSAKey]] = {
    "ES256": lambda: ECKey.generate_key("P-256"),
    "ES384": lambda: ECKey.generate_key("P-384"),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
    "RS256": lambda: RSAKey.generate_key(_RSA_BITS),
    "PS256": lambda: RSAKey.generate_key(_RSA_BITS),
}


class KeyPair(OneProcess):
    """A signing key.

    Args:
        key: The private key.
    """

    stays = "it holds a private key; create it in the process that uses it"

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        #: Key ID: the thumbprint of the public key (RFC 7638).
        self.kid = key.thumbprint
        #: Algorithm of the signatures.
        self.alg = key.alg
        #: The public key (RFC 7517).
        self.jwk: Mapping[str, Any] = {
            **key.public_jwk(),
            "kid": self.kid,
            "alg": self.alg,
            "use": "sig",
        }
        self._public = JWKRegistry.import_key(key.public_jwk())

    @classmethod
    def generate(cls, algorithm: str) -> tuple[Self, Masked[bytes]]:
        """Return a new key, and its private half for ``read``."""
        key = _GENERATE[algorithm]()
        private = Masked(json.dumps({**key.as_dict(private=True), "alg": algorithm}).encode())
        return cls(SigningKey(key, alg=algorithm)), private

    @classmethod
    def read(cls, private: Masked[bytes], algorithm: str) -> Self:
        """Return the key that ``generate`` returned.

        Raises:
            ConfigurationError: it is not a private key for this algorithm.
        """
        key = SigningKey(private.value)
        if key.alg != algorithm or algorithm not in _GENERATE:
            raise ConfigurationError(f"key: is not for {algorithm}.")
        return cls(key)

    def sign(self, claims: Mapping[str, Any], typ: str) -> str:
        """Return a JWT (RFC 7519) with this ``typ``."""
        return self._key.sign({"typ": typ, "kid": self.kid}, claims)

    def verified(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a JWT that this key signed, or None."""
        return verified_claims(token, (self._public,))
