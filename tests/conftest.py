"""What holds for every test: no limit on the speed of the machine, and nothing left running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine may stop a test for longer than Hypothesis allows an example to take.
settings.register_profile("grantway", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("grantway")


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """Fail if a program that a test started still runs when all tests have ended."""
    yield
    left = [command for command in _children() if "multiprocessing.resource_tracker" not in command]
    assert not left, "\n".join(["these programs were left running:", *left])


def _children() -> Iterator[str]:
    """Return the commands of this process's children, where the system lists them (Linux)."""
    for listed in Path("/proc/self/task").glob("*/children"):
        for pid in listed.read_text().split():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except FileNotFoundError:
                continue
            if command:  # empty for one that has ended and was not waited for
                yield command.replace(b"\0", b" ").decode(errors="replace").strip()
