"""Stores that fail on demand, based on the memory store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from grantway import Token
from grantway._exceptions import LeaseLostError, StoreSaveError, StoreUnreadableError
from grantway_plugins.stores.memory._store import MemoryStore


class FaultyStore(MemoryStore):
    """A memory store that can be full, unreachable, or lose its lease.

    Attributes:
        full: Saves fail.
        unreachable: Reads fail.
        meanwhile: Called once, before the next save with a fence, which then fails because the
            lease is lost.
        saved: Every saved token, with its fence.
    """

    def __init__(self) -> None:
        super().__init__()
        self.full = self.unreachable = False
        self.meanwhile: Callable[[], None] | None = None
        self.saved: list[tuple[Token, int]] = []

    def load(self, key: str) -> Token | None:
        if self.unreachable:
            raise StoreUnreadableError("the store is unavailable")
        return super().load(key)

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        if self.full:
            raise StoreSaveError("the disk is full")
        self._check(fence)
        super().save(key, token)
        self.saved.append((token, fence))

    def delete(self, key: str, *, fence: int = 0) -> None:
        self._check(fence)
        super().delete(key)

    @contextmanager
    def _hold(self, key: str, timeout: float) -> Iterator[int]:
        with super()._hold(key, timeout):
            yield 7

    @asynccontextmanager
    async def lock_async(self, key: str, timeout: float) -> AsyncIterator[int]:  # noqa: ASYNC109
        async with super().lock_async(key, timeout):
            yield 7

    def _check(self, fence: int) -> None:
        if fence and self.meanwhile is not None:
            done, self.meanwhile = self.meanwhile, None
            done()
            raise LeaseLostError("a later holder has written")
