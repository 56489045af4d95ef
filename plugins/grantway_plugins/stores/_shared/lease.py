"""A lock among machines: a lease that ends by itself unless its holder, still alive, renews it."""

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

#: Seconds for which a store knows at least which holder changed a key last. A holder older than
#: that is refused where nothing is known of its key, so that it brings back no deleted token.
REMEMBERED = 3600.0
#: Seconds between two tries while another holds the lease: the first pause, and the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1
#: Seconds below which a renewal could come too late on a busy machine.
_SHORTEST = 0.2

_log = logging.getLogger("grantway")


class Lease(Protocol):
    """The lease of one key for one would-be holder, in the words of its store.

    Each may be asked twice with the same effect, as when an answer was lost. All raise
    ``StoreUnreadableError`` where the store cannot be reached.
    """

    def take(self) -> int | None:
        """The fence of a new lease, or None while another holds the key."""
        ...

    def renew(self) -> bool:
        """Let it last its whole time again; False where it is another's by now."""
        ...

    def give_up(self) -> None:
        """Set the key free, where it is still held."""
        ...


@contextmanager
def held(lease: Lease, *, seconds: float, timeout: float, where: str) -> Iterator[int]:
    """Hold a lease while the block runs, renewing it from a thread.

    Args:
        lease: What is to be held.
        seconds: How long it lasts; renewed each third of it.
        timeout: Seconds to wait for it at most.
        where: Names the lock in an error.

    Yields:
        The fence.

    Raises:
        StoreLockError: it was not to be had in time.
        StoreUnreadableError: the store cannot be reached.
    """
    fence = _wait(lease, timeout, where)
    ended = threading.Event()
    renewer = threading.Thread(
        target=_renew, args=(lease, seconds, where, ended), name="grantway-lease", daemon=True
    )
    renewer.start()
    try:
        yield fence
    finally:
        ended.set()
        renewer.join()
        try:
            lease.give_up()
        except StoreError as failed:
            # The work is done, and what is stored is right; others only wait a little longer.
            _log.warning("%s: not set free; it ends within %g s. %s", where, seconds, failed)


def checked(seconds: float) -> float:
    """The length of a lease, where it is one.

    Raises:
        ConfigurationError: it is not.
    """
    check_seconds("lease", seconds, least=_SHORTEST, most=REMEMBERED)
    return float(seconds)


def _wait(lease: Lease, timeout: float, where: str) -> int:
    check_lock_wait(timeout)
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while (fence := lease.take()) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise StoreLockError(
                f"{where}: another held the lock for all of {timeout:g} s; nothing was sent. "
                "Wait longer, or see what keeps its holder."
            )
        # Spread, so that those who wait do not all ask at the same moment.
        time.sleep(min(left, pause * random.uniform(0.5, 1.5)))  # noqa: S311 - no secret
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return fence


def _renew(lease: Lease, seconds: float, where: str, ended: threading.Event) -> None:
    while not ended.wait(seconds / 3):
        try:
            kept = lease.renew()
        except StoreError as failed:
            _log.warning("%s: not renewed, and tried again. %s", where, failed)
            continue
        if not kept:
            _log.warning("%s: lost; a save is refused if the new holder has saved.", where)
            return
