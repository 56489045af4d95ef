"""A store in the memory of the process: bounded, and gone with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from cachetools import Cache, LRUCache

from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway._types.quantity import MOST_ENTRIES, check_count
from grantway_plugins.stores._shared.key_locks import ThreadLocks

if TYPE_CHECKING:
    from grantway._types.token import Token

#: A table is copied as it grows, which stops every reader: one of this size takes 0.1 ms.
_SHARD = 1024
# Reading moves an entry to the front, so even that changes a shard.
_guard = fork_safe_lock()
#: Entries that a call looks at to find those that ended. More than one, so that looking goes
#: faster than saving.
_LOOKS = 4


class MemoryStore(OneProcess):
    """Keeps the tokens that were used last.

    A token that ended and has no refresh token is forgotten some time after. No call does more
    for that than look at four entries, so nobody waits when many end at once.

    Args:
        entries: Tokens that are kept at most. Past that, one of those unused for longest is
            forgotten for each that is new, and with it its refresh token.

    Raises:
        ConfigurationError: ``entries`` is not a whole number from 1.
    """

    stays = "it keeps tokens in the memory of this process; use a store that processes share"

    def __init__(self, *, entries: int = 100_000) -> None:
        check_count("entries", entries, most=MOST_ENTRIES)
        self._entries = entries
        #: Key -> its token, and where the key stands in the ring.
        self._shards: list[LRUCache[str, tuple[Token, int]]] = [
            LRUCache(math.inf) for _ in range(math.ceil(entries / _SHARD))
        ]
        #: Every key once, in no order, and the place where the next look begins.
        self._ring: list[str] = []
        self._hand = 0
        self._locks = ThreadLocks()

    def load(self, key: str) -> Token | None:
        """See ``grantway.Store``."""
        with _guard:
            held = self._shard(key).get(key)
        return held[0] if held else None

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """See ``grantway.Store``; it outlives nothing but the call. The fence is not looked at."""
        with _guard:
            shard = self._shard(key)
            held = shard.get(key)
            if held is None:
                self._forget_ended()
                if len(self._ring) >= self._entries:
                    self._forget_unused(shard)
                self._ring.append(key)
            shard[key] = (token, held[1] if held else len(self._ring) - 1)

    def delete(self, key: str, *, fence: int = 0) -> None:
        """See ``grantway.Store``. The fence is not looked at, since the lock cannot be lost."""
        with _guard:
            held = self._shard(key).pop(key, None)
            if held is not None:
                self._leave_ring(held[1])

    @contextmanager
    def _hold(self, key: str, timeout: float) -> Iterator[int]:
        with self._locks.hold(key, timeout, f"the memory store, key {key!r}"):
            yield 0

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """See ``grantway.Store``; among the threads of this process, with the fence 0."""
        return self._hold(key, timeout)

    def __len__(self) -> int:
        return len(self._ring)

    def __repr__(self) -> str:
        return f"MemoryStore({len(self)} of {self._entries} entries)"

    def _shard(self, key: str) -> LRUCache[str, tuple[Token, int]]:
        return self._shards[hash(key) % len(self._shards)]

    def _forget_unused(self, shard: LRUCache[str, tuple[Token, int]]) -> None:
        # Each holds thousands, so its oldest is old; one without any is rare.
        full = shard or next(each for each in self._shards if each)
        self._leave_ring(full.popitem()[1][1])

    def _forget_ended(self) -> None:
        for _ in range(min(_LOOKS, len(self._ring))):
            self._hand %= len(self._ring)
            key = self._ring[self._hand]
            shard = self._shard(key)
            # Not shard[key], which would count as a use.
            token, place = Cache.__getitem__(shard, key)
            if token.refresh_token is None and token.expired():
                del shard[key]
                self._leave_ring(place)
            else:
                self._hand += 1

    def _leave_ring(self, place: int) -> None:
        """Close the gap with the last key."""
        last = self._ring.pop()
        if place == len(self._ring):
            return
        self._ring[place] = last
        shard = self._shard(last)
        token, _ = Cache.__getitem__(shard, last)
        # Nor is this a use.
        Cache.__setitem__(shard, last, (token, place))
