"""Save the activity of connections that was collected in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
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
        if known.state == "broken":
            known = await connections.repaired(known)
        if await connections.records.change(_changed(known, change), events=events):
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
