"""The loop that does the background work on connections in one gateway."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from grantway._exceptions import StoreError
from grantway._processes.copies import OneProcess
from grantway_plugins.gateway._connections._webhook.message import PREFIX as WEBHOOK
from grantway_plugins.gateway._connections.device_logins import PREFIX as DEVICE, DeviceLogins

from .deliver import deliver
from .keep_alive import keep_alive
from .saving import save_activity
from .tasks import Tasks

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.records import Job
    from grantway_plugins.gateway._connections.service import Connections

#: Seconds between two rounds, and the longest time while the database fails.
TICK, LONGEST_PAUSE = 1.0, 60.0
#: Maximum number of refreshes and jobs per second in one gateway.
RATE = 50.0
#: Maximum number of refreshes, and of jobs, that run at once.
AT_ONCE = 16
#: Seconds for which this gateway has claimed work. Then another gateway tries it again.
LEASE = 300.0
#: Seconds between two removals of old entries, and between two measurements for metrics.
PRUNE_EVERY, COUNT_EVERY = 3_600.0, 60.0
#: Longest time in seconds to save activity when the gateway stops.
_LAST = 5.0

_log = logging.getLogger("grantway.gateway")


class ConnectionWorker(OneProcess):
    """Saves activity, refreshes idle connections and does jobs, in one task per gateway.

    Several gateways share the work through claims with leases. A failure of the database pauses
    the work and is logged once.

    Args:
        current: Returns the connections, which a reload may replace, or None if there are none.
        tick: Seconds between two rounds.
        rate: Maximum number of refreshes, and of jobs, per second.
        at_once: Maximum number of refreshes, and of jobs, that run at once.
        lease: Seconds until another gateway may try work again.
    """

    def __init__(
        self,
        current: Callable[[], Connections | None],
        *,
        tick: float = TICK,
        rate: float = RATE,
        at_once: int = AT_ONCE,
        lease: float = LEASE,
    ) -> None:
        self._current = current
        self._tick = tick
        self._lease = lease
        self._refreshes = Tasks(rate, at_once)
        self._jobs = Tasks(rate, at_once)
        self._prune_at = self._count_at = 0.0

    async def run(self) -> None:
        """Work until cancelled. Then activity in memory is saved."""
        failing = False
        pause = self._tick * random.random()  # noqa: S311 - it protects nothing
        try:
            while True:
                await asyncio.sleep(pause)
                pause = self._tick if not failing else min(LONGEST_PAUSE, 2 * pause)
                try:
                    await self._round()
                except StoreError as error:
                    if not failing:
                        _log.warning("Background work on connections is paused: %s", error)
                    failing = True
                except Exception:  # noqa: BLE001 - the loop must go on, and a log reports it
                    _log.exception("Background work on connections failed")
                    failing = True
                else:
                    if failing:
                        _log.warning("Background work on connections continues")
                    failing, pause = False, self._tick
                # Gateways that started together must not ask the database together.
                pause *= random.uniform(0.75, 1.25)  # noqa: S311 - as above
        finally:
            await self._stop()

    async def _stop(self) -> None:
        await asyncio.gather(self._refreshes.stop(), self._jobs.stop())
        connections = self._current()
        if connections is not None:
            with suppress(StoreError, TimeoutError):
                async with asyncio.timeout(_LAST):
                    await save_activity(connections, everything=True)

    async def _round(self) -> None:
        """Start the work that is due, and do not wait for it."""
        connections = self._current()
        if connections is None:
            return
        await save_activity(connections)
        records, now = connections.records, connections.clock()
        if limit := self._refreshes.free():
            for each in await records.claim_due(now, lease=self._lease, limit=limit):
                self._refreshes.start(_guarded(partial(keep_alive, connections, each)))
        if limit := self._jobs.free():
            for job in await records.claim_jobs(now, lease=self._lease, limit=limit):
                self._jobs.start(_guarded(partial(_do, connections, job)))
        monotonic = time.monotonic()
        if monotonic >= self._count_at:
            self._count_at = monotonic + _spread(COUNT_EVERY)
            connections.observer.counted(await records.counts())
            connections.observer.checked(await connections.token_check.health())
        if monotonic >= self._prune_at:
            self._prune_at = monotonic + _spread(PRUNE_EVERY)
            await records.prune(now, audit_seconds=connections.settings.audit_days * 86_400.0)


async def _do(connections: Connections, job: Job) -> None:
    if job.id.startswith(WEBHOOK):
        await deliver(connections, job)
    elif job.id.startswith(DEVICE):
        await DeviceLogins(connections).poll(job)
    # Leave other jobs to a newer gateway, which has planned them.


async def _guarded(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do claimed work. If it fails, it is due again when the claim ends."""
    try:
        await work()
    except StoreError as error:
        _log.info("Background work on a connection is tried again later: %s", error)
    except Exception:  # noqa: BLE001 - as above; the task has no caller
        _log.exception("Background work on a connection failed")


def _spread(seconds: float) -> float:
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - it protects nothing
