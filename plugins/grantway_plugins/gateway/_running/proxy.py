"""A reverse proxy that streams: requests to where their routes lead, and the answers back."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from grantway._transport.network import Network
from grantway_plugins.gateway._config.limits import GatewayLimits
from grantway_plugins.gateway.upstream._asgi_middleware import TENANT, facts_of
from grantway_plugins.gateway.upstream._route import Route
from grantway_plugins.gateway.upstream._tenant import EVERYBODY
from grantway_plugins.server._http.asgi import Receive, Scope, Send, send_response
from grantway_plugins.server._http.wire import WireResponse
from grantway_plugins.server._listening.peers import Shares

from .headers import AnswerError, Networks, Pair, answer_headers, check_status, upstream_headers
from .location import place_of, rewritten
from .request_body import SMALL, BodyRefusedError, RequestBody

#: Seconds after which it is looked at whether a request's sender still waits.
_LOOK = 0.5
_INVALID = "invalid_request"
_LOCATIONS = frozenset({b"location", b"content-location"})
_BODILESS = frozenset({204, 304})
#: Bytes of one header of an answer.
_HEADER = 65_536

_log = logging.getLogger("grantway.gateway")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a route leads.

    Attributes:
        origin: Scheme, host and port, as ``http://127.0.0.1:9000``.
        prefix: What stands before the path there.
        stripped: What is left out of the request's path at its beginning.
        host: The ``Host`` to send; empty for the one that came.
        timeout: For one request.
        tls: Whom to trust and which certificate to show; True for the system's default.
        rewrites: Whether ``Location`` and ``Content-Location`` are made to lead to the gateway.
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
        """Return the target of a route's table in the file; None for one that only gives tokens.

        Args:
            route: The table.
            network: Whom to trust and which certificate to show; None for the system's default.
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
                # Over all of it: the other one leaves out the time that finding its address takes.
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
        """The headers of an answer, with addresses at the upstream led to the gateway.

        Args:
            headers: Of the answer.
            host: The ``Host`` of the request that was sent.
        """
        if not self.rewrites:
            return list(headers)
        hosts = (place_of(self.origin), place_of(f"//{host.decode('latin-1').lower()}"))
        return [
            (name, rewritten(value, hosts=hosts, prefix=self.prefix, added=self.stripped))
            if name in _LOCATIONS
            else (name, value)
            for name, value in headers
        ]


def open_session() -> aiohttp.ClientSession:
    """The connections to all upstreams; made in the event loop that uses them."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        max_line_size=_HEADER,
        max_field_size=_HEADER,
    )


class Proxy:
    """An ASGI application; behind the middleware that puts the tokens in.

    Args:
        find: Gives the route of a host and a path.
        targets: Route name -> where it leads.
        session: The connections.
        trusted: Peers whose ``X-Forwarded-*`` are believed.
        limits: Size and time of a request's body.
        tenants: Requests in progress of each tenant.
    """

    def __init__(
        self,
        find: Callable[[str, str], Route | None],
        targets: Mapping[str, Target],
        session: aiohttp.ClientSession,
        *,
        trusted: Networks,
        limits: GatewayLimits,
        tenants: Shares,
    ) -> None:
        self._find, self._targets, self._session = find, targets, session
        self._trusted = trusted
        self._limits, self._tenants = limits, tenants

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        facts = facts_of(scope)
        route = self._find(facts.host, facts.raw)
        target = None if route is None else self._targets.get(route.name)
        refusal = _unfit(scope)
        if target is None:
            await _say(send, 404, "not_found", "Nothing is behind this host and path")
        elif refusal is not None:
            await _say(send, refusal[0], _INVALID, refusal[1])
        else:
            passage = _Passage(self, target, facts.raw, scope=scope, receive=receive, send=send)
            await self._run(passage, scope, send)

    async def _run(self, passage: _Passage, scope: Scope, send: Send) -> None:
        tenant = scope.get(TENANT)
        key = None if tenant in {"", EVERYBODY} else tenant
        if not self._tenants.take(key):
            await send_response(send, too_many("of this tenant"))
            return
        try:
            await passage.run()
        finally:
            self._tenants.give_back(key)

    def body(self, scope: Scope, receive: Receive) -> RequestBody | None:
        """The request's body, or None where it has none.

        Raises:
            BodyRefusedError: it says that it is too large.
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
        """Begin a request to an upstream."""
        host = target.host or dict(scope["headers"]).get(b"host", b"")
        headers = upstream_headers(scope, host, self._trusted)
        query = scope["query_string"].decode("ascii")
        return self._session.request(
            scope["method"],
            target.url(path, query),
            # As UTF-8, which the library writes headers in: so every byte stays what it was.
            headers=CIMultiDict((name.decode(), value.decode()) for name, value in headers),
            data=data,
            allow_redirects=False,
            timeout=target.timeout,
            ssl=target.tls,
        )


