"""Limits on wrong user codes (RFC 8628 section 5.1)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import LRUCache, TTLCache

from grantway_plugins.server._listening.peers import network_of


@dataclass(frozen=True, slots=True)
class Allowance:
    """A number of wrong entries that is restored over time.

    Attributes:
        entries: Maximum number of wrong entries in a row.
        seconds: Time in which one entry is restored, in seconds.
    """

    entries: int
    seconds: float


PER_SESSION = Allowance(5, 12.0)
PER_PEER = Allowance(10, 6.0)
TOTAL = Allowance(200, 1.0)
#: Part of ``TOTAL`` that is reserved for addresses without a recent wrong entry.
_RESERVED = 100
#: Seconds for which a wrong entry counts as recent.
_RECENT = 3600.0
#: Maximum number of sessions and of addresses; the least recently used ones are dropped.
_MAX_KEYS = 10_000
_ALL = ""


class Throttle:
    """Counts wrong entries per session, per network address and in total.

    A wrong entry counts until its time has passed. A correct entry does not reset the count, so a
    guesser cannot make room for more guesses by entering a correct code.

    Half of the total is reserved for addresses without a recent wrong entry, so that guessers
    cannot lock out all other users.

    Args:
        clock: Returns seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions = _Counts(PER_SESSION, _MAX_KEYS)
        self._peers = _Counts(PER_PEER, _MAX_KEYS)
        self._total = _Counts(TOTAL, 1)
        self._guessers: TTLCache[str, bool] = TTLCache(_MAX_KEYS, _RECENT, timer=clock)

    def enter(self, session: str | None, peer: str) -> float:
        """Count an entry as wrong before it is looked up.

        Counting first limits entries that arrive at the same time.

        Args:
            session: The browser's session, or None if it sent no cookie.
            peer: Address that sent the request.

        Returns:
            0, or the seconds to wait. In the latter case, the entry is not counted.
        """
        network = network_of(peer)
        with self._lock:
            now = self._clock()
            wait = self._wait(session, network, now)
            if wait == 0:
                for counts, key in self._counts(session, network):
                    counts.add(key, 1, now)
            return wait

    def give_back(self, session: str | None, peer: str) -> None:
        """Stop counting an entry, because it was correct or could not be looked up."""
        with self._lock:
            now = self._clock()
            for counts, key in self._counts(session, network_of(peer)):
                counts.add(key, -1, now)

    def record_wrong_entry(self, peer: str) -> None:
        """Record that an entry from this address was wrong."""
        with self._lock:
            self._guessers[network_of(peer)] = True

    def wait(self, session: str | None, peer: str) -> float:
        """Return the seconds until the next entry is allowed, or 0."""
        with self._lock:
            return self._wait(session, network_of(peer), self._clock())

    def _counts(self, session: str | None, network: str) -> list[tuple[_Counts, str]]:
        counts = [(self._peers, network), (self._total, _ALL)]
        if session is not None:
            counts.append((self._sessions, session))
        return counts

    def _wait(self, session: str | None, network: str, now: float) -> float:
        return max(
            self._peers.wait(network, now),
            self._total.wait(_ALL, now, reserved=_RESERVED if network in self._guessers else 0),
            0.0 if session is None else self._sessions.wait(session, now),
        )


class _Counts:
    """Counts of wrong entries by key; each count decreases at a steady rate."""

    def __init__(self, allowance: Allowance, keys: int) -> None:
        self._allowance = allowance
        self._levels: LRUCache[str, tuple[float, float]] = LRUCache(keys)

    def level(self, key: str, now: float) -> float:
        level, at = self._levels.get(key, (0.0, now))
        return max(0.0, level - max(0.0, now - at) / self._allowance.seconds)

    def add(self, key: str, entries: int, now: float) -> None:
        level = self.level(key, now) + entries
        if level > 0:
            self._levels[key] = (level, now)
        else:
            self._levels.pop(key, None)

    def wait(self, key: str, now: float, *, reserved: int = 0) -> float:
        over = self.level(key, now) + 1 - (self._allowance.entries - reserved)
        return max(0.0, over * self._allowance.seconds)
