"""A store in the memory of the process: bounded, and gone with it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cachetools import LRUCache

from grantway.exceptions import ConfigurationError

if TYPE_CHECKING:
    from grantway.token import Token


class MemoryStore:
    """Keeps the tokens that were used last.

    Args:
        entries: Tokens that are kept at most. Past that, the one unused for longest is forgotten,
            and with it its refresh token.

    Raises:
        ConfigurationError: ``entries`` is not a whole number from 1.
    """

    def __init__(self, *, entries: int = 100_000) -> None:
        if not isinstance(entries, int) or isinstance(entries, bool) or entries < 1:
            raise ConfigurationError(
                f"entries: a whole number from 1, not {entries!r}.",
                errors={"entries": ["must be a whole number from 1"]},
            )
        self._tokens: LRUCache[str, Token] = LRUCache(entries)
        # Reading moves an entry to the front, so even that changes the cache.
        self._lock = threading.Lock()

    def load(self, key: str) -> Token | None:
        """See ``grantway.Store``."""
        with self._lock:
            return self._tokens.get(key)

    def save(self, key: str, token: Token) -> None:
        """See ``grantway.Store``; it outlives nothing but the call."""
        with self._lock:
            self._tokens[key] = token

    def delete(self, key: str) -> None:
        """See ``grantway.Store``."""
        with self._lock:
            self._tokens.pop(key, None)

    def __len__(self) -> int:
        return len(self._tokens)

    def __repr__(self) -> str:
        return f"MemoryStore({len(self)} of {self._tokens.maxsize:g} entries)"
