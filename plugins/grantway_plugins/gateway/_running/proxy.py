"""A streaming reverse proxy from routes to their upstreams."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from grantway._transport.network import Network
from grantway_plugins.gateway._config.limits import GatewayLimits
from grantway_plugins.gateway.upstream._asgi_middleware import ROUTE, TENANT
from grantway_plugins.gateway.upstream._route import Route
from grantway_plugins.gateway.upstream._tenant import EVERYBODY
from grantway_plugins.server._http.asgi import Receive, Scope, Send, send_response
from grantway_plugins.server._http.peer_networks import Networks
from grantway_plugins.server._http.wire import WireResponse
from grantway_plugins.server._listening.peers import Shares

from .headers import (
    Pair,
    UpstreamResponseError,
    check_status,
    response_headers,
    upstream_headers,
)
from .location import host_and_port, rewritten
from .request_body import SMALL, BodyRejectedError, RequestBody

#: Interval in seconds at which a slow request checks whether its client has disconnected.
_LOOK = 0.5
_INVALID = "invalid_request"
_LOCATIONS = frozenset({b"location", b"content-location"})
_BODILESS = frozenset({204, 304})
#: Maximum bytes of one response header.
_HEADER = 65_536

_log = logging.getLogger("grantway.gateway")


@dataclass(frozen=True, slots=True)
class Target:
    """The upstream of a route.

    Attributes:
        origin: Scheme, host and port, such as ``http://127.0.0.1:9000``.
        prefix: Path to add before the path of a request.
        stripped: Prefix to remove from the path of a request.
        host: The ``Host`` to send; empty to forward that of the request.
        timeout: Timeouts of one request.
        tls: Trusted certificates and client certificate; True for the system's defaults.
        rewrites: Whether to rewrite ``Location`` and ``Content-Location`` to lead to the gateway.
    """

    origin: str
    prefix: str
    stripped: str
    host: bytes
    timeout: aiohttp.ClientTimeout
    tls: ssl.SSLContext | bool
    rewrites: bool = False

    @classmethod
    def of(cls, route: Mapping[str, Any], network: Network | None = None) -> Target | None:
        """Return the target of a route, or None if the route has no upstream.

        Args:
            route: The table of the route in the file.
            network: Trusted certificates and client certificate; None for the system's defaults.
        """
        if "upstream" not in route:
            return None
        parts = urlsplit(route["upstream"])
        return cls(
            origin=f"{parts.scheme}://{parts.netloc}",
            prefix=parts.path.rstrip("/"),
            stripped=route["path"].rstrip("/") if route["strip_path"] else "",
            host=b"" if route["keep_host"] else parts.netloc.encode("ascii"),
            timeout=aiohttp.ClientTimeout(
                total=None,
                # sock_connect does not include the DNS lookup; connect includes everything.
                connect=route["connect_timeout"],
                sock_connect=route["connect_timeout"],
                sock_read=route["answer_timeout"],
            ),
            tls=True if network is None or parts.scheme == "http" else network.ssl_context(),
            rewrites=route.get("rewrite_location", False),
        )

    def url(self, path: str, query: str) -> URL:
        """Return the upstream URL of a request, without encoding it again."""
        rest = path.removeprefix(self.stripped) or "/"
        return URL(f"{self.origin}{self.prefix}{rest}{'?' if query else ''}{query}", encoded=True)

    def rewritten(self, headers: Sequence[Pair], host: bytes) -> list[Pair]:
        """Return the headers of a response, with URLs at the upstream leading to the gateway.

        Args:
            headers: Headers of the response.
            host: ``Host`` of the forwarded request.
        """
        if not self.rewrites:
            return list(headers)
        hosts = (host_and_port(self.origin), host_and_port(f"//{host.decode('latin-1').lower()}"))
        return [
            (name, rewritten(value, hosts=hosts, prefix=self.prefix, added=self.stripped))
            if name in _LOCATIONS
            else (name, value)
            for name, value in headers
        ]


def open_session() -> aiohttp.ClientSession:
    """Return a connection pool for all upstreams. Call it in the event loop that uses it."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        max_line_size=_HEADER,
        max_field_size=_HEADER,
    )


