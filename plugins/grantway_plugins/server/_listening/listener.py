"""Serve an ASGI application on a socket."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

from grantway_plugins.server._tls.certificate import ServerCertificate
from grantway_plugins.server._tls.handshakes import Handshakes

from .acceptor import Acceptor
from .connections import Connections
from .direct import DirectApp
from .direct_protocol import DirectProtocol
from .file_limit import connection_limit
from .limited_protocol import LimitedProtocol
from .limits import Limits

#: Interval at which `shutdown` checks for requests in progress, in seconds.
_PAUSE = 0.01

_log = logging.getLogger("grantway.server")


class Listener(uvicorn.Server):
    """Serves an ASGI application on a socket, with limits.

    Args:
        app: The ASGI application.
        listening: A socket from ``listen``. The listener closes it.
        limits: Limits on connections and requests.
        trusted: Addresses and networks of trusted proxies.
        files_each: Files per connection: 2 if each may open a connection to an upstream.
        forwarded: Whether ``X-Forwarded-For`` and ``-Proto`` of the trusted proxies replace the
            client and scheme that the application sees.
        date: Whether responses have a ``Date`` header.
        certificate: Certificate for TLS; None serves plain HTTP.
        direct: Answers some requests without ASGI; None sends all of them to ``app``.
        protocol: The connections' protocol; by default it depends on ``direct``.
        proxy_only: Names of headers that are removed unless a trusted proxy sends them.
    """

    def __init__(
        self,
        app: Any,
        listening: socket.socket,
        limits: Limits,
        *,
        trusted: Iterable[object] = (),
        files_each: int = 1,
        forwarded: bool = False,
        date: bool = False,
        certificate: ServerCertificate | None = None,
        direct: DirectApp | None = None,
        protocol: type[LimitedProtocol] | None = None,
        proxy_only: Iterable[str] = (),
    ) -> None:
        self._listening = listening
        proxies = [str(each) for each in trusted]
        self._open = Connections(
            connection_limit(limits.connections, files_each), limits.connections_per_peer, proxies
        )
        base = protocol or (LimitedProtocol if direct is None else DirectProtocol)
        self._http: Any = type(
            "Protocol",
            (base,),
            {
                "limits": limits,
                "open": self._open,
                "direct": direct,
                "proxy_only": frozenset(each.lower().encode() for each in proxy_only),
            },
        )
        self._certificate = certificate
        self._handshakes = (
            None
            if certificate is None
            else Handshakes(certificate, self._open, limits.header_seconds)
        )
        self._acceptor: Acceptor | None = None
        self._ready: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                http=self._http,
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                server_header=False,
                date_header=date,
                proxy_headers=forwarded and bool(proxies),
                forwarded_allow_ips=proxies,
                timeout_keep_alive=max(1, round(limits.idle_seconds)),
                timeout_graceful_shutdown=max(1, round(limits.grace_seconds)),
            )
        )

    async def listen(self, ready: Callable[[], None]) -> None:
        """Serve until `stop` is called, then finish the requests in progress.

        Args:
            ready: Called when the server is ready.
        """
        self._ready = ready
        self._loop = asyncio.get_running_loop()
        try:
            await self.serve()
        finally:
            self.close()

    def stop(self) -> None:
        """Make `listen` return. Safe to repeat, in other threads and in signal handlers."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed, so `listen` has returned
                self._loop.call_soon_threadsafe(self._stopping.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start serving."""
        await super().startup(sockets=[])
        self._acceptor = Acceptor(
            self._listening, self._protocol, self._open.lower, self._handshakes
        )
        if self._certificate is not None:
            self._certificate.log()
        self._ready()

    async def main_loop(self) -> None:
        """Update the ``Date`` header and the certificate every second until `stop` is called.

        uvicorn's loop checks only every 0.1 seconds whether to stop.
        """
        while not await self.on_tick(0):
            if self._certificate is not None:
                self._certificate.check()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), timeout=1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, and finish requests within the grace period.

        Unlike uvicorn's method, it returns as soon as the last request is finished.
        """
        if self._acceptor is not None:
            await self._acceptor.stop()
        self.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while state.connections or state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(_PAUSE)
        except TimeoutError:
            abandoned = sum(
                isinstance(each, LimitedProtocol) and each.abandon()
                for each in list(state.connections)
            )
            count = len(state.tasks) + abandoned
            _log.error("the grace period is over; cancelling %d requests", count)
            for task in state.tasks:
                task.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signal handling to the program."""
        yield

    def close(self) -> None:
        """Close the socket; safe to repeat."""
        self._listening.close()

    def connections(self) -> int:
        """Return the number of open connections."""
        return len(self._open)

    def _protocol(self) -> Any:
        return self._http(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
