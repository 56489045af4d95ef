"""Connections of clients whose requests are forwarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import httptools

from grantway_plugins.server._listening.limited_protocol import LimitedProtocol

from .client_response import ClientResponse
from .forwarder import Forwarder
from .forwarding import Forwarding


class ForwardingProtocol(LimitedProtocol):
    """HTTP/1.1 with limits, which forwards requests without ASGI.

    The listener creates a subclass with its ``limits`` and ``open``.
    """

    #: Returns what to forward a request to a path with, or None if the ASGI application handles it.
    forwarder: Callable[[bytes], Forwarder | None]

    @staticmethod
    def using(found: Callable[[bytes], Forwarder | None]) -> type[ForwardingProtocol]:
        """Return a subclass with this ``forwarder``."""

        class Using(ForwardingProtocol):
            forwarder = staticmethod(found)

        return Using

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._current: Forwarding | None = None

    def data_received(self, data: bytes) -> None:
        """Parse received data, and forward what has arrived of the request."""
        current = self._current
        if current is not None and current.websocket:
            current.tunnel(data)
            return
        super().data_received(data)
        current = self._current
        if current is not None and not self.transport.is_closing():
            current.received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop forwarding."""
        super().connection_lost(exc)
        if self._current is not None:
            self._current.client_lost()
        self.pipeline.clear()

    def on_response_complete(self) -> None:
        """Start the next request."""
        self._current = None
        super().on_response_complete()

    def resume_writing(self) -> None:
        """Continue to send the response."""
        super().resume_writing()
        if self._current is not None:
            self._current.client_writable()

    def abandon(self) -> bool:
        """End the request in progress."""
        if self._current is None:
            return False
        self._current.abandon()
        return True

    def _start(self) -> None:
        offered = self.parser.should_upgrade()
        handshake = offered and self._is_handshake()
        if offered and not handshake:  # the header is parsed again without the offer
            super()._start()
            return
        target = httptools.parse_url(self.url)
        forwarder = self.forwarder(target.path or b"/")
        if forwarder is None:
            super()._start()
            return
        forwarding = Forwarding(self, forwarder, target, websocket=handshake)
        self.cycle = cast("Any", forwarding.response)
        if self._pipelined:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, cast("Any", self.app)))
        else:
            self.open.await_body(self)
            self._current = forwarding  # started by data_received

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if isinstance(cycle, ClientResponse):
            self._current = cycle.forwarding
            # Not at once: thousands of pipelined requests that the gateway rejects would nest.
            self.loop.call_soon(self._current.received)
        else:
            super()._start_asgi_task(cycle, app)

    def _upgraded(self, rest: memoryview) -> None:
        """Keep what the client has sent before the response to its handshake."""
        cycle = cast("object", self.cycle)
        if isinstance(cycle, ClientResponse):
            cycle.forwarding.early += bytes(rest)

    def _is_handshake(self) -> bool:
        """Return whether the request is a WebSocket handshake (RFC 6455 section 4.1)."""
        return (
            self.parser.get_method() == b"GET"
            and self.parser.get_http_version() == "1.1"
            and any(
                name == b"upgrade"
                and any(each.strip().lower() == b"websocket" for each in value.split(b","))
                for name, value in self.headers
            )
        )
