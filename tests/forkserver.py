"""Processes that run a function, forked from a server process that has imported grantway.

See ``forked`` for programs.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
from collections.abc import Iterator
from contextlib import contextmanager

#: Context for processes that run a function. Unlike forks of this process, they inherit none of its
#: locks, sockets and threads.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "grantway_plugins.stores.encrypted._store",
        "grantway_plugins.stores.redis._store",
        "grantway_plugins.stores.sql._store",
        "grantway.testing._kits.peers",
        "tests.core.testing.folder_stores",
        "tests.plugins.stores.holders",
    ]
)


@contextmanager
def forkserver() -> Iterator[None]:
    """Stop the helper processes of `multiprocessing`, which it starts on demand."""
    try:
        yield
    finally:
        multiprocessing.forkserver._forkserver._stop()  # type: ignore[attr-defined]
        multiprocessing.resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
