"""Idle connections for the next requests: of threads, and of each event loop."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Hashable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, finalize

from .stream import Stream

if TYPE_CHECKING:
    import asyncio

#: Maximum number of servers with idle connections.
_MOST_SERVERS = 16
#: Maximum seconds for which a connection is kept. Load balancers and NAT drop older connections,
#: often silently, and a request on such a connection has an unknown outcome.
_MOST_IDLE = 60.0


class IdleConnections:
    """Idle connections, the latest first. Thread-safe.

    Args:
        most: Maximum number for each server.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        #: Server -> connections with the time until which they may be used.
        self._by_key: dict[Hashable, list[tuple[Stream, float]]] = {}
        self._closed = False
        # Close the connections of a transport or event loop that nothing uses any more. A method
        # __del__ could run after the sockets have warned that nothing closed them.
        finalize(self, _close_all, self._by_key)

    def take(self, key: Hashable) -> Stream | None:
        """Return an open connection and remove it, or return None."""
        while True:
            with self._lock:
                streams = self._by_key.get(key)
                if not streams:
                    return None
                stream, until = streams.pop()
                if not streams:
                    del self._by_key[key]  # so that servers in use are the last to be dropped
            if time.monotonic() < until and stream.is_idle():
                return stream
            stream.close()

    def put(self, key: Hashable, stream: Stream, seconds: float) -> None:
        """Keep a connection for the next request, at most for some seconds, or close it."""
        kept = stream, time.monotonic() + min(seconds, _MOST_IDLE)
        surplus = [kept]
        with self._lock:
            if not self._closed:
                streams = self._by_key.get(key)
                if streams is None:
                    if len(self._by_key) >= _MOST_SERVERS:
                        surplus += self._by_key.pop(next(iter(self._by_key)))
                    streams = self._by_key[key] = []
                if len(streams) < self._most:
                    streams.append(kept)
                    del surplus[0]
        for each, _ in surplus:
            each.close()

    def close(self) -> None:
        """Close all connections, and those that are put back later."""
        with self._lock:
            self._closed = True
            _close_all(self._by_key)


def _close_all(by_key: dict[Hashable, list[tuple[Stream, float]]]) -> None:
    for streams in by_key.values():
        for stream, _ in streams:
            stream.close()
    by_key.clear()


class Connections:
    """The idle connections of a transport. Thread-safe.

    A connection of an event loop is used in that loop alone. A forked process starts without
    connections: processes that share one could read each other's tokens.

    Args:
        most: Maximum idle connections for each server, and for each event loop.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        #: Connections from before a fork. They are still referenced, because garbage collection
        #: would close them.
        self._inherited: list[object] = []
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._of_threads = IdleConnections(self._most)
        self._of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, IdleConnections] = (
            WeakKeyDictionary()
        )
        self._process = os.getpid()  # last, so that no thread uses connections from before a fork

    def _notice_fork(self) -> None:
        if self._process != os.getpid():
            self._inherited += [self._of_threads, self._of_loops, *self._of_loops.values()]
            self._start()

    def of_threads(self) -> IdleConnections:
        """Return the connections that block."""
        self._notice_fork()
        return self._of_threads

    def of_loop(self, loop: asyncio.AbstractEventLoop) -> IdleConnections:
        """Return the connections of an event loop."""
        self._notice_fork()
        idle = self._of_loops.get(loop)
        if idle is None:
            with self._lock:
                for each, old in list(self._of_loops.items()):
                    if each.is_closed():
                        old.close()
                        del self._of_loops[each]
                idle = self._of_loops.setdefault(loop, IdleConnections(self._most))
        return idle

    def close(self) -> None:
        """Close the idle connections. Those in use are closed after their response."""
        self._notice_fork()
        with self._lock:
            closing = [self._of_threads, *self._of_loops.values()]
            self._of_threads = IdleConnections(self._most)
            self._of_loops.clear()
        for each in closing:
            each.close()
