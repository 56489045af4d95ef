"""The forwarding of one request, and of its response."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from grantway_plugins.gateway.upstream._asgi_middleware import challenges_of, log_failure
from grantway_plugins.gateway.upstream._rejection import response_for
from grantway_plugins.gateway.upstream._request_context import RequestContext
from grantway_plugins.gateway.upstream._tenant import EVERYBODY
from grantway_plugins.gateway.upstream._upstream_token import UpstreamToken

from .client_response import ClientResponse
from .error_responses import INVALID, error_response, no_route, too_many
from .forwarder import Forwarder
from .headers import CHUNKED, UPGRADE, UpstreamResponseError, request_head, response_lines
from .request_body import BodyRejectedError, RequestBody
from .target import Target
from .upstream_connection import UpstreamConnection

if TYPE_CHECKING:
    from httptools.parser.url_parser import URL

    from grantway_plugins.server._http.wire import WireResponse

    from .client_protocol import ForwardingProtocol

#: Methods of requests that may be sent twice (RFC 9110 section 9.2.2).
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
_BODILESS = frozenset({101, 204, 304})
_UNAUTHORIZED = 401
_EVENTS = b"text/event-stream"

_log = logging.getLogger("grantway.gateway")


class Forwarding:
    """A request in progress.

    It runs in callbacks of the two connections. A task runs only to get a token or a connection.

    Args:
        client: The client's connection, whose parser has received the header.
        forwarder: What to forward it with.
        url: The target of the request.
        websocket: Whether it is a WebSocket handshake.

    Attributes:
        response: The response to the client.
        early: What a client sent before the response to its WebSocket handshake.
        peer: Key of the peer whose requests are counted (see ``Admission``).
        counted: Whether the request is counted.
    """

    __slots__ = (
        "_body", "_client", "_connection", "_done", "_entered", "_fetching", "_forwarder",
        "_head", "_headers", "_host", "_lost", "_rejected", "_streams", "_target", "_task",
        "_tenant", "_token", "_tunnelled", "_url", "_uses_configuration", "counted", "early",
        "method", "peer", "response", "sent", "started", "websocket",
    )  # fmt: skip

    def __init__(
        self,
        client: ForwardingProtocol,
        forwarder: Forwarder,
        url: URL,
        *,
        websocket: bool,
    ) -> None:
        self._client, self._forwarder, self._url = client, forwarder, url
        self._headers = client.headers
        self.websocket = websocket
        self.response = ClientResponse(client, websocket=websocket)
        self.response.forwarding = self
        self.method = self.response.method
        self._body = RequestBody(client, self.response, forwarder.limits, self.end)
        self.early = b""
        self.peer: Hashable | None = None
        self.counted = self.started = self.sent = False
        self._entered = self._uses_configuration = self._done = self._tunnelled = self._fetching = (
            False
        )
        self._streams = False
        self._lost = ""
        self._rejected = False
        self._host = b""
        self._tenant: Hashable | None = None
        self._token: UpstreamToken | None = None
        self._target: Target | None = None
        self._connection: UpstreamConnection | None = None
        self._task: asyncio.Task[None] | None = None

    # --- Events of the client's connection --------------------------------------------------------

    def received(self) -> None:
        """Continue with what the client has sent."""
        if self._done:
            return
        if not self.started:
            self.started = True
            self._run(self._start)
        elif self._body.waits and (self.response.body or not self.response.more_body):
            self._run(self._take)

    def tunnel(self, data: bytes) -> None:
        """Forward what the client has sent in a tunnel, or before there is one."""
        if self._tunnelled and self._connection is not None:
            self._connection.send_in_tunnel(data)
            if self._connection.write_paused:
                self._client.flow.pause_reading()
        else:
            self.early += data
            self._client.flow.pause_reading()

    def client_writable(self) -> None:
        """Continue to read the response."""
        if self._connection is not None and not self._fetching:
            self._connection.read(paused=False)

    def client_lost(self) -> None:
        """End the forwarding, because the client has disconnected."""
        self.response.response_complete = True
        self._finish()

    def abandon(self) -> None:
        """End the forwarding, because the gateway stops."""
        self._fail(503, "temporarily_unavailable", "The gateway is stopping", close=True)

    def end(self) -> None:
        """End the forwarding, because the body arrives too slowly."""
        self._fail(408, INVALID, "The body arrives too slowly", close=True)

    # --- The request ------------------------------------------------------------------------------

    def _start(self) -> None:
        forwarder, headers = self._forwarder, self._headers
        forwarder.browsers.check(headers, websocket=self.websocket)
        if not forwarder.admission.enter(self._peer, self):
            self._respond(too_many())
            return
        self._entered = self._uses_configuration = True
        forwarder.calls.enter()

        def values(name: str) -> list[str]:
            key = name.encode()
            return [value.decode("latin-1") for each, value in headers if each == key]

        self._host = next((value for name, value in headers if name == b"host"), b"")
        context = RequestContext(
            self._host.decode("latin-1"),
            (self._url.path or b"/").decode("latin-1"),
            values,
            {"client": self._client.client, "scheme": self._client.scheme},
            method=self.method.decode(),
        )
        upstream = forwarder.upstream
        if upstream.verifies:
            self._in_task(self._open(context))
            return
        token = upstream.open(context)
        if token is None or token.kept or token.bare or token.fetch_at_once():
            self._opened(token)
        else:
            self._in_task(self._fetch(token))

    async def _open(self, context: RequestContext) -> None:
        self._opened(await self._forwarder.upstream.prepare_async(context))

    async def _fetch(self, token: UpstreamToken) -> None:
        await token.fetch_async()
        self._opened(token)

    def _opened(self, token: UpstreamToken | None) -> None:
        target = None if token is None else self._forwarder.targets.get(token.route.name)
        if token is None or target is None:
            self._respond(no_route())
            return
        if problem := self._problem():
            self._respond(problem)
            return
        tenant = None if token.tenant in {"", EVERYBODY} else token.tenant
        if not self._forwarder.tenants.take(tenant):
            self._respond(too_many("of this tenant"))
            return
        self._token, self._target, self._tenant = token, target, tenant
        self._body.check_length()
        if self._body.empty or not self._body.small:
            self._connect()
        else:
            self._take()

    def _problem(self) -> WireResponse | None:
        """Return the response to a request that no route can forward, or None."""
        for name, value in self._headers:
            if name == b"expect" and value.lower() != b"100-continue":
                message = "Expect supports only 100-continue"
                return error_response(417, INVALID, message, close=True)
            if name == b"upgrade" and not self.websocket and b"websocket" in value.lower():
                message = "A WebSocket handshake must be a GET request of HTTP/1.1"
                return error_response(400, INVALID, message, close=True)
        if self.websocket and not self._body.empty:
            message = "A WebSocket handshake must not have a body"
            return error_response(400, INVALID, message, close=True)
        return None

    def _take(self) -> None:
        """Take what has arrived of the body, and forward it or wait for more."""
        self._forwarder.admission.body_came(self)
        self._body.take()
        if self._connection is not None:
            self._send()
        elif self._body.complete:
            self._connect()
        else:
            self._wait()

    def _wait(self) -> None:
        self._forwarder.admission.await_body(self)
        self._body.wait()

    # --- The upstream -----------------------------------------------------------------------------

    def _connect(self, *, reuse: bool = True) -> None:
        """Send the request on a new connection, or on an idle one with ``reuse``."""
        assert self._target is not None
        self._head = self._request_head()
        connection = None
        if reuse:
            pool = self._forwarder.pool
            connection = pool.take(self._target.place, is_safe=self._is_safe())
        if connection is None:
            self._in_task(self._open_connection(self._target))
        else:
            self._begin(connection)

    async def _open_connection(self, target: Target) -> None:
        try:
            pool = self._forwarder.pool
            connection = await pool.connect(target.place, target.connect_timeout)
        except (OSError, ValueError) as error:
            self._upstream_failed(type(error).__name__)
        else:
            self._begin(connection)

    def _is_safe(self) -> bool:
        """Return whether the request can be sent again if no response has arrived."""
        return self.method in _IDEMPOTENT and self._body.kept and not self.websocket

    def _request_head(self) -> bytes:
        token, target, body = self._token, self._target, self._body
        assert token is not None
        assert target is not None
        more: Sequence[bytes] = ()
        if self.websocket:
            more = UPGRADE
        elif body.chunked:
            more = (CHUNKED,)
        elif body.length is not None:
            more = (b"content-length: %d" % body.length,)
        query = self._url.query
        line = b"%b %b%b%b HTTP/1.1" % (
            self.method, target.path(token.path).encode(), b"?" if query else b"", query or b"",
        )  # fmt: skip
        return request_head(
            line,
            self._headers,
            token,
            host=target.host or self._host,
            sender=self._forwarder.sender(self._peer, self._client.scheme or "http"),
            more=more,
        )

    def _begin(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        self.sent = False
        connection.begin(self)
        if not (self._body.empty or self._body.small):
            self._body.take()
        self._send(self._head)

    def _send(self, head: bytes = b"") -> None:
        """Send what was taken of the body, and wait for more or for the response."""
        connection, body, target = self._connection, self._body, self._target
        assert connection is not None
        assert target is not None
        data = head if body.empty else head + body.next()
        if data:
            connection.transport.write(data)
        # The body may end during the response, even during an event stream.
        limit = target.idle_timeout if self._streams else target.answer_timeout
        if body.empty or body.complete:
            self.sent = True
            connection.limit(limit)
        elif connection.write_paused:
            self._client.flow.pause_reading()
            connection.limit(limit)
        else:
            connection.limit(None)
            self._wait()

    # --- Events of the upstream's connection ------------------------------------------------------

    def writable(self) -> None:
        """Continue to send."""
        if self._fetching:  # what was taken may have to be sent again
            return
        self._client.flow.resume_reading()
        if not self._tunnelled and not self.sent:
            self._run(self._take)

    def arrived(self) -> None:
        """Pass on what has arrived of the response."""
        self._run(self._pass_on)

    def failed(self, reason: str, *, timed_out: bool = False) -> None:
        """Handle that the response was lost."""
        connection, self._connection = self._connection, None
        if self._fetching:  # the response is needed only if there is no other token
            self._lost = reason
        elif (
            connection is not None
            and connection.reused
            and connection.silent
            and not timed_out
            and self._is_safe()
        ):
            self._body.rewind()
            self._run(self._reconnect)
        else:
            self._upstream_failed(reason, timed_out=timed_out)

    def _reconnect(self) -> None:
        self._connect(reuse=False)

    def _pass_on(self) -> None:
        connection = self._connection
        assert connection is not None
        if not connection.status or self._fetching:
            return
        response = self.response
        head = b""
        if not response.response_started:
            if connection.status == _UNAUTHORIZED and self._rejects_token(connection):
                return
            head = self._response_head(connection)
            self._leave_configuration()  # a stream may take long
        body = connection.take()
        if self._tunnelled:
            if data := head + body:
                self._client.transport.write(data)
            if connection.complete:
                self._client.transport.close()
                self._finish()
                return
        else:
            complete = connection.complete
            if complete:
                self._finish()  # first, because the next request may start now
            response.write(head, body, complete=complete)
            if complete:
                self._client.on_response_complete()
                return
        if self._client.flow.write_paused:
            connection.read(paused=True)

    def _response_head(self, connection: UpstreamConnection) -> bytes:
        """Return the header of the response to the client."""
        target, status = self._target, connection.status
        assert target is not None
        headers = target.rewritten(connection.headers, target.host or self._host)
        lines = response_lines(headers, bodiless=status in _BODILESS)
        if connection.switched:
            self._tunnelled = True
            connection.limit(target.idle_timeout)
            early, self.early = self.early, b""
            if early:
                connection.transport.write(early)
            self._client.flow.resume_reading()
            return self.response.switch(lines)
        self._streams = any(
            name.lower() == b"content-type" and value.lower().startswith(_EVENTS)
            for name, value in headers
        )
        if self._streams:
            connection.limit(target.idle_timeout)
        return self.response.start(status, lines, length_known=connection.length_known)

    def _rejects_token(self, connection: UpstreamConnection) -> bool:
        """Return whether the response rejects the token and another one is being fetched."""
        token = self._token
        assert token is not None
        if not token.rejected(_UNAUTHORIZED, challenges_of(connection.headers)):
            return False
        if not self._body.kept:
            return False
        self._fetching = True
        self._body.stop()
        self._forwarder.admission.body_came(self)
        connection.read(paused=True)
        self._in_task(self._fetch_another(token))
        return True

    async def _fetch_another(self, token: UpstreamToken) -> None:
        self._rejected = True
        await token.fetch_async()
        self._rejected = self._fetching = False
        if token.header is not None:
            self._drop_connection()
            self._body.rewind()
            self._connect()
        elif self._connection is None:
            self._upstream_failed(self._lost)
        else:
            self._connection.read(paused=False)
            self._pass_on()
            if not (self.sent or self._done):
                self._take()

    # --- The end ----------------------------------------------------------------------------------

    def _upstream_failed(self, reason: str, *, timed_out: bool = False) -> None:
        assert self._target is not None
        _log.warning("%s: %s", self._target.origin, reason)
        if timed_out:
            self._fail(504, "gateway_timeout", "The upstream did not respond in time")
        else:
            self._fail(502, "bad_gateway", "The upstream gave no valid response")

    def _fail(self, status: int, code: str, message: str, *, close: bool = False) -> None:
        """Respond with an error, or leave a response that has started incomplete."""
        if self._done:
            return
        if self.response.response_started:
            self._finish()
            self.response.cut()
        else:
            unread = not (self._body.empty or self._body.complete)
            self._respond(error_response(status, code, message, close=close or unread))

    def _respond(self, response: WireResponse) -> None:
        self._finish()
        self.response.send(response)
        self._client.on_response_complete()

    def _finish(self) -> None:
        """Release everything; safe to repeat."""
        if self._done:
            return
        self._done = True
        self._body.stop()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._drop_connection()
        forwarder = self._forwarder
        if self._target is not None:
            forwarder.tenants.give_back(self._tenant)
        if self._entered:
            forwarder.admission.body_came(self)
            forwarder.admission.leave(self)
        self._leave_configuration()

    def _leave_configuration(self) -> None:
        """Let a reload close what the configuration uses; safe to repeat."""
        if self._uses_configuration:
            self._uses_configuration = False
            self._forwarder.calls.leave()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self.sent:
            connection.release()
        else:
            connection.abort()

    # --- Running ----------------------------------------------------------------------------------

    @property
    def _peer(self) -> str:
        return self._client.client[0] if self._client.client else ""

    def _run(self, step: Callable[[], None]) -> None:
        """Run a step, and respond to its errors."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the server must go on
            self._handle(error)

    def _in_task(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = self._client.loop.create_task(self._guarded(work))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - as in _run
            self._handle(error)

    def _handle(self, error: Exception) -> None:
        if isinstance(error, BodyRejectedError):
            self._fail(error.status, INVALID, str(error), close=True)
        elif isinstance(error, UpstreamResponseError):
            if self._connection is not None:
                self._connection.abort()
            self._upstream_failed(str(error))
        elif isinstance(error, UnicodeDecodeError):
            self._fail(400, INVALID, "A header is not UTF-8")
        elif self._done or (self._token is not None and not self._rejected):
            _log.error("A request failed: %s", type(error).__name__)  # no text: it may be a secret
            self._fail(500, "server_error", "The request failed")
        else:
            log_failure(error)
            self._respond(response_for(error))
