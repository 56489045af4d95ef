"""ASGI middleware that adds tokens to forwarded requests."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from grantway._exceptions import GrantwayError
from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_count
from grantway_plugins.resource._caller import CALLER
from grantway_plugins.server._http.asgi import Receive, Scope, Send, send_denial
from grantway_plugins.server._http.raw_path import asgi_raw_path

from ._proxy_headers import hyphenated
from ._rejection import RequestRejectedError, response_for
from ._request_context import RequestContext
from ._upstream_auth import UpstreamAuth
from ._upstream_token import UpstreamToken

App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]
#: Scope key of the request's tenant.
TENANT = "grantway.tenant"
#: Scope key of the request's route.
ROUTE = "grantway.route"
#: Longest body in bytes that is kept so that it can be sent again.
REPLAYABLE = 65_536
_UNAUTHORIZED = 401

logger = logging.getLogger("grantway.gateway")


class AsgiUpstreamAuth(OneProcess):
    """Middleware that adds a token to each request, usually in front of a proxy application.

    A request that has a route reaches the application with its path in the normal form, its
    own credentials removed and the token set in ``scope["headers"]``. A request without a route is
    passed on unchanged. If the application responds with 401 and another token may help, it is
    called a second time, provided that the body was kept; its first response is discarded.

    Args:
        app: The application.
        upstream: The routes and their tokens.
        replay: Longest body in bytes that is kept so that it can be sent again.
        timeout: Returns the longest wait for a request's token in seconds; by default the route's.
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
        """Add the token to one request and call the application."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        try:
            seconds = None if self._timeout is None else self._timeout(scope)
            context = request_context(scope)
            upstream_token = await self._upstream.prepare_async(context, seconds)
        except Exception as error:  # noqa: BLE001 - turned into a response
            await reject(scope, send, error)
            return
        scope = scope if context.caller is None else {**scope, CALLER: context.caller}
        if upstream_token is None:
            await self._app(scope, receive, send)
        elif upstream_token.header is None or scope["type"] == "websocket":
            await self._app(_forwarded(scope, upstream_token), receive, send)
        else:
            body = ReplayableBody(receive, self._replay)
            await self._forward(scope, upstream_token, body, send, seconds)

    async def _forward(
        self,
        scope: Scope,
        upstream_token: UpstreamToken,
        body: ReplayableBody,
        send: Send,
        seconds: float | None,
    ) -> None:
        first = _FirstResponse(upstream_token, body, send, seconds)
        await self._app(_forwarded(scope, upstream_token), body.receive, first.send)
        failure = first.error
        if failure is None and first.resend and upstream_token.stale:
            try:
                await upstream_token.fetch_async(seconds)
            except Exception as error:  # noqa: BLE001 - turned into a response
                failure = error
        if failure is not None:
            await reject(scope, send, failure)
        elif first.resend:
            body.rewind()
            second = _SecondResponse(upstream_token, send)
            await self._app(_forwarded(scope, upstream_token), body.receive, second.send)


def _forwarded(scope: Scope, upstream_token: UpstreamToken) -> Scope:
    """Return the scope of the forwarded request."""
    route = upstream_token.route
    # Servers may treat other spellings of these headers as the token or the tenant.
    keep = {route.tenant_header.encode()}
    if upstream_token.kept:
        keep |= {route.header.lower().encode(), b"authorization", b"dpop"}
    headers = [
        each
        for each in scope["headers"]
        if each[0] in keep or hyphenated(each[0]) not in route.guarded
    ]
    if upstream_token.header is not None:
        name, value = upstream_token.header
        headers.append((name.lower().encode(), value.encode()))
    return {
        **scope,
        "headers": headers,
        "raw_path": upstream_token.path.encode(),
        TENANT: upstream_token.tenant,
        ROUTE: route,
    }


class ReplayableBody:
    """A request body that can be read twice if it is not longer than a limit."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self._messages: list[MutableMapping[str, Any]] = []
        self._next = 0
        #: Whether everything that was read has been kept.
        self.whole = True

    async def receive(self) -> MutableMapping[str, Any]:
        """Return the next message."""
        if self._next < len(self._messages):
            self._next += 1
            return self._messages[self._next - 1]
        message = await self._receive()
        if message["type"] != "http.request":
            self.whole = False  # the sender has disconnected
        elif self.whole:
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.whole = False
                self._messages.clear()
                self._next = 0
            else:
                self._messages.append(message)
                self._next += 1
        return message

    def rewind(self) -> None:
        """Start again with the kept messages; later ones are not kept."""
        self._next = 0
        self._left = -1


class _FirstResponse:
    """Passes on the application's first response, unless the request is to be sent again."""

    def __init__(
        self,
        upstream_token: UpstreamToken,
        body: ReplayableBody,
        send: Send,
        seconds: float | None,
    ) -> None:
        self._upstream_token, self._body = upstream_token, body
        self._send, self._seconds = send, seconds
        self.resend = False
        self.error: Exception | None = None

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if _rejects_token(message, self._upstream_token):
            await self._fetch_another()
        if not self.resend and self.error is None:
            await self._send(message)

    async def _fetch_another(self) -> None:
        if not self._body.whole:
            return
        try:
            await self._upstream_token.fetch_async(self._seconds)
        except Exception as error:  # noqa: BLE001 - turned into a response by the middleware
            self.error = error
        else:
            self.resend = self._upstream_token.header is not None


class _SecondResponse:
    """Passes on the application's second response."""

    def __init__(self, upstream_token: UpstreamToken, send: Send) -> None:
        self._upstream_token, self._send = upstream_token, send

    async def send(self, message: MutableMapping[str, Any]) -> None:
        _rejects_token(message, self._upstream_token)
        await self._send(message)


def _rejects_token(message: MutableMapping[str, Any], upstream_token: UpstreamToken) -> bool:
    """Return whether a message starts a response that rejects the token, and discard the token."""
    return (
        message["type"] == "http.response.start"
        and message["status"] == _UNAUTHORIZED
        and upstream_token.rejected(_UNAUTHORIZED, challenges_of(message.get("headers", ())))
    )


def request_context(scope: Scope) -> RequestContext:
    """Return the properties of a request that select its route, tenant and token.

    Raises:
        RequestRejectedError: The Host header is invalid or repeated.
    """
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    host, *others = headers.get("host", [""])
    if others:
        raise RequestRejectedError("The Host header is repeated; send it once")
    path, method = asgi_raw_path(scope), scope.get("method", "")
    return RequestContext(host, path, headers.get, scope, method=method)


def challenges_of(headers: Headers) -> str:
    """Return all ``WWW-Authenticate`` values of a response, joined by commas."""
    return ", ".join(
        value.decode("latin-1") for name, value in headers if name.lower() == b"www-authenticate"
    )


async def reject(scope: Scope, send: Send, error: Exception) -> None:
    """Respond to a request that is not forwarded."""
    log_failure(error)
    await send_denial(scope, send, response_for(error))


def log_failure(error: Exception) -> None:
    """Log why there was no token; unexpected errors at a higher level and without details."""
    if isinstance(error, RequestRejectedError):
        return
    if isinstance(error, GrantwayError):
        logger.info("no token: %s", error.code)
    else:
        logger.error("no token: %s was raised", type(error).__name__)
