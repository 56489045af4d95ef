"""Processes forked from a server process that has imported grantway.

A new Python process needs up to a second of CPU time for these imports, and the tests start
hundreds of processes.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

#: Context for processes that run a function. Unlike forks of this process, they inherit none of its
#: locks, sockets and threads.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "grantway_plugins.cli.gateway",
        "grantway_plugins.gateway._running.gateway",
        "grantway_plugins.stores.encrypted._store",
        "grantway_plugins.stores.redis._store",
        "grantway_plugins.stores.sql._store",
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


def command_line(
    arguments: list[str], environment: Mapping[str, str], stdout: Path, stderr: Path
) -> ForkServerProcess:
    """Start ``grantway`` with its output redirected to two files."""
    process = CONTEXT.Process(
        target=_run, args=(arguments, dict(environment), stdout, stderr), daemon=True
    )
    process.start()
    return process


def _run(arguments: list[str], environment: dict[str, str], stdout: Path, stderr: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["grantway", *arguments]
    if environment.get("PYTHONPATH"):
        sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    for stream, path in ((1, stdout), (2, stderr)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), stream)
    from grantway_plugins.cli import main  # noqa: PLC0415 - imported with the new environment

    main()
