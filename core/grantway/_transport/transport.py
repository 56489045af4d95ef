"""The default transport: HTTP/1.1 over its own connections. Contains no OAuth.

It reports whether a failed request may have reached the server: a failure before any byte of the
body is passed to the socket is ``ConnectionFailedError`` (never sent), a later one
``OutcomeUnknownError``. One deadline covers the whole request and response, even if a server sends
one byte at a time.

``send`` and ``send_async`` run the same coroutine, over streams that block or suspend.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, Self

from grantway._exceptions import TransportError
from grantway._processes.copies import OneProcess
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._types.quantity import MOST_CONNECTIONS, check_count, check_seconds

from .blocking import BlockingStream, run
from .codec import InvalidResponseError, ResponseParser, encode_request
from .connecting import Connector, ProxyRejectedError, connect
from .connections import Connections, IdleConnections
from .content_coding import decompressed
from .deadline import Deadline
from .failures import (
    PROXY_LOGIN,
    deadline_error,
    failure_error,
    proxy_error,
    redirect_error,
    too_large_error,
)
from .http import HttpRequest, HttpResponse
from .limits import CONNECT_TIMEOUT, MAX_RESPONSE, READ_TIMEOUT, USER_AGENT
from .network import Network
from .route import Route, route_to
from .sending import Sending

_USER_AGENT_LINE = f"User-Agent: {USER_AGENT}\r\n"
#: Maximum number of URLs whose routes are kept.
_MOST_ROUTES = 64


class HttpTransport(OneProcess):
    """Sends requests over kept HTTP/1.1 connections, blocking or in an asyncio event loop.

    Thread-safe. Each event loop has its own connections; in an event loop, names are looked up by
    the loop's ``getaddrinfo`` and SOCKS proxies are reached in a thread. An idle connection is
    reused for at most a minute, or for a shorter time if the ``Keep-Alive`` header states one.

    Missing settings come from the environment: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and
    ``NO_PROXY`` (or in lower case), and the certificates of ``REQUESTS_CA_BUNDLE``,
    ``CURL_CA_BUNDLE``, ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``, whichever is set first in this order.
    No netrc is read.

    Args:
        connect_timeout: Seconds to connect, including TLS.
        read_timeout: Seconds for each read of the response.
        max_response: Maximum size of a response in bytes.
        pool_size: Maximum idle connections per host, for threads and for each event loop.
        ca_bundle: Path of the trusted certificates instead of certifi's: a PEM file, or a directory
            prepared by ``openssl rehash``.
        client_certificate: Paths of this client's certificate and its private key, or of one PEM
            file with both, for mutual TLS (RFC 8705). Every new connection reads them again, so a
            rotated certificate needs no restart.
        client_key_password: The password of the private key.
        proxies: A proxy URL, or scheme (``https``, ``http``, ``all``) -> proxy URL; ``{}`` for
            none. A SOCKS proxy requires PySocks.
        no_proxy: Hosts to connect to without a proxy, as in ``NO_PROXY``.
        trust_env: Whether to read missing settings from the environment.
        setting_names: Argument -> its name in errors, for settings from a file.
        public_only: Whether to connect only to hosts on the public internet, for URLs that others
            choose. Addresses are checked after the lookup of the name. A proxy looks up names
            itself, so it must keep requests out of private networks.
        unless_private: With ``public_only``, the URL of a server that the user chose. If it is on a
            private network, other hosts may be as well. Unless the URL contains a private address,
            the server has to prove its name in a TLS connection, without a proxy.

    Raises:
        ConfigurationError: an argument is invalid. The message names it.
    """

    @hides_arguments  # a proxy URL may contain a password
    def __init__(
        self,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        max_response: int = MAX_RESPONSE,
        pool_size: int = 32,
        ca_bundle: str | None = None,
        client_certificate: str | tuple[str, str] | None = None,
        client_key_password: str | None = None,
        proxies: str | Mapping[str, str] | None = None,
        no_proxy: str | None = None,
        trust_env: bool = True,
        setting_names: Mapping[str, str] | None = None,
        public_only: bool = False,
        unless_private: str | None = None,
    ) -> None:
        check_seconds("connect_timeout", connect_timeout)
        check_seconds("read_timeout", read_timeout)
        check_count("max_response", max_response)
        check_count("pool_size", pool_size, most=MOST_CONNECTIONS)
        #: Maximum seconds until the first byte of a response, including connecting.
        self.attempt_seconds = connect_timeout + read_timeout
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._max_response = max_response
        self._network = Network(
            ca_bundle=ca_bundle,
            client_certificate=client_certificate,
            client_key_password=client_key_password,
            proxies=proxies,
            no_proxy=no_proxy,
            trust_env=trust_env,
            names=setting_names,
        )
        del client_key_password  # hide it from tracebacks with locals
        self._connect = connect
        if public_only:
            from .private_networks import PublicOnly  # noqa: PLC0415 - few transports need it

            home = None if unless_private is None else route_to(unless_private, self._network)
            self._connect = PublicOnly(home).connect
        self._connections = Connections(pool_size)
        self._routes: dict[str, Route] = {}

    @classmethod
    def within(cls, timeout: float, **options: Any) -> Self:
        """Return a transport whose timeouts for one attempt fit into the timeout of a call.

        Args:
            timeout: Timeout of the call in seconds.
            **options: Other arguments, such as ``ca_bundle``.
        """
        check_seconds("timeout", timeout)
        connect_timeout = min(CONNECT_TIMEOUT, timeout / 2)
        return cls(
            connect_timeout=connect_timeout,
            read_timeout=min(READ_TIMEOUT, timeout - connect_timeout),
            **options,
        )

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """Send a request once; see ``Transport.send``."""
        idle = self._connections.of_threads()
        return run(self._send(request, deadline, idle, BlockingStream))

    async def send_async(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """Send a request once, in the running event loop; see ``Transport.send``.

        Cancelling the task closes the connection.
        """
        from .event_loop import LoopStream, running_loop  # noqa: PLC0415 - loads asyncio

        idle = self._connections.of_loop(running_loop())
        return await self._send(request, deadline, idle, LoopStream)

    async def _send(
        self, request: HttpRequest, deadline: Deadline, idle: IdleConnections, connector: Connector
    ) -> HttpResponse:
        if deadline.remaining() <= 0:
            raise deadline_error(deadline)
        route = self._routes.get(request.url) or self._route(request.url)
        until = time.monotonic() + self._connect_timeout
        sending = Sending(deadline, self._read_timeout, until)
        outcome: HttpResponse | TransportError
        try:
            response = await self._exchange(request, route, sending, idle, connector)
            outcome = self._outcome(response, request, route)
        except (OSError, InvalidResponseError, ProxyRejectedError) as error:
            outcome = failure_error(error, sending, request, route.proxy, self._network)
        if isinstance(outcome, HttpResponse):
            return outcome
        # Raised outside the except block, because the context holds the request.
        try:
            raise outcome
        finally:
            del outcome  # its traceback holds this frame

    def _outcome(
        self, response: ResponseParser, request: HttpRequest, route: Route
    ) -> HttpResponse | TransportError:
        """Return the response, or the error to raise in a frame without the response's headers."""
        status, headers = response.status or 0, response.headers
        if response.is_redirect:
            return redirect_error(status, headers)
        if status == PROXY_LOGIN and route.proxy is not None and not route.tls:
            return proxy_error(route.proxy, status, request)
        if response.too_large:
            return too_large_error(status, headers, self._max_response)
        return decompressed(status, headers, response.body, self._max_response)

    async def _exchange(
        self,
        request: HttpRequest,
        route: Route,
        sending: Sending,
        idle: IdleConnections,
        connector: Connector,
    ) -> ResponseParser:
        """Send the request and return the response, and keep or close the connection."""
        encoded = encode_request(request, route, _USER_AGENT_LINE)
        stream = idle.take(route.key)
        if stream is None:
            stream = await self._connect(connector, route, self._network, sending)
        response = ResponseParser(self._max_response, head_only=request.method == "HEAD")
        try:
            sending.start(encoded.harmless)
            try:
                # Tracebacks with locals do not show the content of a memoryview.
                await stream.send(memoryview(encoded.data), sending)
                sent = True
            except (BrokenPipeError, ConnectionResetError):
                # A server that rejects the request may respond and close before it read all of it.
                sent = False
            while not (response.complete or response.too_large or response.is_redirect):
                try:
                    response.feed(await stream.receive(sending))
                except OSError as error:
                    if not _is_cut(error):
                        raise
                    response.end(cut=True)
                sending.status = response.status
        except BaseException:
            stream.close()
            raise
        if response.reusable and sent:
            idle.put(route.key, stream, response.idle_seconds)
        else:
            stream.close()
        if response.succeeded and not sent:
            raise InvalidResponseError("the server responded without having the request")
        return response

    def _route(self, url: str) -> Route:
        route = route_to(url, self._network)
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        self._routes[url] = route
        return route

    def close(self) -> None:
        """Close idle connections, of threads and of event loops."""
        self._connections.close()


def _is_cut(error: OSError) -> bool:
    """Return whether a TLS connection ended without the closing message of TLS."""
    ssl = sys.modules.get("ssl")  # only a TLS connection imports it
    return ssl is not None and isinstance(error, ssl.SSLEOFError)
