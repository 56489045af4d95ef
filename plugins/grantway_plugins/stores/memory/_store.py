"""A bounded store in the memory of the process."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from cachetools import Cache, LRUCache

from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway._types.quantity import MOST_ENTRIES, check_count
from grantway_plugins.stores._shared.key_locks import ThreadLocks

if TYPE_CHECKING:
    from grantway._types.token import Token

#: Entries per shard. Growing a dict copies it and blocks every reader: 0.1 ms at this size.
_SHARD = 1024
# Reads take the lock too, because they move an entry to the front of its shard.
_guard = fork_safe_lock()
#: Entries that saving a new key checks for expiry. More than one, so that expired entries are
#: found faster than new ones are added.
_CHECKS = 4


class MemoryStore(OneProcess):
    """Stores the most recently used tokens in memory.

    Expired tokens without a refresh token are removed gradually: saving a new key checks four
    entries, so no call is slow when many tokens expire at once.

    Args:
        entries: Maximum number of tokens. Once it is reached, each new token replaces one of the
            least recently used, including its refresh token.

    Raises:
        ConfigurationError: ``entries`` is not an integer from 1.
    """

    stays = "it stores tokens in the memory of this process; use a store that processes share"

    def __init__(self, *, entries: int = 100_000) -> None:
        check_count("entries", entries, most=MOST_ENTRIES)
        self._entries = entries
        #: Key -> its token and the key's index in the ring.
        self._shards: list[LRUCache[str, tuple[Token, int]]] = [
            LRUCache(math.inf) for _ in range(math.ceil(entries / _SHARD))
        ]
        #: Every key once, in no particular order, and the index of the next expiry check.
        self._ring: list[str] = []
        self._hand = 0
        self._locks = ThreadLocks()

    def load(self, key: str) -> Token | None:
        """Load a token; see ``grantway.Store``."""
        with _guard:
            held = self._shard(key).get(key)
        return held[0] if held else None

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """Save a token. The fence is ignored, because the lock cannot be lost."""
        with _guard:
            shard = self._shard(key)
            held = shard.get(key)
            if held is None:
                self._remove_expired()
                if len(self._ring) >= self._entries:
                    self._remove_least_used(shard)
                self._ring.append(key)
            shard[key] = (token, held[1] if held else len(self._ring) - 1)

    def delete(self, key: str, *, fence: int = 0) -> None:
        """Delete a token. The fence is ignored, because the lock cannot be lost."""
        with _guard:
            held = self._shard(key).pop(key, None)
            if held is not None:
                self._remove_from_ring(held[1])

    @contextmanager
    def _hold(self, key: str, timeout: float) -> Iterator[int]:
        with self._locks.hold(key, timeout, f"the memory store, key {key!r}"):
            yield 0

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """Lock the key among the threads of this process; the fence is 0."""
        return self._hold(key, timeout)

    async def load_async(self, key: str) -> Token | None:
        """Load a token; nothing waits."""
        return self.load(key)

    async def save_async(self, key: str, token: Token, *, fence: int = 0) -> None:
        """Save a token; nothing waits."""
        self.save(key, token, fence=fence)

    async def delete_async(self, key: str, *, fence: int = 0) -> None:
        """Delete a token; nothing waits."""
        self.delete(key, fence=fence)

    @asynccontextmanager
    async def lock_async(self, key: str, timeout: float) -> AsyncIterator[int]:  # noqa: ASYNC109 - as lock()
        """Lock the key among the threads and tasks of this process; the fence is 0."""
        async with self._locks.hold_async(key, timeout, f"the memory store, key {key!r}"):
            yield 0

    def __len__(self) -> int:
        return len(self._ring)

    def __repr__(self) -> str:
        return f"MemoryStore({len(self)} of {self._entries} entries)"

    def _shard(self, key: str) -> LRUCache[str, tuple[Token, int]]:
        return self._shards[hash(key) % len(self._shards)]

    def _remove_least_used(self, shard: LRUCache[str, tuple[Token, int]]) -> None:
        # A shard's least recently used entry approximates that of the whole store.
        full = shard or next(each for each in self._shards if each)
        self._remove_from_ring(full.popitem()[1][1])

    def _remove_expired(self) -> None:
        for _ in range(min(_CHECKS, len(self._ring))):
            self._hand %= len(self._ring)
            key = self._ring[self._hand]
            shard = self._shard(key)
            # shard[key] would count as a use.
            token, index = Cache.__getitem__(shard, key)
            if token.refresh_token is None and token.expired():
                del shard[key]
                self._remove_from_ring(index)
            else:
                self._hand += 1

    def _remove_from_ring(self, index: int) -> None:
        """Remove a key from the ring and move the last key into its position."""
        last = self._ring.pop()
        if index == len(self._ring):
            return
        self._ring[index] = last
        shard = self._shard(last)
        token, _ = Cache.__getitem__(shard, last)
        # As above, this must not count as a use.
        Cache.__setitem__(shard, last, (token, index))
