"""The open connections of a listener; closes idle ones when there are too many."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Iterable
from itertools import islice
from typing import Protocol

from .incident import Incident
from .peers import PeerShares, Proxies

#: Maximum number of connections to check for one that can be closed.
_CHECKED = 16
#: Seconds for which fewer connections are allowed after file descriptors ran out.
_LOWERED = 60.0

_log = logging.getLogger("grantway.server")


class Connection(Protocol):
    """A connection that can be closed to make room for another."""

    def has_unread_request(self) -> bool:
        """Return whether the next request has arrived but has not been read."""
        ...

    def give_way(self) -> None:
        """Close the connection, with a response if its client is waiting for one."""
        ...


class Connections:
    """Counts connections, and tracks which of them are waiting for their client.

    Idle clients must not lock out others. A full listener therefore closes the connection that has
    waited longest for its client to send a header or the next part of a body. It never closes a
    connection whose request is in progress, or whose next request has arrived but has not been
    read, because then the server is slow and not the client.

    Args:
        maximum: Maximum number of open connections.
        per_peer: Maximum number of open connections from one peer.
        trusted: Addresses of proxies, to which ``per_peer`` does not apply.
    """

    def __init__(self, maximum: int, per_peer: int, trusted: Iterable[object] = ()) -> None:
        self._maximum = self._allowed = maximum
        self._lowered_at = 0.0
        self._peers = PeerShares(per_peer, trusted)
        #: The trusted proxies.
        self.proxies = Proxies(trusted)
        self._open: dict[Connection, Hashable | None] = {}
        # In insertion order, so the first connection has waited longest.
        self._waiting: dict[Connection, None] = {}
        self._full = Incident(
            _log,
            f"the maximum of {maximum} open connections is reached: closing idle ones, or "
            "rejecting new ones",
        )

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection, host: str | None) -> str | None:
        """Count a new connection, or return why it must be rejected."""
        if self._maximum < self._allowed and time.monotonic() - self._lowered_at > _LOWERED:
            self._maximum = self._allowed
        key = self._peers.key(host)
        if not self._peers.take(
            key
        ):  # checked first, so that this peer cannot close others' connections
            return "too many connections from this address"
        if len(self._open) >= self._maximum:
            self._full.happened()
            if not self._make_room():
                self._peers.give_back(key)
                return "too many connections"
        self._open[connection] = key
        return None

    def remove(self, connection: Connection) -> None:
        """Stop counting a connection; safe to repeat."""
        if connection in self._open:
            self._peers.give_back(self._open.pop(connection))
        self.await_response(connection)

    def await_header(self, connection: Connection) -> None:
        """Record that a connection waits for a header; parts of it do not restart the wait."""
        if connection in self._open:
            self._waiting.setdefault(connection)

    def await_body(self, connection: Connection) -> None:
        """Record that a connection starts to wait for the next part of a body."""
        self.await_response(connection)
        if connection in self._open:
            self._waiting[connection] = None

    def await_response(self, connection: Connection) -> None:
        """Record that a connection waits for the server's response."""
        self._waiting.pop(connection, None)

    def lower(self) -> None:
        """Allow fewer connections for a minute, because file descriptors ran out."""
        self._maximum = max(1, len(self._open) * 3 // 4)
        self._lowered_at = time.monotonic()
        while len(self._open) >= self._maximum and self._make_room():
            pass

    def _make_room(self) -> bool:
        """Close the connection that has waited longest; return whether there was one."""
        for connection in islice(self._waiting, _CHECKED):
            if not connection.has_unread_request():
                self.remove(connection)
                connection.give_way()
                return True
        return False
