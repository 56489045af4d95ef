"""Objects that belong to one event loop each, such as connections."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

Held = TypeVar("Held")


class PerLoop(Generic[Held]):
    """One object for each event loop that asks for it, closed when the loop ends.

    A loop ends with ``loop.shutdown_asyncgens()``, which ``asyncio.run`` and all servers call after
    they have cancelled the remaining tasks. A forked child does not use the objects of its parent.

    Args:
        make: Creates the object, in the loop that uses it.
        close: Closes it, in the same loop.
    """

    def __init__(
        self, make: Callable[[], Held], close: Callable[[Held], Awaitable[object]]
    ) -> None:
        self._make, self._close = make, close
        self._process = os.getpid()
        self._inherited: list[object] = []
        self._held: dict[asyncio.AbstractEventLoop, tuple[Held, AsyncGenerator[None, None]]] = {}

    def get(self) -> Held:
        """Return the object of the running event loop."""
        loop = asyncio.get_running_loop()
        if self._process != os.getpid():
            # A reference, because garbage collection would close the parent's connections.
            self._inherited.append(self._held)
            self._held, self._process = {}, os.getpid()
        if loop in self._held:
            return self._held[loop][0]
        for other in list(self._held):
            if other.is_closed():
                self._held.pop(other, None)
        made = self._make()
        ending = self._until_the_end(loop, made)
        with suppress(StopIteration):
            # The first step registers the generator with the loop, which finishes it at its end.
            ending.__anext__().send(None)
        self._held[loop] = made, ending
        return made

    async def close(self) -> None:
        """Close the object of the running event loop, if there is one."""
        held = self._held.get(asyncio.get_running_loop())
        if held is not None:
            await held[1].aclose()

    async def _until_the_end(
        self, loop: asyncio.AbstractEventLoop, held: Held
    ) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._held.pop(loop, None)
            await self._close(held)
