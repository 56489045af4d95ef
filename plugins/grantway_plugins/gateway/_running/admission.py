"""Limits on the number of requests in progress."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, MutableMapping
from typing import Any, Protocol

from grantway_plugins.server._http.asgi import Receive, Scope, peer_of
from grantway_plugins.server._listening.peers import PeerShares


class Counted(Protocol):
    """A request in progress.

    Attributes:
        peer: Key of the peer whose requests are counted, or None.
        counted: Whether the request is counted.
    """

    peer: Hashable | None
    counted: bool

    def end(self) -> None:
        """End the request, as if the next piece of its body were late."""
        ...


class Admission:
    """Counts the requests in progress and rejects requests over the limits.

    At the limit, the request that has waited longest for the next piece of its body is ended, so
    that slow bodies do not block other requests. Requests that wait for the gateway are not ended.

    Args:
        most: Maximum number of requests in progress.
        per_peer: Maximum number of requests in progress from one peer.
        trusted: Proxies to which ``per_peer`` does not apply.
    """

    def __init__(self, most: int, per_peer: int, trusted: Iterable[object]) -> None:
        self._most = most
        self._peers = PeerShares(per_peer, trusted)
        self._admitted = 0
        # Dictionaries keep insertion order, so the first entry has waited longest.
        self._waiting: dict[Counted, None] = {}

    def admit(self, scope: Scope, receive: Receive) -> Admitted | None:
        """Count a request of ASGI, or return None if it exceeds a limit."""
        request = Admitted(self, receive)
        return request if self.enter(peer_of(scope), request) else None

    def enter(self, host: str, request: Counted) -> bool:
        """Count a request of an address, or return False if it exceeds a limit."""
        peer = self._peers.key(host)
        # First, so that a peer at its limit does not end requests of other peers.
        if not self._peers.take(peer):
            return False
        if self._admitted >= self._most and not self._make_room():
            self._peers.give_back(peer)
            return False
        self._admitted += 1
        request.peer, request.counted = peer, True
        return True

    def leave(self, request: Counted) -> None:
        """Stop counting a request; safe to repeat."""
        if request.counted:
            request.counted = False
            self._admitted -= 1
            self._peers.give_back(request.peer)

    def await_body(self, request: Counted) -> None:
        """Record that a request waits for the next piece of its body."""
        self._waiting[request] = None

    def body_came(self, request: Counted) -> None:
        """Record that a request no longer waits."""
        self._waiting.pop(request, None)

    def _make_room(self) -> bool:
        for request in self._waiting:
            self._waiting.pop(request)
            self.leave(request)
            request.end()
            return True
        return False


class Admitted:
    """A request in progress in an ASGI application.

    Args:
        admission: The counter of requests.
        receive: The ASGI server's ``receive``.
    """

    def __init__(self, admission: Admission, receive: Receive) -> None:
        self.peer: Hashable | None = None
        self.counted = False
        self._admission, self._receive = admission, receive
        self._complete = False
        self._wait: asyncio.Timeout | None = None

    async def receive(self) -> MutableMapping[str, Any]:
        """Receive the next message.

        Raises:
            TimeoutError: The request was ended in favour of another.
        """
        if self._complete:
            return await self._receive()  # only reports when the client disconnects
        if not self.counted:
            raise TimeoutError
        self._admission.await_body(self)
        try:
            async with asyncio.timeout(None) as self._wait:
                message = await self._receive()
        finally:
            self._wait = None
            self._admission.body_came(self)
        self._complete = not message.get("more_body", False)
        return message

    def end(self) -> None:
        """End the request, as if the next piece of its body were late."""
        if self._wait is not None:
            self._wait.reschedule(asyncio.get_running_loop().time())
