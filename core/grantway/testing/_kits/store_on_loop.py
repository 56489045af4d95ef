"""A store whose blocking methods call the asynchronous ones of another, on an event loop.

With it, the test classes for stores test the asynchronous methods as well.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from grantway._credentials.async_store import asynchronous
from grantway._types.token import Token

from .processes import PATIENCE

Result = TypeVar("Result")


class StoreOnLoop:
    """The store on a running event loop; other attributes are those of the inner store."""

    def __init__(self, store: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._inner, self._store, self._loop = store, asynchronous(store), loop

    def load(self, key: str) -> Token | None:
        """See ``Store.load``."""
        return self._wait(self._store.load_async(key))

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """See ``Store.save``."""
        self._wait(self._store.save_async(key, token, fence=fence))

    def delete(self, key: str, *, fence: int = 0) -> None:
        """See ``Store.delete``."""
        self._wait(self._store.delete_async(key, fence=fence))

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[int]:
        """See ``Store.lock``."""
        lock: Any = self._store.lock_async(key, timeout)
        fence = self._wait(lock.__aenter__())
        try:
            yield fence
        except BaseException:
            if not self._wait(lock.__aexit__(*sys.exc_info())):
                raise
        else:
            self._wait(lock.__aexit__(None, None, None))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __repr__(self) -> str:
        return repr(self._inner)

    def _wait(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)


@contextmanager
def store_on_loop(store: Any) -> Iterator[StoreOnLoop]:
    """Return a store whose blocking methods run the asynchronous methods of this one.

    It runs an event loop in a thread during the block, and ends it as ``asyncio.run`` does::

        class TestMyStoreOnLoop(StoreTests):
            @pytest.fixture
            def store(self):
                with store_on_loop(MyStore()) as store:
                    yield store

    Args:
        store: A store with the methods of ``AsyncStore``, or one with blocking methods only, which
            then run in threads.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield StoreOnLoop(store, loop)
    finally:
        asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()
