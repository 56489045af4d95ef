"""Save the activity of connections that was collected in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from grantway._exceptions import StoreError
from grantway_plugins.gateway._connections.connection import Connection, ConnectionEvent

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.service import Connections

    from .activity import Change

#: Maximum number of connections that are saved at once.
_AT_ONCE = 8
#: Attempts to save one connection that other gateways change at the same time.
_ATTEMPTS = 5


async def save_activity(connections: Connections, *, everything: bool = False) -> None:
    """Save collected activity in the records and the audit trail.

    Args:
        connections: The connections.
        everything: Whether to include what would be saved later.

    Raises:
        StoreError: The records failed. What was not saved is kept in memory.
    """
    waiting = connections.activity.take(everything=everything)
    waiting.reverse()
    failures: list[StoreError] = []

    async def save() -> None:
        while waiting and not failures:
            change = waiting.pop()
            try:
                await _save(connections, change)
            except StoreError as error:
                failures.append(error)
                connections.activity.give_back(change)
            except BaseException:
                connections.activity.give_back(change)
                raise

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, len(waiting))):
                group.create_task(save())
    finally:
        for change in waiting:
            connections.activity.give_back(change)
    if failures:
        raise failures[0]


async def _save(connections: Connections, change: Change) -> None:
    events = [*_events(change)]
    for _ in range(_ATTEMPTS):
        known = await connections.records.connection(change.user, change.provider)
        if known is None:
            known = await connections.restored(change.user, change.provider)
        if known is None:
            return  # disconnected meanwhile
        recorded = _recorded(events, known, connections.settings.audit_activity)
        if known.state == "broken":
            known = await connections.repaired(known)
            if known.state != "broken":
                recorded = events
        if await connections.records.change(_changed(known, change), events=recorded):
            for event in events:
                connections.observer.happened(event)
            return
    connections.activity.give_back(change)


def _changed(known: Connection, change: Change) -> Connection:
    if change.used_at is not None:
        known = replace(known, used_at=max(change.used_at, known.used_at or 0.0))
    if change.refreshed_at is not None and change.refreshed_at >= known.refreshed_at:
        # Unless another gateway has saved a later refresh, or the user connected again.
        known = replace(known, refreshed_at=change.refreshed_at, due_at=change.due_at)
    return known


def _events(change: Change) -> Iterator[ConnectionEvent]:
    about = change.user, change.provider
    if change.refreshed_at is not None:
        yield ConnectionEvent(*about, "refreshed", change.refreshed_at)
    if change.used_at is not None:
        yield ConnectionEvent(*about, "used", change.used_at, count=change.uses)


def _recorded(
    events: Sequence[ConnectionEvent], known: Connection, activity: str
) -> Sequence[ConnectionEvent]:
    """Return the events that are saved in the audit trail. All of them are logged.

    Of several gateways, one saves the first use of a day: a change names the version that it
    replaces. A refresh is saved only if the connection was not used on that day.

    Args:
        events: The events of a change.
        known: The connection before the change.
        activity: The setting ``audit_activity``.
    """
    if activity != "daily":
        return events if activity == "all" else ()
    used, refreshed = _day(known.used_at), _day(known.refreshed_at)
    earlier = {"used": {used}, "refreshed": {used, refreshed}}
    new = [each for each in events if _day(each.at) not in earlier[each.name]]
    return [replace(each, count=1) for each in new[-1:]]  # a use comes last


def _day(seconds: float | None) -> float | None:
    """Return the day in UTC."""
    return None if seconds is None else seconds // 86_400
