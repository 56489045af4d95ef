"""Settings for all tests, and a check that no program is left running."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import left_running
from tests.forked import server_stops
from tests.forkserver import forkserver

# The tests start hundreds of Python processes, and each would compile grantway again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Shells ignore Ctrl-C in programs that run in the background, but the tests send it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The collection creates a million objects and no garbage; see `pytest_collection_finish`.
gc.disable()

# A busy machine may stop a test for longer than Hypothesis allows an example to take.
settings.register_profile("grantway", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("grantway")


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail if a program that a test started is still running after the last test."""
    yield
    if request.session.exitstatus == pytest.ExitCode.INTERRUPTED:
        return  # the run has failed already, and `end_all` kills the programs
    left = left_running.commands()
    assert not left, "\n".join(["these programs were left running:", *left])


@pytest.fixture(scope="session", autouse=True)
def fork_servers_stop(nothing_is_left_running: None) -> Iterator[None]:
    """Stop the fork servers before the check for programs left running."""
    with forkserver(), server_stops():
        yield


@pytest.fixture(autouse=True)
def log_levels_are_reset() -> Iterator[None]:
    """Undo the log levels that commands set, because some tests run commands in this process."""
    yield
    for name in ("grantway.tls", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def _is_worker(config: pytest.Config) -> bool:
    """Return whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    if not _is_worker(config):
        left_running.adopt_orphans()
        # Handle SIGTERM like Ctrl-C, so that fixtures stop their programs.
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Start importing the test modules at another one in each worker of a whole run.

    After a clone, no test module is compiled. In the same order, every worker would compile every
    module; now each compiles a part of them, and reads the others from the cache.
    """
    config = session.config
    if not _is_worker(config) or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    worker: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]
    names = [
        ".".join(path.relative_to(config.rootpath).with_suffix("").parts)
        for path in sorted((config.rootpath / "tests").rglob("test_*.py"))
        if "node_modules" not in path.parts
    ]
    first = len(names) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
    for name in names[first:] + names[:first]:
        # The collection imports the module again, and reports the error.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(name)


def pytest_collection_finish() -> None:
    """Collect garbage again, but do not search the tests themselves for it."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Kill the programs of workers that crashed or were interrupted."""
    if _is_worker(session.config) or not (left := left_running.end_all()):
        return
    session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter:
        reporter.section("programs that were left running and have been killed", red=True)
        reporter.write("\n".join([*left, ""]))
