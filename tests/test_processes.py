"""Processes that end while the tests look at them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import children, is_running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def test_a_zombie_is_a_child_but_does_not_run() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as program:
        assert is_running(program.pid)
        assert program.pid in children(os.getpid())
        program.kill()
        os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
        assert not is_running(program.pid)
        assert program.pid in children(os.getpid())
    assert not is_running(program.pid)
    assert program.pid not in children(os.getpid())


def test_a_thread_that_has_just_ended_has_no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "glob", lambda *_: [Path("/proc/self/task/0/children")])
    assert children(os.getpid()) == []
