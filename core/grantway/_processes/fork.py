"""Locks that are free in a forked child, with consistent data."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager


def fork_safe_lock() -> AbstractContextManager[bool]:
    """Return a lock that a fork waits for, so that no other thread holds it in the child.

    Use it for the whole process, not for single objects: it stays registered with the system for
    ever. Code that holds it must not wait.
    """
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock
