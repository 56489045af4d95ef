"""The contract of a token store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from .callables import is_async, kind_of
from .token import Token


class Store(Protocol):
    """Keeps one token per key. Called from many threads at once.

    A key is text that reveals nothing about the token. A store may forget a token, for example when
    it is full, but must never return it for another key.

    A credential refreshes a token while it holds the key's lock, and reads the store again after
    acquiring it. Therefore one refresh serves all programs that share the store.

    A store may have an additional method, ``check_writable(key, token)``. It is called while the
    key's lock is held, before sending a refresh token that the provider accepts only once. It
    raises ``StoreError`` if a token like this one could not be saved, for example because the disk
    is full; the refresh token is then not sent.

    A store may also have the methods of ``AsyncStore``, for ``token_async()``; without them, each
    call of a method runs in a thread. The lock's context manager is entered and left in the same
    thread.
    """

    def load(self, key: str) -> Token | None:
        """Return the token that was saved last, or None.

        Raises:
            StoreUnreadableError: The store cannot be reached or read; says where, and what to do.
                Never raised for a key that was not saved.
        """
        ...

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """Save a token in place of the previous one.

        After the method returns, the token survives everything that the store promises to survive.
        Otherwise the method raises, because a replaced refresh token cannot be obtained again. The
        previous token is removed only once the new one is saved.

        Args:
            key: The token's key.
            token: The token.
            fence: The fence that ``lock`` returned, if the caller holds the lock. 0 overwrites
                anything.

        Raises:
            LeaseLostError: A later holder of the lock has saved or deleted; nothing was changed.
            StoreSaveError: The token could not be saved; says why and what to do.
        """
        ...

    def delete(self, key: str, *, fence: int = 0) -> None:
        """Delete a token; a missing token is not an error.

        Args:
            key: The token's key.
            fence: As for ``save``.

        Raises:
            LeaseLostError: A later holder of the lock has saved or deleted; nothing was changed.
            StoreError: The token could not be deleted.
        """
        ...

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """Hold the key's exclusive lock, among all users of the store, during the ``with`` block.

        Not reentrant: a second ``lock`` of the same key waits, even in the same thread. If a holder
        dies, the lock is released: at once if the system notices, otherwise when the lease ends.

        Args:
            key: The key; different keys do not wait for each other.
            timeout: Longest wait in seconds; infinity waits without limit.

        Returns:
            A context manager that yields the fence: a number greater than that of every earlier
            holder of this key, or 0 if a living holder cannot lose the lock.

        Raises:
            StoreLockError: On entering, the lock was not acquired in time; says where it is.
            StoreUnreadableError: On entering, the store cannot be reached.
        """
        ...


class AsyncStore(Protocol):
    """The asynchronous methods of a store, with the promises of those of ``Store``.

    ``await credential.token_async()`` calls them on its event loop, in any number of tasks, and a
    program may use one store in several loops. A store that has only these methods can be used with
    the asynchronous methods of a credential only.

    A store may also have ``async def check_writable_async(key, token)``; see ``Store``.
    """

    async def load_async(self, key: str) -> Token | None:
        """See ``Store.load``."""
        ...

    async def save_async(self, key: str, token: Token, *, fence: int = 0) -> None:
        """See ``Store.save``. A task that is cancelled may have saved the token or not."""
        ...

    async def delete_async(self, key: str, *, fence: int = 0) -> None:
        """See ``Store.delete``."""
        ...

    def lock_async(
        self,
        key: str,
        timeout: float,
    ) -> AbstractAsyncContextManager[int]:
        """See ``Store.lock``. The lock excludes the holders of ``Store.lock`` as well."""
        ...


#: The methods of a store (see ``Store``).
_METHODS = ("load", "save", "delete", "lock")


def has_async_methods(store: object) -> bool:
    """Return whether a store has the methods of ``AsyncStore``."""
    return all(callable(getattr(store, f"{name}_async", None)) for name in _METHODS)


def has_blocking_methods(store: object) -> bool:
    """Return whether a store has the methods of ``Store``."""
    return all(callable(getattr(store, name, None)) for name in _METHODS)


def problem_of(store: object) -> str:
    """Return why an object cannot be used as a store; empty if it can."""
    if store is None or isinstance(store, type):
        return f"is {kind_of(store)}"
    for name in _METHODS:
        if is_async(getattr(store, name, None)):
            return (
                f"has an asynchronous method {name}; call it {name}_async, and use it with "
                "await credential.token_async()"
            )
    if not has_async_methods(store):
        for name in _METHODS:
            if not callable(getattr(store, name, None)):
                return f"has no method {name}"
    return ""


#: Creates a store from keyword options.
StoreFactory = Callable[..., Store]
