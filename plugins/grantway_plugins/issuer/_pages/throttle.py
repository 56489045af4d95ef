"""Limits on wrong user codes (RFC 8628 section 5.1)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import LRUCache, TTLCache

from grantway_plugins.server._listening.peers import network_of


@dataclass(frozen=True, slots=True)
class Allowance:
    """A number of wrong entries that is given back over time.

    Attributes:
        entries: Wrong entries allowed at once.
        seconds: Time after which one of them is given back.
    """

    entries: int
    seconds: float


PER_SESSION = Allowance(5, 12.0)
PER_PEER = Allowance(10, 6.0)
TOTAL = Allowance(200, 1.0)
#: Part of ``TOTAL`` that only addresses without a recent wrong entry may use.
_RESERVED = 100
#: Seconds for which a wrong entry counts as recent.
_RECENT = 3600.0
#: Sessions and addresses remembered at most; the least recently used ones are forgotten.
_REMEMBERED = 10_000
_ALL = ""


class Throttle:
    """Counts wrong entries per session, per network address and in total.

    A wrong entry stays counted until its time has passed. A right entry gives back only itself,
    so entering a code of one's own does not make room for more guesses.

    Half of the total is reserved for addresses without a recent wrong entry. Known guessers
    therefore cannot use up the total and lock everybody else out.

    Args:
        clock: Seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions = _Counts(PER_SESSION, _REMEMBERED)
        self._peers = _Counts(PER_PEER, _REMEMBERED)
        self._total = _Counts(TOTAL, 1)
        self._guessers: TTLCache[str, bool] = TTLCache(_REMEMBERED, _RECENT, timer=clock)

    def enter(self, session: str | None, peer: str) -> float:
        """Count an entry as wrong, before it is looked up.

        Counting first keeps entries that arrive at once from all being looked up.

        Args:
            session: The browser's session, or None if it sent no cookie.
            peer: The address that the request came from.

        Returns:
            0, or the seconds to wait if nothing may be entered now. Then nothing is counted.
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
        """Take back one entry: it was right, or it could not be looked up."""
        with self._lock:
            now = self._clock()
            for counts, key in self._counts(session, network_of(peer)):
                counts.add(key, -1, now)

    def wrong(self, peer: str) -> None:
        """Remember that an entry from this address was wrong; it stays counted."""
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