class Proxy:
    """The ASGI application that forwards requests, behind the middleware that adds tokens.

    Args:
        targets: Upstreams by route name.
        session: Connections to the upstreams.
        trusted: Peers whose ``X-Forwarded-*`` headers are trusted.
        limits: Limits on the size and duration of a request's body.
        tenants: Number of requests in progress by tenant.
    """

    def __init__(
        self,
        targets: Mapping[str, Target],
        session: aiohttp.ClientSession,
        *,
        trusted: Networks,
        limits: GatewayLimits,
        tenants: Shares,
    ) -> None:
        self._targets, self._session = targets, session
        self._trusted = trusted
        self._limits, self._tenants = limits, tenants

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request."""
        route: Route | None = scope.get(ROUTE)
        target = None if route is None else self._targets.get(route.name)
        rejection = _rejection(scope)
        if target is None:
            await _send_error(send, 404, "not_found", "No route matches this host and path")
        elif rejection is not None:
            await _send_error(send, rejection[0], _INVALID, rejection[1])
        else:
            forwarding = _Forwarding(
                self, target, scope["raw_path"].decode(), scope=scope, receive=receive, send=send
            )
            await self._run(forwarding, scope, send)

    async def _run(self, forwarding: _Forwarding, scope: Scope, send: Send) -> None:
        tenant = scope.get(TENANT)
        key = None if tenant in {"", EVERYBODY} else tenant
        if not self._tenants.take(key):
            await send_response(send, too_many("of this tenant"))
            return
        try:
            await forwarding.run()
        finally:
            self._tenants.give_back(key)

    def body(self, scope: Scope, receive: Receive) -> RequestBody | None:
        """Return the body of a request, or None if it has none.

        Raises:
            BodyRejectedError: ``Content-Length`` exceeds the limit.
        """
        found = dict(scope["headers"])
        if b"transfer-encoding" in found:
            return RequestBody(receive, None, self._limits)
        length = int(found.get(b"content-length", b"0"))
        if not length:
            return None
        return RequestBody(receive, length, self._limits)

    def open(
        self, target: Target, scope: Scope, path: str, data: Any
    ) -> Any:  # aiohttp's context manager of a request
        """Send a request to an upstream."""
        host = target.host or dict(scope["headers"]).get(b"host", b"")
        headers = upstream_headers(scope, host, self._trusted)
        query = scope["query_string"].decode("ascii")
        return self._session.request(
            scope["method"],
            target.url(path, query),
            # aiohttp encodes headers as UTF-8, so decoding as UTF-8 keeps every byte.
            headers=CIMultiDict((name.decode(), value.decode()) for name, value in headers),
            data=data,
            allow_redirects=False,
            timeout=target.timeout,
            ssl=target.tls,
        )


class _Forwarding:
    """The forwarding of one request and its response."""

    def __init__(
        self, proxy: Proxy, target: Target, path: str, *, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._proxy, self._target, self._path = proxy, target, path
        self._scope, self._receive, self._send = scope, receive, send
        self._begun = False
        self._gone = False
        self._body: RequestBody | None = None

    async def run(self) -> None:
        """Forward the request, and respond with an error if that fails."""
        passing = asyncio.current_task()
        assert passing is not None  # an ASGI server runs each request in a task
        watch: asyncio.Task[None] | None = None

        def look() -> None:
            nonlocal watch
            watch = asyncio.create_task(self._cancel_when_client_disconnects(passing))

        timer = asyncio.get_running_loop().call_later(_LOOK, look)
        try:
            await self._pass()
        except asyncio.CancelledError:
            if self._gone:
                passing.uncancel()
                return
            if not self._begun:  # the grace period of a stopping server is over
                message = "The gateway is stopping"
                await _send_error(self._send, 503, "temporarily_unavailable", message)
            raise
        finally:
            timer.cancel()
            if watch is not None:
                watch.cancel()

    async def _cancel_when_client_disconnects(self, passing: asyncio.Task[Any]) -> None:
        while self._body is not None and not self._body.ended:
            if self._body.problem is not None:
                return
            await asyncio.sleep(_LOOK)  # while the body is read, its reader detects this
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        passing.cancel()

    async def _pass(self) -> None:
        try:
            data = await self._data()
            async with self._proxy.open(self._target, self._scope, self._path, data) as response:
                await self._back(response)
        except BodyRejectedError as error:
            await self._fail(error.status, _INVALID, str(error))
        except UnicodeDecodeError:
            await self._fail(400, _INVALID, "A header is not UTF-8")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            problem = None if self._body is None else self._body.problem
            if problem is not None:
                await self._fail(problem.status, _INVALID, str(problem))
                return
            reason = (
                str(error) if isinstance(error, UpstreamResponseError) else type(error).__name__
            )
            _log.warning("%s: %s", self._target.origin, reason)
            if isinstance(error, TimeoutError) and not isinstance(
                error, aiohttp.ConnectionTimeoutError
            ):
                await self._fail(504, "gateway_timeout", "The upstream did not respond in time")
            else:
                await self._fail(502, "bad_gateway", "The upstream gave no valid response")

    async def _data(self) -> Any:
        self._body = self._proxy.body(self._scope, self._receive)
        if self._body is None:
            return None
        if self._body.length is not None and self._body.length <= SMALL:
            return await self._body.whole()
        return self._body.pieces()

    async def _back(self, response: aiohttp.ClientResponse) -> None:
        try:
            check_status(response.status)
            bodiless = response.status in _BODILESS
            headers = response_headers(response.raw_headers, bodiless=bodiless)
        except UpstreamResponseError:
            response.close()  # do not reuse its connection
            raise
        host = response.request_info.headers.get("host", "").encode("latin-1")
        await self._send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": self._target.rewritten(headers, host),
            }
        )
        self._begun = True
        async for piece in response.content.iter_any():
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def _fail(self, status: int, code: str, message: str) -> None:
        """Respond with an error, or leave a response that has started incomplete.

        The server then closes the connection, so the client detects the incomplete response.
        """
        if not self._begun and status:
            unread = code == _INVALID or (self._body is not None and not self._body.ended)
            await _send_error(self._send, status, code, message, close=unread)


def _rejection(scope: Scope) -> tuple[int, str] | None:
    """Return the status and message if no route can forward the request, or None."""
    for name, value in scope["headers"]:
        # Offers of other protocols may be ignored (RFC 9110 section 7.8).
        if name == b"upgrade" and b"websocket" in value.lower():
            return 501, "The gateway does not forward WebSockets"
        if name == b"expect" and value.lower() != b"100-continue":
            return 417, "Expect supports only 100-continue"
    return None


def too_many(whose: str = "") -> WireResponse:
    """Return the response to a request over a limit."""
    message = " ".join(["Too many requests", *([whose] if whose else []), "are in progress"])
    members = {"error": "temporarily_unavailable", "error_description": message}
    headers = (
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"retry-after", b"1"),
        (b"connection", b"close"),  # the body is not read
    )
    return WireResponse(503, headers, json.dumps(members).encode())


async def _send_error(
    send: Send, status: int, code: str, message: str, *, close: bool = False
) -> None:
    members = {"error": code, "error_description": message}
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if close or status in {HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.EXPECTATION_FAILED}:
        headers.append((b"connection", b"close"))
    await send_response(send, WireResponse(status, tuple(headers), json.dumps(members).encode()))
