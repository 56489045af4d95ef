"""Tokens for the requests that an ASGI application forwards."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import unquote

from grantway._exceptions import GrantwayError
from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_count
from grantway_plugins.server._http.asgi import Receive, Scope, Send, send_response

from ._paths import encoded
from ._proxy_headers import hyphenated
from ._refusal import RequestRefusedError, response_for
from ._request_context import RequestContext
from ._upstream_auth import UpstreamAuth
from ._upstream_token import UpstreamToken

App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]
#: The key of the scope under which the application finds the request's tenant.
TENANT = "grantway.tenant"
#: Key of the route in the scope of a forwarded request.
ROUTE = "grantway.route"
#: Bytes of a body that are kept to send it again.
REPLAYABLE = 65_536

logger = logging.getLogger("grantway.gateway")


class AsgiUpstreamAuth(OneProcess):
    """Puts a token into each request on its way to an application, a proxy as a rule.

    A request that has a route reaches the application with its path in the normal form, its
    own credentials removed and the token set in ``scope["headers"]``. A request without a route is
    passed on unchanged. If the application responds with 401 and another token may help, it is
    called a second time, provided that the body was kept; its first response is discarded.

    Args:
        app: The application.
        upstream: The rules.
        replay: Bytes of a body that are kept to send it again.
        timeout: Gives the seconds that a request may wait for its token; by default the route's.
    """

    def __init__(
        self,
        app: App,
        upstream: UpstreamAuth,
        *,
        replay: int = REPLAYABLE,
        timeout: Callable[[Scope], float | None] | None = None,
    ) -> None:
        check_count("replay", replay, least=0)
        self._app = app
        self._upstream = upstream
        self._replay = replay
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        try:
            seconds = None if self._timeout is None else self._timeout(scope)
            upstream_token = await self._upstream.prepare_async(request_context(scope), seconds)
        except Exception as error:  # noqa: BLE001 - said to the sender as what it is
            await refuse(scope, send, error)
            return
        if upstream_token is None:
            await self._app(scope, receive, send)
        elif upstream_token.header is None or scope["type"] == "websocket":
            await self._app(self._carrying(scope, upstream_token), receive, send)
        else:
            await self._forward(scope, upstream_token, Kept(receive, self._replay), send, seconds)

    async def _forward(
        self,
        scope: Scope,
        upstream_token: UpstreamToken,
        kept: Kept,
        send: Send,
        seconds: float | None,
    ) -> None:
        first = _FirstAnswer(upstream_token, kept, send, seconds)
        await self._app(self._carrying(scope, upstream_token), kept.receive, first.send)
        problem = first.problem
        if problem is None and first.again and upstream_token.stale:
            try:
                await upstream_token.fetch_async(seconds)
            except Exception as error:  # noqa: BLE001 - as above
                problem = error
        if problem is not None:
            await refuse(scope, send, problem)
        elif first.again:
            kept.rewind()
            last = _LastAnswer(upstream_token, send)
            await self._app(self._carrying(scope, upstream_token), kept.receive, last.send)

    def _carrying(self, scope: Scope, upstream_token: UpstreamToken) -> Scope:
        """Return the scope of the forwarded request."""
        headers = _without_guarded(scope["headers"], upstream_token)
        if upstream_token.header is not None:
            name, value = upstream_token.header
            headers.append((name.lower().encode(), value.encode()))
        path = upstream_token.path.encode()
        return {
            **scope,
            "headers": headers,
            "raw_path": path,
            ROUTE: upstream_token.route,
            TENANT: upstream_token.tenant,
        }


def _without_guarded(headers: Headers, upstream_token: UpstreamToken) -> list[tuple[bytes, bytes]]:
    """Return the headers without those that a server may take for the token or the tenant."""
    route = upstream_token.route
    names = {route.tenant_header.encode()}
    if upstream_token.kept:
        names |= {route.header.lower().encode(), b"authorization"}
    return [
        each for each in headers if each[0] in names or hyphenated(each[0]) not in route.guarded
    ]


class Kept:
    """A body that is kept while it is read, up to a bound."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._messages: list[MutableMapping[str, Any]] = []
        self._next = 0
        #: Whether all that was read is still there.
        self.whole = True

    async def receive(self) -> MutableMapping[str, Any]:
        """The next message."""
        if self._next < len(self._messages):
            self._next += 1
            return self._messages[self._next - 1]
        message = await self._receive()
        if message["type"] != "http.request":
            self.whole = False  # the sender has gone
        elif self.whole:
            self._most -= len(message.get("body", b""))
            if self._most < 0:
                self.whole = False
                self._messages.clear()
                self._next = 0
            else:
                self._messages.append(message)
                self._next += 1
        return message

    def rewind(self) -> None:
        """Begin again with what was read; the rest comes as it comes."""
        self._next = 0
        self._most = -1


class _FirstAnswer:
    """The application's first answer, which is passed on unless there will be another."""

    def __init__(
        self, upstream_token: UpstreamToken, kept: Kept, send: Send, seconds: float | None
    ) -> None:
        self._injection, self._kept, self._send, self._seconds = upstream_token, kept, send, seconds
        self.again = False
        self.problem: Exception | None = None

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start" and self._injection.after(
            message["status"], challenges_of(message.get("headers", ()))
        ):
            await self._another()
        if not self.again and self.problem is None:
            await self._send(message)

    async def _another(self) -> None:
        if not self._kept.whole:
            return
        try:
            await self._injection.fetch_async(self._seconds)
        except Exception as error:  # noqa: BLE001 - said to the sender, when the application is done
            self.problem = error
        else:
            self.again = self._injection.header is not None


class _LastAnswer:
    """The application's second answer, which is passed on."""

    def __init__(self, upstream_token: UpstreamToken, send: Send) -> None:
        self._injection, self._send = upstream_token, send

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._injection.after(message["status"], challenges_of(message.get("headers", ())))
        await self._send(message)


def request_context(scope: Scope) -> RequestContext:
    """What the rules may know of a request.

    Raises:
        RequestRefusedError: its host or path can be read in two ways.
    """
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]

    once = dict(headers)
    twice = len(once) != len(headers)

    def values(name: str) -> list[str]:
        wanted = name.encode("latin-1")
        if twice:
            return [value.decode("latin-1") for key, value in headers if key == wanted]
        value = once.get(wanted)
        return [] if value is None else [value.decode("latin-1")]

    hosts = values("host")
    if len(hosts) > 1:
        raise RequestRefusedError("The Host header is repeated; send it once")
    raw, path = (scope.get("raw_path") or b"").partition(b"?")[0].decode("latin-1"), scope["path"]
    # The path counts where a middleware has changed it and left the raw one as it was.
    if raw != path and unquote(raw) != path:
        raw = encoded(path)
    host = hosts[0] if hosts else ""
    return RequestContext(host, raw, values, scope, method=scope.get("method", ""))


def challenges_of(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """All ``WWW-Authenticate`` of an answer, joined."""
    return ", ".join(
        value.decode("latin-1") for name, value in headers if name.lower() == b"www-authenticate"
    )


async def refuse(scope: Scope, send: Send, error: Exception) -> None:
    """Answer a request that is not forwarded."""
    note(error)
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await send_response(send, response_for(error))


def note(error: Exception) -> None:
    """Log why there was no token; unexpected errors at a higher level and without details."""
    if isinstance(error, RequestRefusedError):
        return
    if isinstance(error, GrantwayError):
        logger.info("no token: %s", error.code)
    else:
        logger.error("no token: %s was raised", type(error).__name__)
