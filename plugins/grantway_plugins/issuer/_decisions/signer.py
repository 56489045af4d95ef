"""Sign JWTs that other issuers can verify with published keys."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess

if TYPE_CHECKING:
    from grantway_plugins.client_auth import SigningKey


class Signer(OneProcess):
    """Signs with the first of its keys, and publishes all of them.

    Args:
        paths: Paths of PEM files with private keys.

    Raises:
        ConfigurationError: a file cannot be read, or contains no private key for signing.
    """

    stays = "it holds private keys; create it in the process that uses it"

    def __init__(self, paths: Sequence[str]) -> None:
        self._keys = [_read(path) for path in paths]

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JWK Set (RFC 7517 section 5)."""
        return {
            "keys": [
                {**key.public_jwk(), "kid": key.thumbprint, "alg": key.alg, "use": "sig"}
                for key in self._keys
            ]
        }

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a JWT with the claims and a new ``jti``."""
        key = self._keys[0]
        header = {"typ": "JWT", "kid": key.thumbprint}
        return key.sign(header, {**claims, "jti": secrets.token_urlsafe(16)})


def _read(path: str) -> SigningKey:
    from grantway_plugins.client_auth import SigningKey  # noqa: PLC0415 - needs the extra jose

    try:
        return SigningKey(Path(path).read_bytes())
    except ConfigurationError as error:
        problem = error.message.removeprefix("key: ")
    except (OSError, ValueError) as error:
        problem = f"cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})"
    raise ConfigurationError(
        f"signing_keys: {path}: {problem}", errors={"signing_keys": [f"{path}: {problem}"]}
    )
