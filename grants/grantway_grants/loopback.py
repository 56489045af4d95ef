"""The listener that a browser on this machine comes back to (RFC 8252 section 7.3)."""

from __future__ import annotations

import hmac
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, urlsplit

from grantway.exceptions import ConfigurationError, FlowCancelledError, FlowTimeoutError
from grantway.quantity import check_seconds

if TYPE_CHECKING:
    from typing import Self

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{text}</p></body>
</html>
"""
#: Seconds a connection may keep a thread of the listener.
_PATIENCE = 10
#: Seconds between two looks at ``cancel``, and at whether to stop listening.
_GLANCE = 0.02


class LoopbackListener:
    """Waits for one redirect on this machine.

    Args:
        redirect_uri: ``http://127.0.0.1/...`` or ``http://[::1]/...``; without a port a free one
            is taken.

    Attributes:
        redirect_uri: The same with the port that was taken.

    Raises:
        ConfigurationError: the address is not of this machine, or its port is in use.
    """

    def __init__(self, redirect_uri: str) -> None:
        try:
            parts = urlsplit(redirect_uri)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        # Names such as localhost may lead elsewhere (RFC 8252 section 8.3).
        if host not in ("127.0.0.1", "::1") or parts.scheme != "http" or parts.fragment:
            raise ConfigurationError(
                "redirect_uri: a login on this machine comes back to http://127.0.0.1/... or "
                "http://[::1]/..., without a fragment."
            )
        self._arrived = threading.Event()
        self._redirect = ""
        self._state = ""
        try:
            self._server = _Server(self, host, port or 0)
        except OSError as error:
            raise ConfigurationError(
                f"redirect_uri: port {port} cannot be used ({error.strerror}); leave it "
                "out to take a free one."
            ) from None
        shown = f"[{host}]" if ":" in host else host
        self._base = f"http://{shown}:{self._server.server_port}"
        self.path = parts.path or "/"
        self.redirect_uri = f"{self._base}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(_GLANCE,),
            name="grantway-loopback",
            daemon=True,
        )

    def expect(self, state: str) -> None:
        """Say which redirect is waited for, before the browser is sent out.

        Args:
            state: What the login sends; a redirect with another one is answered and ignored.
        """
        self._state = state

    def wait(self, *, timeout: float, cancel: threading.Event | None = None) -> str:
        """Wait for the redirect that carries the expected state.

        Args:
            timeout: Seconds.
            cancel: Ends the wait at once when it is set.

        Returns:
            The whole address that the browser was sent to.

        Raises:
            FlowTimeoutError: nobody came.
            FlowCancelledError: ``cancel`` was set.
        """
        check_seconds("timeout", timeout)
        end = time.monotonic() + timeout
        while not self._arrived.wait(min(_GLANCE, max(0.0, end - time.monotonic()))):
            if cancel is not None and cancel.is_set():
                raise FlowCancelledError("The login was cancelled while it waited for the browser.")
            if time.monotonic() >= end:
                raise FlowTimeoutError(
                    f"Nobody finished the login within {timeout:g} s; start it again."
                )
        return self._redirect

    def offer(self, target: str) -> tuple[int, str, str]:
        """Judge one request: status, title and text of the page that answers it."""
        try:
            parts = urlsplit(target)
        except ValueError:  # such as http://[
            parts = urlsplit("")
        if parts.path != self.path:
            return 404, "Not here", "This address only waits for the end of a login."
        given = parse_qs(parts.query).get("state", [""])
        # A page elsewhere could send the browser here to end the login; without the state it
        # changes nothing.
        if not self._state or not hmac.compare_digest(given[0].encode(), self._state.encode()):
            return 400, "Not this login", "This is not the answer to the login that is waiting."
        if not self._redirect:
            self._redirect = f"{self._base}{target}"
        if "error" in parse_qs(parts.query):
            return 200, "The login did not succeed", "You can close this window."
        return 200, "You are logged in", "You can close this window and return to the program."

    def settle(self) -> None:
        """End the wait if the redirect has come; called once its page is written."""
        if self._redirect:
            self._arrived.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    # A second login must not share the port and take the first one's redirect. On Windows this
    # would let it; elsewhere it spares the next login the minute for which a closed port rests.
    allow_reuse_address = os.name != "nt"
    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: LoopbackListener, host: str, port: int) -> None:
        self.listener = listener
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Callback)

    def handle_error(self, request: object, client_address: object) -> None:
        """Drop a broken connection in silence; the traceback would show its address."""


class _Callback(BaseHTTPRequestHandler):
    timeout = _PATIENCE
    server_version = "grantway"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with a page, and hand the redirect over."""
        listener = cast("_Server", self.server).listener
        status, title, text = listener.offer(self.path)
        try:
            self._show(status, title, text)
        finally:
            # Only now, since the program may end with the login.
            listener.settle()

    def _show(self, status: int, title: str, text: str) -> None:
        body = _PAGE.format(title=title, text=text).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Log nothing: the request line holds the code."""
