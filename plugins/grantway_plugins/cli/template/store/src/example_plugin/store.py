"""The store: where tokens are kept, and the lock of each key."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from grantway import StoreLockError, Token


class TokenStore:
    """Keeps tokens in this process. Replace the dictionaries with your storage.

    Args:
        label: Name of the store in errors.
    """

    def __init__(self, *, label: str = "example-plugin") -> None:
        self._label = label
        self._tokens: dict[str, Token] = {}
        self._locks: dict[str, threading.Lock] = {}

    def load(self, key: str) -> Token | None:
        """Return the token that was saved last, or None."""
        return self._tokens.get(key)

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """Save a token in place of the previous one."""
        self._tokens[key] = token

    def delete(self, key: str, *, fence: int = 0) -> None:
        """Delete a token; a missing token is not an error."""
        self._tokens.pop(key, None)

    @contextmanager
    def lock(self, key: str, timeout: float) -> Generator[int, None, None]:
        """Hold the key's lock. A living holder cannot lose it, so the fence is 0."""
        lock = self._locks.setdefault(key, threading.Lock())
        if not lock.acquire(timeout=min(timeout, threading.TIMEOUT_MAX)):
            message = f"{self._label}: the key is in use for more than {timeout:g} s."
            raise StoreLockError(message)
        try:
            yield 0
        finally:
            lock.release()

    def __repr__(self) -> str:
        return f"TokenStore({self._label!r})"
