"""The asynchronous methods of any store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import cast

from grantway._processes.threads import CallThread, in_thread
from grantway._types.store import AsyncStore, Store, has_async_methods
from grantway._types.token import Token


def asynchronous(store: Store | AsyncStore) -> AsyncStore:
    """Return the store if it has asynchronous methods, otherwise run its methods in threads."""
    if has_async_methods(store):
        return cast("AsyncStore", store)
    return ThreadedStore(cast("Store", store))


class ThreadedStore:
    """The asynchronous methods of a store that only has blocking ones."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def load_async(self, key: str) -> Token | None:
        """See ``Store.load``."""
        return await in_thread(self._store.load, key)

    async def save_async(self, key: str, token: Token, *, fence: int = 0) -> None:
        """See ``Store.save``."""
        await in_thread(partial(self._store.save, fence=fence), key, token)

    async def delete_async(self, key: str, *, fence: int = 0) -> None:
        """See ``Store.delete``."""
        await in_thread(partial(self._store.delete, fence=fence), key)

    async def check_writable_async(self, key: str, token: Token) -> None:
        """See ``Store``."""
        check_writable = getattr(self._store, "check_writable", None)
        if check_writable is not None:
            await in_thread(check_writable, key, token)

    @asynccontextmanager
    async def lock_async(self, key: str, timeout: float) -> AsyncIterator[int]:  # noqa: ASYNC109 - as lock()
        """See ``Store.lock``. One thread acquires and releases it, as some locks require."""
        import asyncio  # noqa: PLC0415 - not needed without an event loop

        held, loop = ExitStack(), asyncio.get_running_loop()
        with CallThread() as thread:
            try:
                lock = self._store.lock(key, timeout)
                yield await thread.run(lambda: held.enter_context(lock))
            except BaseException as error:
                released = thread.submit(held.close)  # after a call that still acquires the lock
                if isinstance(error, Exception) and not loop.is_closed():
                    await asyncio.wrap_future(released)
                raise
            await thread.run(held.close)
