"""One address, and the ASGI application that answers there, in an event loop."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from .accepting import Acceptor
from .bounded import BoundedProtocol
from .connections import Connections
from .files import affordable
from .limits import Limits


class Listener(uvicorn.Server):
    """Answers on a socket, within limits.

    Args:
        app: The ASGI application.
        listening: The socket, as ``listen`` opens it. The listener closes it.
        limits: What callers may take.
        trusted: Addresses and networks of proxies, which many callers share.
        files_each: Files that one connection needs: 2 where each may open one to an upstream.
        forwarded: Whether ``X-Forwarded-For`` and ``-Proto`` of the trusted proxies replace the
            client and scheme that the application sees.
        date: Whether responses have a ``Date``.
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
    ) -> None:
        self._listening = listening
        proxies = [str(each) for each in trusted]
        self._open = Connections(
            affordable(limits.connections, files_each), limits.connections_per_peer, proxies
        )
        self._http: Any = type(
            "Protocol", (BoundedProtocol,), {"limits": limits, "open": self._open}
        )
        self._acceptor: Acceptor | None = None
        self._ready: Callable[[], None] = lambda: None
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
        """Answer until ``should_exit`` is set, then finish the requests in progress.

        Args:
            ready: Called when requests are answered.
        """
        self._ready = ready
        try:
            await self.serve()
        finally:
            self.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets=[])
        self._acceptor = Acceptor(self._listening, self._protocol, self._open.lower)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, and finish."""
        if self._acceptor is not None:
            await self._acceptor.stop()
        self.close()
        await super().shutdown(sockets=[])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the program."""
        yield

    def close(self) -> None:
        """Close the address; safe to repeat."""
        self._listening.close()

    def _protocol(self) -> Any:
        return self._http(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
