"""Signing keys in files, which the operator rotates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grantway._exceptions import ConfigurationError

from .encryption import check_private
from .errors import SigningKeyError
from .ring import KeyRing

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.transaction import Transaction

    from .key_pair import KeyPair


class FileRing(KeyRing):
    """Signs with the first key of each algorithm, and publishes all keys.

    Args:
        paths: Paths of PEM files with private keys.

    Raises:
        SigningKeyError: a file cannot be read, contains no private key for signing, or every user
            of this machine can read it.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        keys = [_read(path) for path in paths]
        self._keys = {key.kid: key for key in keys}
        self._signers = {key.alg: key for key in reversed(keys)}
        self.algorithms = tuple(dict.fromkeys(key.alg for key in keys))

    def check(self, transaction: Transaction, now: float) -> None:
        """See ``KeyRing``; the keys were checked when they were read."""

    def recheck(self, transaction: Transaction, now: float) -> None:
        """See ``KeyRing``; files are read once."""

    def signer(self, alg: str, transaction: Transaction, now: float) -> KeyPair:
        """See ``KeyRing``."""
        return self._signers[alg]

    def published(self, transaction: Transaction, now: float) -> Sequence[KeyPair]:
        """See ``KeyRing``."""
        return tuple(self._keys.values())

    def named(self, kid: str, transaction: Transaction, now: float) -> KeyPair | None:
        """See ``KeyRing``."""
        return self._keys.get(kid)


def _read(path: str) -> KeyPair:
    from grantway_plugins.client_auth import SigningKey  # noqa: PLC0415 - needs the extra jose

    from .key_pair import KeyPair  # noqa: PLC0415 - needs the extra jose

    try:
        check_private(Path(path), "signing_keys")
        return KeyPair(SigningKey(Path(path).read_bytes()))
    except SigningKeyError:
        raise
    except ConfigurationError as error:
        problem = error.message.removeprefix("key: ")
    except (OSError, ValueError) as error:
        problem = f"cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})"
    raise SigningKeyError(
        f"signing_keys: {path}: {problem}", errors={"signing_keys": [f"{path}: {problem}"]}
    )
