"""Authenticated encryption of texts with AES-256-GCM and rotating keys.

AES-GCM is used rather than Fernet because it authenticates associated data such as the name of
the owner, so that a text encrypted for one owner cannot be decrypted as another's. Nonces are
random, for which NIST SP 800-38D section 8.3 allows 2**32 texts per key: a hundred per second for
more than a year. Rotate the key before that.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from grantway._secrets.masked import Masked

if TYPE_CHECKING:
    from ._keys import KeySource

_NONCE = 12


class SealError(Exception):
    """A text cannot be decrypted."""


class NotSealedError(SealError):
    """The text does not start with this sealer's layout."""


class UnknownKeyError(SealError):
    """The text was encrypted with an unknown key.

    Attributes:
        key_id: ID of that key, as read from the text.
        known: IDs of the known keys.
    """

    def __init__(self, key_id: str, known: tuple[str, ...]) -> None:
        super().__init__(key_id)
        self.key_id, self.known = key_id, known


class BrokenSealError(SealError):
    """The text was modified, or encrypted with other associated data."""


class Sealer:
    """Encrypts texts with the newest key and decrypts them with any key.

    Args:
        keys: Returns the keys, newest first. Called again if a text names an unknown key, because
            another process may have added it.
        layout: Prefix of every encrypted text; must not contain a dot.
    """

    def __init__(self, keys: KeySource, layout: str) -> None:
        self._keys = keys
        self._layout = layout
        self._ciphers = _ciphers(keys)

    def seal(self, plain: bytes, associated: str) -> str:
        """Return the encrypted text: letters, digits, ``.``, ``-``, ``_`` and ``=``.

        Args:
            plain: The data to encrypt.
            associated: Associated data to authenticate; ``open`` needs the same.
        """
        key_id, cipher = next(iter(self._ciphers.items()))
        nonce = secrets.token_bytes(_NONCE)
        sealed = cipher.encrypt(nonce, plain, self._associated(key_id, associated))
        return f"{self._layout}.{key_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def is_current(self, text: str) -> bool:
        """Return whether the newest key encrypted the text. Keys are read again if it did not."""
        key_id = text.split(".")[1:2]
        if key_id != [next(iter(self._ciphers))]:
            self._ciphers = _ciphers(self._keys)
        return key_id == [next(iter(self._ciphers))]

    def open(self, text: str, associated: str) -> Masked[bytes]:
        """Return the decrypted data.

        Raises:
            NotSealedError: The text starts with another layout.
            UnknownKeyError: None of the keys encrypted the text.
            BrokenSealError: The text was modified, or encrypted with other associated data.
        """
        layout, _, rest = text.partition(".")
        key_id, _, sealed = rest.partition(".")
        if layout != self._layout:
            raise NotSealedError
        if key_id not in self._ciphers:
            self._ciphers = _ciphers(self._keys)
        if key_id not in self._ciphers:
            raise UnknownKeyError(key_id, tuple(self._ciphers))
        with suppress(InvalidTag, ValueError):  # ValueError: not base64, or too short
            data = base64.urlsafe_b64decode(sealed)
            # Accept one encoding only: the decoder ignores spare bits and unknown characters.
            if base64.urlsafe_b64encode(data).decode() == sealed:
                authenticated = self._associated(key_id, associated)
                cipher = self._ciphers[key_id]
                return Masked(cipher.decrypt(data[:_NONCE], data[_NONCE:], authenticated))
        raise BrokenSealError

    def _associated(self, key_id: str, associated: str) -> bytes:
        # Neither a layout nor an ID contains a dot, so different triples give different bytes.
        return f"{self._layout}.{key_id}.{associated}".encode("utf-8", "surrogatepass")


def _ciphers(keys: KeySource) -> dict[str, AESGCM]:
    """Return the ciphers by key ID, newest first."""
    return {_id(Masked(key)): AESGCM(key) for key in keys().value}


def _id(key: Masked[bytes]) -> str:
    """Return an ID that distinguishes keys. A hash of a random key reveals nothing about it."""
    return hashlib.sha256(b"grantway store key\0" + key.value).hexdigest()[:16]
