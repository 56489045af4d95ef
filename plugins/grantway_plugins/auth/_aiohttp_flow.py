"""The token in requests of aiohttp, as a client middleware."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, MultipartWriter
from aiohttp.payload import AsyncIterablePayload, BytesPayload, IOBasePayload

from ._body import Body
from ._exchange import Exchange
from ._presentation import Answer

#: Maximum size in bytes of a response that is read so that its connection can be reused.
_SHORT = 65_536


async def send(
    exchange: Exchange, request: ClientRequest, handler: ClientHandlerType
) -> ClientResponse:
    """Send a request with a token. aiohttp calls this for each redirect as well.

    Args:
        exchange: The exchange of this request.
        request: The request.
        handler: Sends the request.
    """
    repeatable = _can_repeat(request) and not _is_stream(request.body)
    request.headers.update(await exchange.first_async(lambda: repeatable))
    while True:
        response = await handler(request)
        answer = Answer(
            response.status,
            ", ".join(response.headers.getall("WWW-Authenticate", ())),
            response.headers.get("DPoP-Nonce", ""),
            request.method,
            str(request.url),
        )
        try:
            headers = await exchange.next_async(answer, response, lambda: _can_repeat(request))
        except BaseException:
            await _release(response)
            raise
        if headers is None:
            return response
        await _release(response)
        # Wait for the body that is still being sent, if the response arrived before its end.
        await request.close()
        request.headers.update(headers)


def _can_repeat(request: ClientRequest) -> bool:
    """Return whether aiohttp can send the body again; it moves back to the start of a file."""
    body = request.body
    if isinstance(body, (bytes, bytearray, BytesPayload)):
        return True
    # Versions before 3.12.7 close a file after sending it, and do not have this attribute.
    return getattr(body, "consumed", True) is False


def _is_stream(body: Any) -> bool:
    """Return whether a body can be sent only once, which aiohttp reports after sending it."""
    if isinstance(body, MultipartWriter):
        return any(_is_stream(part) for part, *_ in body)
    if isinstance(body, IOBasePayload):
        return Body(getattr(body, "_value", None)).start is None
    return isinstance(body, AsyncIterablePayload)


async def _release(response: ClientResponse) -> None:
    """Read a short response, so that its connection can be reused, and close a long one."""
    if response.content_length is not None and response.content_length <= _SHORT:
        await response.read()
    response.close()
