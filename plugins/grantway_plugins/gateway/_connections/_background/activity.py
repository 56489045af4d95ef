"""Uses and refreshes of connections, collected in memory and saved in the background."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grantway._processes.copies import OneProcess

from .due import due_at

if TYPE_CHECKING:
    from grantway._types.token import Token

#: Shortest time in seconds between two saved uses of one connection. The uses in between are
#: counted and saved together.
USED_EVERY = 3_600.0
#: Maximum number of connections whose activity is remembered.
MOST = 100_000

_Key = tuple[str, str]


@dataclass(slots=True)
class Change:
    """Activity of a connection that is not saved yet.

    Attributes:
        user: ``User.id`` of the user.
        provider: Name of the provider.
        uses: Number of uses.
        used_at: Time of the last use, or None.
        refreshed_at: Time of the last new token, or None.
        due_at: Time of the next refresh, if there was a new token.
    """

    user: str
    provider: str
    uses: int = 0
    used_at: float | None = None
    refreshed_at: float | None = None
    due_at: float = 0.0


class Activity(OneProcess):
    """Collects the activity of connections. Call it in one event loop only.

    A request pays for one update of a dictionary. If the process is killed, uses of the last hour
    are not counted, and a refresh that was not saved is repeated earlier than needed.

    Args:
        clock: Returns seconds since the epoch.
        most: Maximum number of connections to remember; activity of further ones is not counted.
    """

    stays = "it counts in this process; create one in each process"

    def __init__(self, *, clock: Callable[[], float] = time.time, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._uses: dict[_Key, int] = {}
        #: Connections whose use was saved within the last hour -> time, and uses since then. The
        #: earliest is first.
        self._saved: dict[_Key, tuple[float, int]] = {}
        self._changes: dict[_Key, Change] = {}

    def used(self, user_id: str, provider: str) -> None:
        """Count a use."""
        uses, key = self._uses, (user_id, provider)
        if key in uses:
            uses[key] += 1
        elif len(uses) < self._most:
            uses[key] = 1

    def refreshed(self, keep_alive: float, user_id: str, provider: str, token: Token) -> None:
        """Note a new token, which is stored already.

        Args:
            keep_alive: Seconds after which an idle token is refreshed; infinity for never.
            user_id: ``User.id`` of the user.
            provider: Name of the provider.
            token: The token.
        """
        now = self._clock()
        change = self._change((user_id, provider))
        if change is not None:
            change.refreshed_at, change.due_at = now, due_at(token, now, keep_alive)

    def take(self, *, everything: bool = False) -> list[Change]:
        """Return the activity that should be saved now, which is then no longer remembered.

        Args:
            everything: Whether to include the uses of connections that were saved within the last
                hour, because the gateway stops.
        """
        now = self._clock()
        uses, self._uses = self._uses, {}
        for key, count in uses.items():
            if (saved := self._saved.get(key)) is not None:
                self._saved[key] = saved[0], saved[1] + count
            else:
                self._use(key, count, now)
                self._saved[key] = now, 0
        while self._saved:
            key, (at, count) = next(iter(self._saved.items()))
            if not everything and now < at + USED_EVERY and len(self._saved) <= self._most:
                break
            del self._saved[key]
            if count:
                self._use(key, count, now)
                if not everything:
                    self._saved[key] = now, 0
        changes, self._changes = self._changes, {}
        return [*changes.values()]

    def give_back(self, change: Change) -> None:
        """Remember activity again that could not be saved."""
        known = self._change((change.user, change.provider))
        if known is None:
            return
        known.uses += change.uses
        known.used_at = known.used_at or change.used_at
        if known.refreshed_at is None:
            known.refreshed_at, known.due_at = change.refreshed_at, change.due_at

    def _use(self, key: _Key, count: int, now: float) -> None:
        change = self._change(key)
        if change is not None:
            change.uses += count
            change.used_at = now

    def _change(self, key: _Key) -> Change | None:
        change = self._changes.get(key)
        if change is None and len(self._changes) < self._most:
            change = self._changes[key] = Change(*key)
        return change

    def __len__(self) -> int:
        return len(self._uses) + len(self._changes)
