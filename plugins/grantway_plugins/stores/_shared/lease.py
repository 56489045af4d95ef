"""Locks among machines: leases that expire unless their holder extends them."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from grantway._exceptions import StoreError, StoreLockError
from grantway._types.quantity import check_lock_wait, check_seconds

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

    Every method is idempotent, so that it can be retried after a lost response. Every method
    raises ``StoreUnreadableError`` if the store cannot be reached.
    """

    def acquire(self) -> int | None:
        """Acquire the lease and return its fence, or None if another owner holds it."""
        ...

    def extend(self) -> bool:
        """Restart the lease's full duration; return False if another owner holds it."""
        ...

    def release(self) -> None:
        """Release the lease if this owner still holds it."""
        ...


@contextmanager
def hold_lease(lease: Lease, *, seconds: float, timeout: float, where: str) -> Iterator[int]:
    """Hold a lease while the block runs, extending it from a background thread.

    Args:
        lease: The lease to hold.
        seconds: Duration of the lease. It is extended every third of this time.
        timeout: Seconds to wait for the lease at most.
        where: Name of the lock, for errors and logs.

    Yields:
        The fence.

    Raises:
        StoreLockError: The lease was not available within ``timeout``.
        StoreUnreadableError: The store cannot be reached.
    """
    fence = _acquire(lease, timeout, where)
    done = threading.Event()
    extender = threading.Thread(
        target=_keep_extending,
        args=(lease, seconds, where, done),
        name="grantway-lease",
        daemon=True,
    )
    extender.start()
    try:
        yield fence
    finally:
        done.set()
        extender.join()
        try:
            lease.release()
        except StoreError as failed:
            # The block has finished and its changes are stored; other callers only wait longer.
            _log.warning(
                "%s: cannot release the lock; it expires within %g s. %s", where, seconds, failed
            )


def check_lease(seconds: float) -> float:
    """Return the duration of a lease in seconds.

    Raises:
        ConfigurationError: It is not a number from 0.2 to 3600.
    """
    check_seconds("lease", seconds, least=_SHORTEST, most=REMEMBERED)
    return float(seconds)


def _acquire(lease: Lease, timeout: float, where: str) -> int:
    check_lock_wait(timeout)
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while (fence := lease.acquire()) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise StoreLockError(
                f"{where}: another process held the lock for longer than the timeout of "
                f"{timeout:g} s; nothing was sent. Use a longer timeout, or find out what keeps "
                "the holder busy."
            )
        # Jitter, so that waiting processes do not all retry at the same moment.
        time.sleep(min(left, pause * random.uniform(0.5, 1.5)))  # noqa: S311 - no secret
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return fence


def _keep_extending(lease: Lease, seconds: float, where: str, done: threading.Event) -> None:
    while not done.wait(seconds / 3):
        try:
            extended = lease.extend()
        except StoreError as failed:
            _log.warning("%s: cannot extend the lease; retrying. %s", where, failed)
            continue
        if not extended:
            _log.warning("%s: lease lost; a save is rejected if the new holder has saved.", where)
            return
