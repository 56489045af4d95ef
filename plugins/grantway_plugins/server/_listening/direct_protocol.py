"""HTTP/1.1 with limits, and with answers to complete requests without ASGI."""

from __future__ import annotations

import logging
from typing import Any, cast

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from .direct import DirectApp, DirectCycle, DirectRequest
from .limited_protocol import LimitedProtocol

_log = logging.getLogger("grantway.server")


class DirectProtocol(LimitedProtocol):
    """Answers requests without ASGI if they arrive complete.

    The listener creates a subclass with its ``limits``, ``open`` and ``direct``.
    """

    direct: DirectApp

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._body: list[bytes] | None = None  # of a direct request that is being read

    def data_received(self, data: bytes) -> None:
        """Parse received data; send a request that is still incomplete to the ASGI application."""
        super().data_received(data)
        if self._body is not None:
            parts, self._body = self._body, None
            if not self.transport.is_closing():
                super()._start()
                for part in parts:
                    super().on_body(part)

    def on_body(self, body: bytes) -> None:
        """Receive a part of a body."""
        if self._body is None:
            super().on_body(body)
        else:
            self._unread = 0
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Answer a direct request."""
        if self._body is None:
            super().on_message_complete()
            return
        body, self._body = b"".join(self._body), None
        self._unread = 0
        self._in_header = True
        self.open.await_response(self)
        cycle = DirectCycle(self, keep_alive=self.parser.should_keep_alive())
        self.cycle = cast("Any", cycle)
        try:
            request = DirectRequest(self.url, self.headers, body, self._peer())
            self.direct.answer(request, cycle.respond)
        except Exception as error:  # noqa: BLE001 - the server must go on
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Reject a direct request that failed; log no text, which may contain a secret."""
        _log.error("A request failed: %s", type(error).__name__)
        self._end(b"500 Internal Server Error", b"the request failed")

    def abandon(self) -> bool:
        """Answer a direct request that is in progress when the server stops.

        Returns:
            False if there is none.
        """
        cycle: object = self.cycle
        if not isinstance(cycle, DirectCycle) or cycle.response_complete:
            return False
        self._end(b"503 Service Unavailable", b"the server stopped", b"retry-after: 1\r\n")
        return True

    def _start(self) -> None:
        if (
            self.url in self.direct.direct_targets
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and not self._pipelined
            and not self.flow.write_paused
        ):
            self._body = []
        else:
            super()._start()

    def _peer(self) -> str:
        """Return the address of the client."""
        host = self.client[0] if self.client else ""
        proxies = self.app.trusted_hosts if isinstance(self.app, ProxyHeadersMiddleware) else None
        if proxies is None or host not in proxies:
            return host
        forwarded = b", ".join(value for name, value in self.headers if name == b"x-forwarded-for")
        return proxies.get_trusted_client_address(forwarded.decode("latin-1"))[0] or host
