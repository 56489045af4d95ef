"""Which requests the gateway works on, when there are more than it can."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, MutableMapping
from typing import Any

from grantway_plugins.server._http.asgi import Receive, Scope
from grantway_plugins.server._listening.peers import PeerShares


class Admission:
    """Counts the requests in progress.

    Slow bodies must not lock out others, so a full gateway ends the request that has waited longest
    for the next piece of its body. Requests that wait for the gateway are never ended.

    Args:
        most: Requests in progress at most.
        per_peer: Requests in progress of one peer at most.
        trusted: Proxies, to which ``per_peer`` does not apply.
    """

    def __init__(self, most: int, per_peer: int, trusted: Iterable[object]) -> None:
        self._most = most
        self._peers = PeerShares(per_peer, trusted)
        self._admitted = 0
        # Dictionaries keep their order: the first entry has waited longest.
        self._waiting: dict[Admitted, None] = {}

    def admit(self, scope: Scope, receive: Receive) -> Admitted | None:
        """Count a request, or return None if it is one too many."""
        peer = self._peers.key(scope["client"][0] if scope.get("client") else None)
        # First, so that a peer that has its share ends no request of another one.
        if not self._peers.take(peer):
            return None
        if self._admitted >= self._most and not self._make_room():
            self._peers.give_back(peer)
            return None
        self._admitted += 1
        return Admitted(self, peer, receive)

    def leave(self, request: Admitted) -> None:
        """Forget a request; safe to repeat."""
        if request.counted:
            request.counted = False
            self._admitted -= 1
            self._peers.give_back(request.peer)

    def await_body(self, request: Admitted) -> None:
        """Note that a request now waits for a piece of its body."""
        self._waiting[request] = None

    def body_came(self, request: Admitted) -> None:
        """Note that a request waits no longer."""
        self._waiting.pop(request, None)

    def _make_room(self) -> bool:
        for request in self._waiting:
            self._waiting.pop(request)
            self.leave(request)
            request.end()
            return True
        return False


class Admitted:
    """A request in progress.

    Args:
        admission: Where it counts.
        peer: Whose share it is taken from.
        receive: Where its body comes from.
    """

    def __init__(self, admission: Admission, peer: Hashable | None, receive: Receive) -> None:
        self.peer, self.counted = peer, True
        self._admission, self._receive = admission, receive
        self._complete = False
        self._wait: asyncio.Timeout | None = None

    async def receive(self) -> MutableMapping[str, Any]:
        """Receive the next message.

        Raises:
            TimeoutError: the request was ended for another.
        """
        if self._complete:
            return await self._receive()  # only whether the client is still there
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
        """End it: its next piece of a body does not come in time."""
        if self._wait is not None:
            self._wait.reschedule(asyncio.get_running_loop().time())
