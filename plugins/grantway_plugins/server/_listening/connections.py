"""The open connections of one listener, and which of them to close when there are too many."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Iterable
from itertools import islice
from typing import Protocol

from .incident import Incident
from .peers import PeerShares

#: Connections that are looked at to find one that can be closed.
_LOOKED_AT = 16
#: Seconds for which fewer connections are allowed after the files ran out.
_LOWERED = 60.0

_log = logging.getLogger("grantway.server")


class Connection(Protocol):
    """A connection that can be closed in favour of another."""

    def has_unread_request(self) -> bool:
        """Return whether the next request has arrived, but was not read yet."""
        ...

    def give_way(self) -> None:
        """Close it, with a response where its client still waits for one."""
        ...


class Connections:
    """Counts connections, and knows which ones wait for their client.

    Silent clients must not lock out others, so a full listener closes the connection that has
    waited longest for its client: for a header, or for the next piece of a body. Two kinds are
    never closed: connections whose request is being answered, and those whose next request has
    arrived but was not read yet, because there it is the server that is slow.

    Args:
        most: Maximum number of open connections.
        per_peer: Maximum number of open connections of one peer.
        trusted: Proxies, to which ``per_peer`` does not apply.
    """

    def __init__(self, most: int, per_peer: int, trusted: Iterable[object] = ()) -> None:
        self._most = self._allowed = most
        self._lowered_at = 0.0
        self._peers = PeerShares(per_peer, trusted)
        self._open: dict[Connection, Hashable | None] = {}
        # Dictionaries keep their order: the first entry has waited longest.
        self._waiting: dict[Connection, None] = {}
        self._full = Incident(
            _log,
            f"{most} connections are open, the most that are allowed: closing those that send "
            "nothing, or turning new ones away",
        )

    def admit(self, connection: Connection, host: str | None) -> str | None:
        """Count a new connection, or return why it is too many."""
        if self._most < self._allowed and time.monotonic() - self._lowered_at > _LOWERED:
            self._most = self._allowed
        key = self._peers.key(host)
        if not self._peers.take(key):  # first: such a peer must not close others' connections
            return "too many connections from this address"
        if len(self._open) >= self._most:
            self._full.happened()
            if not self._make_room():
                self._peers.give_back(key)
                return "too many connections"
        self._open[connection] = key
        return None

    def remove(self, connection: Connection) -> None:
        """Forget a connection; safe to repeat."""
        if connection in self._open:
            self._peers.give_back(self._open.pop(connection))
        self.await_response(connection)

    def await_header(self, connection: Connection) -> None:
        """Note that a connection waits for a header; pieces of it do not shorten the wait."""
        if connection in self._open:
            self._waiting.setdefault(connection)

    def await_body(self, connection: Connection) -> None:
        """Note that a connection waits for the next piece of a body, from now on."""
        self.await_response(connection)
        if connection in self._open:
            self._waiting[connection] = None

    def await_response(self, connection: Connection) -> None:
        """Note that a connection waits for the server, and not for its client."""
        self._waiting.pop(connection, None)

    def lower(self) -> None:
        """Allow fewer connections for a minute: the operating system has no file for more."""
        self._most = max(1, len(self._open) * 3 // 4)
        self._lowered_at = time.monotonic()
        while len(self._open) >= self._most and self._make_room():
            pass

    def _make_room(self) -> bool:
        """Close the connection that has waited longest; return whether there was one."""
        for connection in islice(self._waiting, _LOOKED_AT):
            if not connection.has_unread_request():
                self.remove(connection)
                connection.give_way()
                return True
        return False
