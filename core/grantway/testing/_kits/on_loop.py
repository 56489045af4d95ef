"""Stores and transports whose blocking methods call the asynchronous ones on an event loop.

With them, the test classes test the asynchronous methods as well.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from grantway._credentials.async_store import asynchronous
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from grantway._types.token import Token

from .processes import PATIENCE

Result = TypeVar("Result")


class _Loop:
    """Waits for coroutines on a running event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def wait(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Return the result of a coroutine that runs on the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)


class StoreOnLoop:
    """The store on a running event loop; other attributes are those of the inner store."""

    def __init__(self, store: Any, loop: _Loop) -> None:
        self._inner, self._store, self._wait = store, asynchronous(store), loop.wait

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


class TransportOnLoop:
    """The transport on a running event loop."""

    def __init__(self, transport: Any, loop: _Loop) -> None:
        self._transport, self._wait = transport, loop.wait

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """See ``Transport.send``."""
        response: HttpResponse = self._wait(self._transport.send_async(request, deadline))
        return response

    def close(self) -> None:
        """Close the inner transport."""
        self._transport.close()


@contextmanager
def _running() -> Iterator[_Loop]:
    """Run an event loop in a thread during the block, and end it as ``asyncio.run`` does."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield _Loop(loop)
    finally:
        asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


@contextmanager
def transport_on_loop(transport: Any) -> Iterator[TransportOnLoop]:
    """Return a transport whose ``send`` runs the ``send_async`` of this one.

    It runs an event loop in a thread during the block. Use it as ``store_on_loop``.
    """
    with _running() as loop:
        yield TransportOnLoop(transport, loop)


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
    with _running() as loop:
        yield StoreOnLoop(store, loop)
