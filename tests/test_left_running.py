"""Tests that a test run kills and reports programs that its tests left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import is_running
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).parents[1]
START = """
import os, subprocess, sys, time

def test_it():
    program = subprocess.Popen(["sleep", "1000"], start_new_session=True, env={})
    with open("pid.new", "w") as file:
        file.write(str(program.pid))
    os.rename("pid.new", "pid")
"""
REPORT = "programs that were left running"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]


@contextmanager
def run(folder: Path, workers: int, then: str) -> Iterator[subprocess.Popen[str]]:
    """Run pytest with this project's conftest on a test that starts a program."""
    (folder / "test_it.py").write_text(f"{START}    {then}\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-n", str(workers), "--max-worker-restart", "0"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": "xdist,tests.conftest",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def started(folder: Path) -> int:
    """Return the process ID of the program that the test started."""
    return int(until((folder / "pid").exists) and (folder / "pid").read_text())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_program_left_running_fails_the_run(tmp_path: Path, workers: int) -> None:
    with run(tmp_path, workers, "pass") as process:
        output, _ = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 1, output
    assert "these programs were left running:" in output
    assert "sleep 1000" in output.partition(REPORT)[2]
    assert not is_running(started(tmp_path))


def test_kills_the_program_of_a_crashed_worker(tmp_path: Path) -> None:
    with run(tmp_path, 1, "os._exit(1)") as process:
        output, _ = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 1, output
    assert "sleep 1000" in output.partition(REPORT)[2]
    assert not is_running(started(tmp_path))


@pytest.mark.parametrize(("workers", "sent"), [(0, signal.SIGTERM), (1, signal.SIGINT)])
def test_an_interrupted_run_leaves_nothing_running(
    tmp_path: Path, workers: int, sent: signal.Signals
) -> None:
    with run(tmp_path, workers, "time.sleep(1000)") as process:
        pid = started(tmp_path)
        process.send_signal(sent)
        output, _ = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert not is_running(pid)


def test_a_run_that_stops_its_programs_passes(tmp_path: Path) -> None:
    with run(tmp_path, 1, "program.kill(); program.wait()") as process:
        output, _ = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 0, output
    assert REPORT not in output
