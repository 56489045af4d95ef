"""Locks among machines: leases that expire unless their holder extends them."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

from grantway._exceptions import StoreError, StoreLockError
from grantway._types.quantity import check_lock_wait, check_seconds
from grantway_plugins._databases.steps import Steps, Wait, run, run_async

#: Seconds for which a store remembers at least which fence changed a key last. A save with an
#: older fence to an unknown key is rejected, because it could restore a deleted token.
REMEMBERED = 3600.0
#: Seconds between attempts to acquire a held lease: the first pause, and the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1
#: Shortest lease in seconds. A busy machine could extend a shorter one too late.
_SHORTEST = 0.2

_log = logging.getLogger("grantway")


class Lease(Protocol):
    """The lease of one key for one owner, as implemented by a store.

    Every operation is idempotent, so that it can be retried after a lost response. Every operation
    raises ``StoreUnreadableError`` if the store cannot be reached.
    """

    def acquire(self) -> Steps[int | None]:
        """Acquire the lease and return its fence, or None if another owner holds it."""
        ...

    def extend(self) -> Steps[bool]:
        """Restart the lease's full duration; return False if another owner holds it."""
        ...

    def release(self) -> Steps[None]:
        """Release the lease if this owner still holds it."""
        ...


@contextmanager
def hold_lease(
    lease: Lease, perform: Callable[[Any], Any], *, seconds: float, timeout: float, where: str
) -> Iterator[int]:
    """Hold a lease while the block runs, extending it from a background thread.

    Args:
        lease: The lease to hold.
        perform: Sends a command of the store, as for ``steps.run``.
        seconds: Duration of the lease. It is extended every third of this time.
        timeout: Seconds to wait for the lease at most.
        where: Name of the lock, for errors and logs.

    Yields:
        The fence.

    Raises:
        StoreLockError: The lease was not available within ``timeout``.
        StoreUnreadableError: The store cannot be reached.
    """
    fence = run(_acquire(lease, timeout, where), perform)
    done = threading.Event()
    extender = threading.Thread(
        target=run,
        args=(_keep_extending(lease, seconds, where), perform, done.wait),
        name="grantway-lease",
        daemon=True,
    )
    extender.start()
    try:
        yield fence
    finally:
        done.set()
        extender.join()
        run(_release(lease, seconds, where), perform)


@asynccontextmanager
async def hold_lease_async(
    lease: Lease,
    perform: Callable[[Any], Awaitable[Any]],
    *,
    seconds: float,
    timeout: float,  # noqa: ASYNC109 - as hold_lease()
    where: str,
) -> AsyncIterator[int]:
    """Do the same as ``hold_lease`` on the event loop, extending the lease from a task."""
    import asyncio  # noqa: PLC0415 - not needed without an event loop

    from grantway._processes.hidden_task import hidden_task  # noqa: PLC0415 - as asyncio

    loop = asyncio.get_running_loop()
    fence = await run_async(_acquire(lease, timeout, where), perform)
    extender = hidden_task(
        run_async(_keep_extending(lease, seconds, where), perform), "grantway-lease"
    )
    try:
        yield fence
    finally:
        if not loop.is_closed():  # otherwise the lease expires
            extender.cancel()
            await asyncio.wait([extender])
            await run_async(_release(lease, seconds, where), perform)


def check_lease(seconds: float) -> float:
    """Return the duration of a lease in seconds.

    Raises:
        ConfigurationError: It is not a number from 0.2 to 3600.
    """
    check_seconds("lease", seconds, least=_SHORTEST, most=REMEMBERED)
    return float(seconds)


def _acquire(lease: Lease, timeout: float, where: str) -> Steps[int]:
    check_lock_wait(timeout)
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while (fence := (yield from lease.acquire())) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise StoreLockError(
                f"{where}: another process held the lock for longer than the timeout of "
                f"{timeout:g} s; nothing was sent. Use a longer timeout, or find out what keeps "
                "the holder busy."
            )
        # Jitter, so that waiting processes do not all retry at the same moment.
        yield Wait(min(left, pause * random.uniform(0.5, 1.5)))  # noqa: S311 - no secret
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return fence


def _keep_extending(lease: Lease, seconds: float, where: str) -> Steps[None]:
    while not (yield Wait(seconds / 3)):
        try:
            extended = yield from lease.extend()
        except StoreError as failed:
            _log.warning("%s: cannot extend the lease; retrying. %s", where, failed)
            continue
        if not extended:
            _log.warning("%s: lease lost; a save is rejected if the new holder has saved.", where)
            return


def _release(lease: Lease, seconds: float, where: str) -> Steps[None]:
    try:
        yield from lease.release()
    except StoreError as failed:
        # The block has finished and its changes are stored; other callers only wait longer.
        _log.warning(
            "%s: cannot release the lock; it expires within %g s. %s", where, seconds, failed
        )
