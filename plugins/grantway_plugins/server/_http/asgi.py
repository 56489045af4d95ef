"""Read request bodies with limits on size and time, and send responses, through ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from .denial import Denial
from .wire import BODY_CAP, BODY_TIME, WireFormat, WireResponse, denial_response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: Maximum number of bytes to read of a body that is too large. Clients can read the response only
#: after they have sent the body.
DRAINED = 16 * BODY_CAP


class BodyProblem:
    """A body that could not be read."""

    def __init__(self, status: int, description: str) -> None:
        self._status, self._description = status, description

    def response(self, dialect: WireFormat) -> WireResponse:
        """Return an error response that closes the connection, since part of the body is unread."""
        denial = Denial("invalid_request", self._description)
        close = ((b"connection", b"close"),)
        return denial_response(denial, dialect, status=self._status, headers=close)


def too_large(cap: int) -> BodyProblem:
    """Return the problem of a body that is larger than the maximum size."""
    return BodyProblem(413, f"The body is larger than {cap} bytes")


#: The body is larger than ``BODY_CAP``.
TOO_LARGE = too_large(BODY_CAP)
#: The connection was closed before the body was complete.
INCOMPLETE = BodyProblem(400, "The body is incomplete")


async def read_body(
    headers: Mapping[bytes, str],
    receive: Receive,
    *,
    seconds: float = BODY_TIME,
    cap: int = BODY_CAP,
) -> bytes | BodyProblem:
    """Read a body.

    Args:
        headers: Headers with lower-case names.
        receive: The ASGI receive function.
        seconds: Time limit for the whole body.
        cap: Maximum size of the body, in bytes.
    """
    if headers.get(b"content-length") == "0":
        return b""
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
            if message.get("more_body"):
                return await _rest(message.get("body", b""), receive, cap)
    except TimeoutError:
        return BodyProblem(408, f"The body took more than {seconds:g} seconds")
    except asyncio.CancelledError:
        # The server is stopping, and the grace period is over.
        return BodyProblem(503, "The server stopped before the body was complete")
    return checked_body(message.get("body", b""), cap)


def checked_body(body: bytes, cap: int = BODY_CAP) -> bytes | BodyProblem:
    """Return a complete body, or the problem that it is larger than ``cap`` bytes."""
    return body if len(body) <= cap else too_large(cap)


async def _rest(first: bytes, receive: Receive, cap: int) -> bytes | BodyProblem:
    chunks, size, more = [first], len(first), True
    while more and size <= max(DRAINED, cap):
        message = await receive()
        if message["type"] == "http.disconnect":
            return INCOMPLETE
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= cap:
            chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks) if size <= cap else too_large(cap)


def peer_of(scope: Scope) -> str:
    """Return the address that sent a request; empty if unknown."""
    client = scope.get("client")
    return client[0] if client else ""


async def send_denial(scope: Scope, send: Send, response: WireResponse) -> None:
    """Reject an HTTP request or a WebSocket handshake; servers close others with status 403."""
    if scope["type"] != "websocket":
        await send_response(send, response)
    elif "websocket.http.response" in scope.get("extensions", {}):
        start = {"status": response.status, "headers": list(response.headers)}
        await send({"type": "websocket.http.response.start", **start})
        await send({"type": "websocket.http.response.body", "body": response.body})
    else:
        await send({"type": "websocket.close", "code": 1008})


async def send_response(send: Send, response: WireResponse) -> None:
    """Send a complete response."""
    length = (b"content-length", str(len(response.body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": [*response.headers, length],
        }
    )
    await send({"type": "http.response.body", "body": response.body})
