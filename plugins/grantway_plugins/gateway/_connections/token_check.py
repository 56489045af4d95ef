"""Whether the gateway's keys decrypt the stored tokens of users."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grantway._exceptions import StoreError
from grantway._processes.copies import OneProcess, Value

if TYPE_CHECKING:
    from .connection import Connection
    from .service import Connections

#: Seconds for which the result of a check is used, and the longest wait for one.
FRESH, PATIENCE = 30.0, 2.0
#: Number of tokens that are read, and of records among which they are found.
_TOKENS, _RECORDS = 10, 50

_log = logging.getLogger("grantway.gateway")


@dataclass(frozen=True, slots=True)
class TokenHealth(Value):
    """The result of reading some stored tokens.

    Attributes:
        checked: Number of tokens.
        unreadable: Number of those that could not be read.
        problem: Error message of the first of them; empty if there is none.
    """

    checked: int = 0
    unreadable: int = 0
    problem: str = ""

    @property
    def status(self) -> str:
        """``ok``; ``degraded`` if some tokens cannot be read; ``failing`` if none can."""
        if not self.unreadable:
            return "ok"
        return "degraded" if self.unreadable < self.checked else "failing"


class TokenCheck(OneProcess):
    """Reads some stored tokens, always the same ones, at most once in thirty seconds.

    Ids of users are hashes, so the first ones are a random sample. Call it in one event loop only.

    Args:
        connections: The connections.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._health, self._until = TokenHealth(), float("-inf")
        self._checking = asyncio.Lock()

    async def health(self) -> TokenHealth:
        """Return the health of the stored tokens, or the last known one if the store fails."""
        async with self._checking:
            if time.monotonic() >= self._until:
                self._until = time.monotonic() + FRESH
                with suppress(StoreError, TimeoutError):
                    async with asyncio.timeout(PATIENCE):
                        self._set(await self._read())
        return self._health

    async def _read(self) -> TokenHealth:
        problems = [
            problem
            for each in await self._sample()
            if (problem := await self._connections.tokens.problem_of(each)) is not None
        ]
        unreadable = [each for each in problems if each]
        return TokenHealth(len(problems), len(unreadable), next(iter(unreadable), ""))

    async def _sample(self) -> Sequence[Connection]:
        known = await self._connections.records.page("", _RECORDS)
        providers = self._connections.providers
        working = [each for each in known if each.state == "connected"]
        return [each for each in working if each.provider in providers][:_TOKENS]

    def _set(self, health: TokenHealth) -> None:
        before, self._health = self._health, health
        if health.unreadable and not before.unreadable:
            _log.error(
                "%d of %d stored tokens of users cannot be read: %s",
                health.unreadable,
                health.checked,
                health.problem,
            )
        elif before.unreadable and not health.unreadable:
            _log.warning("The stored tokens of users can be read again")
