"""Listen for the redirect of a login on this machine (RFC 8252 section 7.3)."""

from __future__ import annotations

import contextlib
import errno
import hmac
import os
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, urlsplit

from grantway._exceptions import ConfigurationError, FlowCancelledError, FlowTimeoutError
from grantway._requests.steps import Wait
from grantway._types.quantity import check_seconds

from ._callback import Callback

if TYPE_CHECKING:
    from typing import Self

    from ._flow import Flow

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{text}</p></body>
</html>
"""
#: Timeout of a connection in seconds.
_TIMEOUT = 10
#: Seconds between checks whether to stop listening.
_POLL_SECONDS = 0.02
#: Errors of the system if the machine does not have the address.
_NO_SUCH_ADDRESS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class LoopbackListener:
    """Waits for one redirect on this machine, in threads.

    Args:
        redirect_uri: The registered redirect URI: http to ``127.0.0.1``, ``[::1]`` or
            ``localhost``; with ``listen`` also https. Without a port, a free one is used.
        listen: An IP address or ``localhost``, with or without a port, to listen on instead of
            the address in ``redirect_uri``.
        ports: Ports to try, in this order, if ``redirect_uri`` has none. A 0 at the end stands for
            any free port.

    Attributes:
        redirect_uri: The redirect URI with the port in use.
        addresses: Host and port of each address in use.

    Raises:
        ConfigurationError: an argument is invalid, or no port is available. The message names it.
    """

    def __init__(
        self,
        redirect_uri: str,
        *,
        listen: str | None = None,
        ports: Sequence[int] | None = None,
    ) -> None:
        callback = Callback.of(redirect_uri, listen, ports)
        #: Ends with the redirect, or with the error of ``fail``.
        self.ended: Future[str] = Future()
        self._redirect = ""
        self._state = ""
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
                args=(_POLL_SECONDS,),
                name="grantway-loopback",
                daemon=True,
            )
            for server in self._servers
        ]

    def expect(self, state: str) -> None:
        """Set the state of the expected redirect, before the browser is opened.

        Args:
            state: The state of the login; redirects with another state are ignored.
        """
        self._state = state

    def fail(self, error: BaseException) -> None:
        """End the wait with an error, unless the redirect has arrived."""
        if not self._redirect:
            with contextlib.suppress(InvalidStateError):
                self.ended.set_exception(error)

    def redirect(self, timeout: float) -> Flow[str]:
        """Wait for the redirect with the expected state, and return its URL.

        Args:
            timeout: Seconds to wait.

        Raises:
            FlowTimeoutError: no redirect arrived in time.
            FlowCancelledError: the caller cancelled the login.
        """
        check_seconds("timeout", timeout)
        cancelled = yield Wait(timeout, until=self.ended)
        if self.ended.done():
            return self.ended.result()
        if cancelled:
            raise FlowCancelledError("The login was cancelled while it waited for the browser.")
        raise FlowTimeoutError(
            f"The login was not finished within {timeout:g} s; start it again. If the browser "
            f"showed an error, check that the provider knows the client and {self.redirect_uri}."
        )

    def respond(self, target: str) -> tuple[int, str, str]:
        """Accept or reject a request; return the status, title and text of the response."""
        try:
            parts = urlsplit(target)
        except ValueError:  # such as http://[
            parts = urlsplit("")
        if parts.path != self.path:
            return 404, "Page not found", "This address only receives the redirect of a login."
        given = parse_qs(parts.query, keep_blank_values=True)
        # Another site could redirect the browser here, but it does not know the state. Some
        # providers omit the state in an error, which contains no code.
        state = self._state if "error" in given and "state" not in given else given.get("state")
        state = "" if state is None else state if isinstance(state, str) else state[0]
        if not self._state or not hmac.compare_digest(state.encode(), self._state.encode()):
            return 400, "Wrong login", "This redirect does not belong to the login in progress."
        if not self._redirect:
            self._redirect = f"{self._base}{target}"
        if "error" in given:
            return 200, "The login failed", "You can close this window."
        return 200, "You are logged in", "You can close this window and return to the program."

    def finish(self) -> None:
        """End the wait if the redirect has arrived; called after its page was sent."""
        if self._redirect:
            with contextlib.suppress(InvalidStateError):
                self.ended.set_result(self._redirect)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_exc: object) -> None:
        from grantway._processes.threads import in_thread  # noqa: PLC0415 - loads asyncio

        await in_thread(self.close)

    def close(self) -> None:
        """Stop listening. This waits for the threads of the listener."""
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


def _bind(listener: LoopbackListener, callback: Callback) -> list[_Server]:
    """Listen on the first available port."""
    problems = dict[int, str]()
    for port in callback.ports:
        try:
            return _bind_all(listener, callback.hosts, port)
        except OSError as error:
            problems[port] = error.strerror or type(error).__name__
    failed = ", ".join(
        f"port {port} on {' and '.join(callback.hosts)} ({problem})"
        for port, problem in problems.items()
    )
    raise ConfigurationError(
        f"redirect_uri, listen, ports: cannot listen on {failed}. Stop the program that uses the "
        "port, or choose another port that is registered at the provider."
    )


def _bind_all(listener: LoopbackListener, hosts: tuple[str, ...], port: int) -> list[_Server]:
    servers = list[_Server]()
    try:
        for host in hosts:
            try:
                servers.append(_Server(listener, host, port))
            except OSError as error:
                # A machine without IPv6 has only one address of localhost. If another program uses
                # the port on the other address, it could receive the code, so that is an error.
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
    # On Windows, reuse would let a second login share the port and receive the first one's
    # redirect. Elsewhere it only allows to use a port again right after it was closed.
    allow_reuse_address = os.name != "nt"
    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: LoopbackListener, host: str, port: int) -> None:
        self.listener = listener
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Page)

    def server_bind(self) -> None:
        """Bind without looking up the name of this machine, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore connection errors; a traceback would show the redirect."""


class _Page(BaseHTTPRequestHandler):
    timeout = _TIMEOUT
    server_version = "grantway"
    sys_version = ""

    def do_GET(self) -> None:
        """Send a page, and report the redirect."""
        listener = cast("_Server", self.server).listener
        status, title, text = listener.respond(self.path)
        try:
            self._show(status, title, text)
        finally:
            # After the page was sent, because the program may exit after the login.
            listener.finish()

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
        """Log nothing, because the request line contains the code."""
