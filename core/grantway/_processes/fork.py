"""Locks that a forked child finds free, and what they guard whole."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager


def fork_safe_lock() -> AbstractContextManager[bool]:
    """A lock that a fork waits for, so that no child inherits it from a thread it does not have.

    For the whole process and never for one object, since it is never taken off the system's
    list. What holds it must wait for nothing.
    """
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock
