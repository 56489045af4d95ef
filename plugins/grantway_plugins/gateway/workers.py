"""Threads for calls that block, so many at once and so many waiting, and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from grantway.exceptions import ConfigurationError

if TYPE_CHECKING:
    from anyio import CapacityLimiter
    from anyio.lowlevel import RunVar

T = TypeVar("T")


class Full(Exception):  # noqa: N818 - nothing has failed
    """All threads are busy, and as many calls wait as may."""


class Workers:
    """Runs calls in threads, for an event loop that must not block.

    Args:
        threads: Calls at once, for each event loop.
        waiting: Calls that may wait for a thread; one more is refused.

    Raises:
        ConfigurationError: names the argument that cannot work.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        for name, value, least in (("threads", threads, 1), ("waiting", waiting, 0)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigurationError(f"{name}: a whole number from {least}, not {value!r}.")
        self._threads, self._most = threads, threads + waiting
        self._lanes: RunVar[_Lane] | None = None

    async def run(self, call: Callable[[], T]) -> T:
        """Run a call in a thread. Once it runs it is not abandoned, even if its caller is.

        Raises:
            Full: it was not run, and nothing of it was done.
        """
        from anyio.to_thread import run_sync  # noqa: PLC0415 - only an event loop needs it

        lane = self._lane()
        if lane.calls >= self._most:
            raise Full
        lane.calls += 1
        try:
            return await run_sync(call, limiter=lane.limiter)
        finally:
            lane.calls -= 1

    def _lane(self) -> _Lane:
        from anyio import CapacityLimiter  # noqa: PLC0415 - the same
        from anyio.lowlevel import RunVar  # noqa: PLC0415

        if self._lanes is None:
            self._lanes = RunVar("grantway_workers")
        lane: Any = self._lanes.get(None)
        if lane is None:
            lane = _Lane(CapacityLimiter(self._threads))
            self._lanes.set(lane)
        return lane  # type: ignore[no-any-return]


@dataclass
class _Lane:
    """What one event loop has under way; a limiter belongs to one loop."""

    limiter: CapacityLimiter
    calls: int = 0