class _Passage:
    """One request, there and back."""

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
        assert passing is not None  # an ASGI server runs it in one
        watch: asyncio.Task[None] | None = None

        def look() -> None:
            nonlocal watch
            watch = asyncio.create_task(self._until_gone(passing))

        timer = asyncio.get_running_loop().call_later(_LOOK, look)
        try:
            await self._pass()
        except asyncio.CancelledError:
            if self._gone:
                passing.uncancel()
                return
            if not self._begun:  # the server is stopping, and has waited for long enough
                await _say(self._send, 503, "temporarily_unavailable", "The gateway is stopping")
            raise
        finally:
            timer.cancel()
            if watch is not None:
                watch.cancel()

    async def _until_gone(self, passing: asyncio.Task[Any]) -> None:
        while self._body is not None and not self._body.ended:
            if self._body.problem is not None:
                return
            await asyncio.sleep(_LOOK)  # until then, who reads the body notices
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        passing.cancel()

    async def _pass(self) -> None:
        try:
            data = await self._data()
            async with self._proxy.open(self._target, self._scope, self._path, data) as answer:
                await self._back(answer)
        except BodyRefusedError as error:
            await self._fail(error.status, _INVALID, str(error))
        except UnicodeDecodeError:
            await self._fail(400, _INVALID, "A header is not UTF-8")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            problem = None if self._body is None else self._body.problem
            if problem is not None:
                await self._fail(problem.status, _INVALID, str(problem))
                return
            reason = str(error) if isinstance(error, AnswerError) else type(error).__name__
            _log.warning("%s: %s", self._target.origin, reason)
            if isinstance(error, TimeoutError) and not isinstance(
                error, aiohttp.ConnectionTimeoutError
            ):
                await self._fail(504, "gateway_timeout", "What is behind the gateway is too slow")
            else:
                await self._fail(502, "bad_gateway", "What is behind the gateway gave no answer")

    async def _data(self) -> Any:
        self._body = self._proxy.body(self._scope, self._receive)
        if self._body is None:
            return None
        if self._body.length is not None and self._body.length <= SMALL:
            return await self._body.whole()
        return self._body.pieces()

    async def _back(self, answer: aiohttp.ClientResponse) -> None:
        try:
            check_status(answer.status)
            bodiless = answer.status in _BODILESS
            headers = answer_headers(answer.raw_headers, bodiless=bodiless)
        except AnswerError:
            answer.close()  # its connection is not used again
            raise
        host = answer.request_info.headers.get("host", "").encode("latin-1")
        await self._send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": self._target.rewritten(headers, host),
            }
        )
        self._begun = True
        async for piece in answer.content.iter_any():
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def _fail(self, status: int, code: str, message: str) -> None:
        """Say what went wrong; an answer that has begun is left incomplete, and so is seen as that.

        Leaving without the end of the answer makes the server end the connection.
        """
        if not self._begun and status:
            unread = code == _INVALID or (self._body is not None and not self._body.ended)
            await _say(self._send, status, code, message, close=unread)


def _unfit(scope: Scope) -> tuple[int, str] | None:
    """Why a request is not passed on, whatever its route."""
    for name, value in scope["headers"]:
        # Any other offer of another protocol may be ignored (RFC 9110 section 7.8).
        if name == b"upgrade" and b"websocket" in value.lower():
            return 501, "The gateway does not forward WebSockets"
        if name == b"expect" and value.lower() != b"100-continue":
            return 417, "Nothing but 100-continue can be expected here"
    return None


def too_many(whose: str = "") -> WireResponse:
    """Return the answer to a request that is one too many."""
    said = " ".join(["Too many requests", *([whose] if whose else []), "are in progress"])
    told = {"error": "temporarily_unavailable", "error_description": said}
    headers = (
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"retry-after", b"1"),
        (b"connection", b"close"),  # its body is not read
    )
    return WireResponse(503, headers, json.dumps(told).encode())


async def _say(send: Send, status: int, code: str, message: str, *, close: bool = False) -> None:
    told = {"error": code, "error_description": message}
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if close or status in {HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.EXPECTATION_FAILED}:
        headers.append((b"connection", b"close"))
    await send_response(send, WireResponse(status, tuple(headers), json.dumps(told).encode()))
