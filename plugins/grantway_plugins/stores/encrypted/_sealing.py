"""Texts sealed with AES-256-GCM, by whichever of several keys is the newest.

AES-GCM rather than Fernet: it authenticates data beside the ciphertext, such as the name of the
owner, so that a text sealed for one owner cannot be opened as another's. Nonces are random, for
which NIST SP 800-38D section 8.3 allows 2**32 texts with one key: a hundred a second for more than
a year. Rotate the key before that.
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
    """A text cannot be opened."""


class NotSealedError(SealError):
    """The text does not start as this sealer's texts do."""


class UnknownKeyError(SealError):
    """The text was sealed with a key that is not among those given.

    Attributes:
        key_id: The id of that key, as the text names it.
        known: The ids of the keys that were given.
    """

    def __init__(self, key_id: str, known: tuple[str, ...]) -> None:
        super().__init__(key_id)
        self.key_id, self.known = key_id, known


class BrokenSealError(SealError):
    """The text was changed, or sealed beside other data."""


class Sealer:
    """Seals and opens texts.

    Args:
        keys: The keys, the newest first. They are asked for again when a text names an unknown
            one, because another process may have added it.
        layout: What every sealed text starts with; has no dot.
    """

    def __init__(self, keys: KeySource, layout: str) -> None:
        self._keys = keys
        self._layout = layout
        self._ciphers = _ciphers(keys)

    def seal(self, plain: bytes, beside: str) -> str:
        """Return a sealed text of letters, digits, ``.``, ``-``, ``_`` and ``=``.

        Args:
            plain: What to seal.
            beside: Authenticated with it; the same is needed to open it.
        """
        key_id, cipher = next(iter(self._ciphers.items()))
        nonce = secrets.token_bytes(_NONCE)
        sealed = cipher.encrypt(nonce, plain, self._beside(key_id, beside))
        return f"{self._layout}.{key_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, text: str, beside: str) -> Masked[bytes]:
        """Return what was sealed.

        Raises:
            NotSealedError: the text starts with another layout.
            UnknownKeyError: none of the keys sealed it.
            BrokenSealError: it was changed, or sealed beside something else.
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
            # One text for one ciphertext: base64 has spare bits, and the decoder skips the unknown.
            if base64.urlsafe_b64encode(data).decode() == sealed:
                authenticated = self._beside(key_id, beside)
                cipher = self._ciphers[key_id]
                return Masked(cipher.decrypt(data[:_NONCE], data[_NONCE:], authenticated))
        raise BrokenSealError

    def _beside(self, key_id: str, beside: str) -> bytes:
        # Neither a layout nor an id has a dot, so no two triples agree.
        return f"{self._layout}.{key_id}.{beside}".encode("utf-8", "surrogatepass")


def _ciphers(keys: KeySource) -> dict[str, AESGCM]:
    """Return each key's id and cipher, the newest first."""
    return {_id(Masked(key)): AESGCM(key) for key in keys().value}


def _id(key: Masked[bytes]) -> str:
    """Return a text that tells keys apart and reveals nothing else: they are random."""
    return hashlib.sha256(b"grantway store key\0" + key.value).hexdigest()[:16]
