"""Complete requests that are answered without ASGI.

For an endpoint like the token endpoint, ASGI's scope, messages and task take longer than the rest
of the request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from grantway_plugins.server._http.wire import Header, WireResponse

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

if TYPE_CHECKING:
    from .direct_protocol import DirectProtocol


@dataclass(slots=True)
class DirectRequest:
    """A complete POST request.

    Attributes:
        target: The request target, one of the application's ``direct_targets``.
        headers: The headers, with lower-case names.
        body: The body.
        peer: Address of the client: the connection's, or the one that a trusted proxy forwards.
            Empty if unknown.
    """

    target: bytes
    headers: list[Header] = field(repr=False)
    body: bytes = field(repr=False)
    peer: str


#: Sends the response to a request. Call it once, in the event loop. It returns False if the client
#: has disconnected.
Respond = Callable[[WireResponse], bool]


class DirectApp(Protocol):
    """An application that answers some requests without ASGI."""

    @property
    def direct_targets(self) -> Collection[bytes]:
        """Request targets of the POST requests that `answer` accepts."""
        ...

    def answer(self, request: DirectRequest, respond: Respond) -> None:
        """Answer a request at once or later.

        Other requests to the same targets, such as those that arrive in several parts, are sent to
        the ASGI application. Both must have the same result.
        """
        ...


class _NoEvent:
    def set(self) -> None:
        """Do nothing: no application waits for messages."""


class DirectCycle:
    """A direct request in progress; takes the place of uvicorn's ``RequestResponseCycle``.

    Args:
        protocol: The connection.
        keep_alive: Whether the connection stays open after the response.
    """

    __slots__ = ("_protocol", "disconnected", "keep_alive", "response_complete")

    #: The response is written at once.
    response_started = False
    #: uvicorn wakes the application with it.
    message_event = _NoEvent()

    def __init__(self, protocol: DirectProtocol, *, keep_alive: bool) -> None:
        self._protocol = protocol
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False

    def respond(self, response: WireResponse) -> bool:
        """Write the response; return False if the client has disconnected."""
        transport: Any = self._protocol.transport
        if self.response_complete or self.disconnected or transport.is_closing():
            return False
        defaults = tuple(self._protocol.server_state.default_headers)
        try:
            head, closes = _head(response.status, defaults + response.headers)
        except ValueError as error:
            self._protocol.fail(error)
            return True
        self.response_complete = True
        self.keep_alive = self.keep_alive and not closes
        ending = b"" if self.keep_alive or closes else b"connection: close\r\n"
        transport.write(
            b"%bcontent-length: %d\r\n%b\r\n%b" % (head, len(response.body), ending, response.body)
        )
        if not self.keep_alive:
            transport.close()
        self._protocol.on_response_complete()
        return True


@lru_cache(64)  # most responses have the same headers for a second, until the Date changes
def _head(status: int, headers: tuple[Header, ...]) -> tuple[bytes, bool]:
    """Return the status line with the headers, and whether they close the connection.

    Raises:
        ValueError: a header contains a control character.
    """
    lines = [b"%b: %b" % pair for pair in headers]
    if any(_CONTROL.search(line) for line in lines):
        raise ValueError("a header contains a control character")
    return STATUS_LINE[status] + b"\r\n".join([*lines, b""]), (b"connection", b"close") in headers
