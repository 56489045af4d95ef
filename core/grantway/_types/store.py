"""Where tokens rest between two uses: the contract that every store keeps."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from grantway._exceptions import StoreUnreadableError

from .callables import is_async, is_unfinished, kind_of
from .token import Token


class Store(Protocol):
    """Keeps one token a key. Called from many threads at once.

    A key is text that says nothing about the token. A store may forget a token, as when it is
    full, and must never give one to another key.

    Whoever refreshes a token does it while it holds the key's lock, and reads the store again
    once it has it: that is how one refresh is enough for all who share the store.

    A store may have one more method, ``check_writable(key, token)``. It is called while the key's
    lock is held, before sending a refresh token that the provider accepts only once. It raises
    ``StoreError`` if a token like this one could not be saved, for example because the disk is
    full; the refresh token is then not sent.
    """

    def load(self, key: str) -> Token | None:
        """The token that was saved last, or None.

        Raises:
            StoreUnreadableError: the store cannot be reached, or not be understood; names where,
                and what to do. Never for a key that was not saved.
        """
        ...

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """Keep a token in place of the one before.

        When it returns, the token outlives whatever the store promises to outlive; when it cannot
        promise that, it raises, because a refresh token that was replaced cannot be had again.
        The token before is lost only when the new one is kept.

        Args:
            key: Whose token.
            token: The token.
            fence: What ``lock`` gave, where the saver holds the lock. 0 saves over anything.

        Raises:
            LeaseLostError: a later holder of the lock has saved or deleted; nothing was changed.
            StoreSaveError: it could not be saved; says why and what to do.
        """
        ...

    def delete(self, key: str, *, fence: int = 0) -> None:
        """Forget a token; one that is not there is no error.

        Args:
            key: Whose token.
            fence: As for ``save``.

        Raises:
            LeaseLostError: a later holder of the lock has saved or deleted; nothing was changed.
            StoreError: it could not be deleted.
        """
        ...

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """Hold the key alone, among all who share this store, while the ``with`` block runs.

        Not reentrant: a second ``lock`` of the same key waits, in the same thread too. A holder
        that dies sets the lock free: at once where the system notices, or when its lease ends.

        Args:
            key: Which key; keys do not wait for each other.
            timeout: Seconds to wait for it at most.

        Returns:
            A context manager that gives the fence: a number greater than that of every holder of
            this key before, or 0 where the lock cannot be lost while its holder lives.

        Raises:
            StoreLockError: on entering, it was not to be had in time; names where it lies.
            StoreUnreadableError: on entering, the store cannot be reached.
        """
        ...


#: What a store can do (see ``Store``).
_METHODS = ("load", "save", "delete", "lock")


def problem_of(store: object) -> str:
    """Return why an object cannot be used as a store; empty if it can."""
    if store is None or isinstance(store, type):
        return f"is {kind_of(store)}"
    for name in _METHODS:
        method = getattr(store, name, None)
        if not callable(method):
            return f"has no method {name}"
        if is_async(method):
            return f"has an asynchronous method {name}, and grantway calls stores synchronously"
    return ""


def load_token(store: Store, key: str) -> Token | None:
    """Return the token of a key, or None.

    Raises:
        StoreUnreadableError: the store cannot be read, or returned something else.
    """
    found: object = store.load(key)
    if found is None or isinstance(found, Token):
        return found
    name = f"{type(store).__module__}.{type(store).__qualname__}"
    what = "a coroutine" if is_unfinished(found) else kind_of(found)
    raise StoreUnreadableError(
        f"load of the store {name} returned {what}; it must return a grantway.Token or None."
    )


#: Makes a store of its own options, which it takes by name.
StoreFactory = Callable[..., Store]
