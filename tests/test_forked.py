"""Tests that a forked program behaves like a new process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forked

REPORT = """
import json, os, sys
print(json.dumps({
    "arguments": sys.argv[1:],
    "cwd": os.getcwd(),
    "home": os.environ.get("HOME"),
    "input": sys.stdin.read(),
    "name": __name__,
    "parent": os.getppid(),
    "session": os.getsid(0) == os.getpid(),
    "path": sys.path[1],
}))
print("an error", file=sys.stderr)
sys.exit(3)
"""


@pytest.mark.parametrize("start", [subprocess.run, forked.run])
def test_receives_everything_that_a_program_is_given(start: object, tmp_path: Path) -> None:
    assert callable(start)
    done = start(
        [sys.executable, "-c", REPORT, "a", "b c"],
        cwd=tmp_path,
        env={**os.environ, "HOME": "/elsewhere", "PYTHONPATH": "/modules"},
        input="typed",
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert done.stderr == "an error\n"
    assert forked.json.loads(done.stdout) == {
        "arguments": ["a", "b c"],
        "cwd": str(tmp_path),
        "home": "/elsewhere",
        "input": "typed",
        "name": "__main__",
        "parent": os.getpid(),
        "session": True,
        "path": "/modules",
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_signal_ends_a_fork_like_a_new_process(number: signal.Signals) -> None:
    program = "import time; print('ready', flush=True); time.sleep(60)"
    statuses = []
    for popen in (subprocess.Popen, forked.Popen):
        command = [sys.executable, "-c", program]
        with popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            process.stdout.readline()
            process.send_signal(number)
            statuses.append(process.wait(60))
    assert statuses[0] == statuses[1] != 0


def test_waits_for_threads_and_exit_functions() -> None:
    program = """
import atexit, threading, time
atexit.register(print, "exit function")
threading.Thread(target=lambda: (time.sleep(0.1), print("thread"))).start()
print("main")
"""
    done = forked.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.split("\n") == ["main", "thread", "exit function", ""]


@pytest.mark.parametrize(
    "end",
    ["pass", "sys.exit(5)", "sys.exit(-1)", "sys.exit('problem')", "1 / 0", "sys.stdout.close()"],
)
def test_exits_like_a_new_process(end: str) -> None:
    ends = []
    for start in (subprocess.run, forked.run):
        command = [sys.executable, "-c", f"import sys; print('unwritten', end=''); {end}"]
        done = start(command, capture_output=True, text=True, timeout=60)
        ends.append((done.returncode, done.stdout, done.stderr.splitlines()[-1:]))
    assert ends[0] == ends[1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_reports_unwritten_output_like_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # so that the error occurs at the exit
    ends = []
    for start in (subprocess.run, forked.run):
        with Path("/dev/full").open("w") as full:
            done = start(
                [sys.executable, "-c", "print('x')"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
            )
        ends.append((done.returncode, done.stderr.splitlines()[-1]))
    assert ends[0] == ends[1]


@pytest.mark.skipif(sys.platform != "linux", reason="programs are forked on Linux only")
def test_has_imported_grantway_already() -> None:
    program = "import sys; print('grantway_plugins.cli.app' in sys.modules)"
    forks, new = [sys.executable, "-c", program], [sys.executable, "-I", "-c", program]
    outputs = [
        forked.run(command, capture_output=True, text=True, timeout=60).stdout
        for command in (forks, new)
    ]
    assert outputs == ["True\n", "False\n"]
