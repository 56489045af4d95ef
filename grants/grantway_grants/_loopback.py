"""The listener that a browser on this machine comes back to (RFC 8252 section 7.3)."""

from __future__ import annotations

import errno
import hmac
import os
import socket
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, urlsplit

from grantway._exceptions import ConfigurationError, FlowCancelledError, FlowTimeoutError
from grantway._types.quantity import check_seconds

from ._callback import Callback

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
#: What the system says where this machine has no such address.
_NO_SUCH_ADDRESS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class LoopbackListener:
    """Waits for one redirect on this machine.

    Args:
        redirect_uri: As it is registered: http to ``127.0.0.1``, ``[::1]`` or ``localhost``; with
            ``listen`` also https. Without a port, a free one is taken.
        listen: An IP address or ``localhost``, with or without a port, to listen on instead of
            that of ``redirect_uri``.
        ports: Ports to try, in this order, if ``redirect_uri`` has none.

    Attributes:
        redirect_uri: The same with the port that was taken.
        addresses: Host and port of each address that it listens on.

    Raises:
        ConfigurationError: an argument cannot work, or no port could be used; names it.
    """

    def __init__(
        self,
        redirect_uri: str,
        *,
        listen: str | None = None,
        ports: Sequence[int] | None = None,
    ) -> None:
        callback = Callback.of(redirect_uri, listen, ports)
        self._ended = threading.Event()
        self._redirect = ""
        self._state = ""
        self._failure: BaseException | None = None
        self._servers = _bind(self, callback)
        self.redirect_uri = callback.redirect_uri(self._servers[0].server_port)
        self.addresses = [
            (str(server.server_address[0]), server.server_port) for server in self._servers
        ]
        parts = urlsplit(self.redirect_uri)
        self._base = f"{parts.scheme}://{parts.netloc}"
        self.path = parts.path or "/"
        self._threads = [
            threading.Thread(
                target=server.serve_forever,
                args=(_GLANCE,),
                name="grantway-loopback",
                daemon=True,
            )
            for server in self._servers
        ]

    def expect(self, state: str) -> None:
        """Say which redirect is waited for, before the browser is sent out.

        Args:
            state: What the login sends; a redirect with another one is answered and ignored.
        """
        self._state = state

    def fail(self, error: BaseException) -> None:
        """End the wait with an error, which ``wait`` raises."""
        self._failure = error
        self._ended.set()

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
        while not self._ended.wait(min(_GLANCE, max(0.0, end - time.monotonic()))):
            if cancel is not None and cancel.is_set():
                raise FlowCancelledError("The login was cancelled while it waited for the browser.")
            if time.monotonic() >= end:
                raise FlowTimeoutError(
                    f"Nobody finished the login within {timeout:g} s; start it again."
                )
        if self._redirect or self._failure is None:
            return self._redirect
        raise self._failure

    def offer(self, target: str) -> tuple[int, str, str]:
        """Judge one request: status, title and text of the page that answers it."""
        try:
            parts = urlsplit(target)
        except ValueError:  # such as http://[
            parts = urlsplit("")
        if parts.path != self.path:
            return 404, "Not here", "This address only waits for the end of a login."
        given = parse_qs(parts.query, keep_blank_values=True)
        # A page elsewhere could send the browser here to end the login; without the state it
        # changes nothing. Some providers leave the state out of a refusal, which holds no code.
        state = self._state if "error" in given and "state" not in given else given.get("state")
        state = "" if state is None else state if isinstance(state, str) else state[0]
        if not self._state or not hmac.compare_digest(state.encode(), self._state.encode()):
            return 400, "Not this login", "This is not the answer to the login that is waiting."
        if not self._redirect:
            self._redirect = f"{self._base}{target}"
        if "error" in given:
            return 200, "The login did not succeed", "You can close this window."
        return 200, "You are logged in", "You can close this window and return to the program."

    def settle(self) -> None:
        """End the wait if the redirect has come; called once its page is written."""
        if self._redirect:
            self._ended.set()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


def _bind(listener: LoopbackListener, callback: Callback) -> list[_Server]:
    """Listen on the first port that can be used."""
    problems = dict[int, str]()
    for port in callback.ports:
        try:
            return _bind_all(listener, callback.hosts, port)
        except OSError as error:
            problems[port] = error.strerror or type(error).__name__
    told = ", ".join(
        f"port {port} on {' and '.join(callback.hosts)} ({problem})"
        for port, problem in problems.items()
    )
    raise ConfigurationError(
        f"redirect_uri, listen, ports: cannot listen on {told}. End the program that uses the "
        "port, or choose another port that is registered at the provider."
    )


def _bind_all(listener: LoopbackListener, hosts: tuple[str, ...], port: int) -> list[_Server]:
    servers = list[_Server]()
    try:
        for host in hosts:
            try:
                servers.append(_Server(listener, host, port))
            except OSError as error:
                # A machine without IPv6 has one address of localhost only. If another program has
                # the port there, the browser might take the code to it, so that is an error.
                if error.errno not in _NO_SUCH_ADDRESS or (host == hosts[-1] and not servers):
                    raise
            else:
                port = servers[0].server_port
    except OSError:
        for server in servers:
            server.server_close()
        raise
    return servers


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
        super().__init__((host, port), _Page)

    def server_bind(self) -> None:
        """Bind without asking for this machine's name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Drop a broken connection in silence; the traceback would show its address."""


class _Page(BaseHTTPRequestHandler):
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
