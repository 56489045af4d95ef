"""Encrypt JSON objects, such as the details of a connection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grantway._exceptions import StoreUnreadableError
from grantway._secrets.masked import Masked
from grantway._secrets.params import Params
from grantway_plugins.stores.encrypted._sealing import Sealer, SealError

if TYPE_CHECKING:
    from grantway_plugins.stores.encrypted._keys import KeySource

_LAYOUT = "c1"


class SealedJson:
    """Encrypts JSON objects for one purpose each, such as ``details USER PROVIDER``.

    Args:
        keys: Returns the keys, newest first.
    """

    def __init__(self, keys: KeySource) -> None:
        self._sealer = Sealer(keys, _LAYOUT)

    def seal(self, value: Mapping[str, Any], purpose: str) -> str:
        """Return an object encrypted. ``open`` needs the same purpose."""
        return self._sealer.seal(json.dumps(dict(value)).encode(), purpose)

    def is_current(self, text: str) -> bool:
        """Return whether the newest key encrypted a text."""
        return self._sealer.is_current(text)

    def open(self, text: str, purpose: str) -> Params:
        """Return an encrypted object, whose repr hides the values.

        Raises:
            StoreUnreadableError: It was encrypted with an unknown key or for another purpose, or
                was changed.
        """
        try:
            plain: Masked[bytes] = self._sealer.open(text, purpose)
            return Params(json.loads(plain.value))
        except (SealError, ValueError):
            pass
        raise StoreUnreadableError(
            "A record of connections cannot be decrypted. Add the key with which it was encrypted "
            "to key in [connections], after the newest; or let the user connect again."
        )
