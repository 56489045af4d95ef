"""Running programs: limits, children, input, environment."""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from grantway._secrets.masked import Masked
from grantway_plugins.executable import Command
from grantway_plugins.executable._process import finish, start
from tests.plugins.executable.programs import Program
from tests.processes import is_running
from tests.waiting import PATIENCE, until


def _pid(path: Path) -> int:
    return int(
        until(path.read_text if path.exists() else lambda: path.exists() and path.read_text())
    )


def test_ends_a_hanging_program_with_its_children_and_reaps_it(
    program: Program, tmp_path: Path
) -> None:
    text = f"echo $$ >{tmp_path}/parent\nsleep 1000 &\necho $! >{tmp_path}/child\nwait"
    for timeout in (0.1, 1, 10):  # a busy machine may need more time until both have started
        finished = program(text, timeout=timeout).run({})
        assert f"ran for more than {timeout:g} s" in finished.ended
        if (tmp_path / "child").exists():
            break
    assert not Path(f"/proc/{_pid(tmp_path / 'parent')}").exists()  # not even a zombie
    child = _pid(tmp_path / "child")
    until(lambda: not is_running(child))


def test_ends_a_program_that_ignores_other_signals_and_closes_its_pipes(program: Program) -> None:
    finished = program("trap '' TERM HUP INT\nexec >&- 2>&-\nsleep 1000", timeout=0.1).run({})
    assert (finished.status, bool(finished.ended)) == (-signal.SIGKILL, True)


def test_ends_a_program_that_floods_stdout(program: Program) -> None:
    finished = program("exec yes").run({})
    assert finished.ended == "was ended, because it printed more than 1 MiB"
    assert len(finished.stdout) < 4 << 20


def test_a_flood_on_stderr_loses_no_result(program: Program) -> None:
    finished = program("echo first >&2\nhead -c 3000000 /dev/zero >&2\necho last >&2\necho hi").run(
        {}
    )
    assert (finished.status, finished.ended, finished.stdout) == (0, "", b"hi\n")
    assert finished.stderr.startswith(b"first\n")
    assert finished.stderr.endswith(b"\0last\n")
    assert len(finished.stderr) <= 1 << 16


def test_output_is_complete_when_the_program_ends_even_if_a_child_keeps_its_pipes(
    program: Program, tmp_path: Path
) -> None:
    finished = program(f"sleep 1000 &\necho $! >{tmp_path}/child\necho hi").run({})
    child = _pid(tmp_path / "child")
    try:
        assert (finished.status, finished.ended, finished.stdout) == (0, "", b"hi\n")
        assert is_running(child)  # it may be an agent that serves the next run
    finally:
        os.kill(child, signal.SIGKILL)
        until(lambda: not is_running(child))


@pytest.mark.parametrize("text", ["echo hi", "exec <&-\necho hi", "head -c 1 >/dev/null\necho hi"])
def test_a_program_need_not_read_its_input(program: Program, text: str) -> None:
    request = {"parameters": {"assertion": "x" * 300_000}}
    assert program(text).run(request).stdout == b"hi\n"


def test_reads_and_writes_at_the_same_time(program: Program) -> None:
    request = {"parameters": {"assertion": "x" * 300_000}}
    assert len(program("cat").run(request).stdout) > 300_000


def test_passes_no_variables_but_the_usual_and_the_requested_ones(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_CLIENT_SECRET", "s3cr3t")
    monkeypatch.setenv("CORP_TENANT", "acme")
    monkeypatch.setenv("CORP_REGION", "eu")
    usual = program("env").run({}).stdout.decode()
    requested = program("env", environment=["CORP_*"]).run({}).stdout.decode()
    assert "PATH=" in usual
    assert "s3cr3t" not in usual + requested
    assert "CORP_" not in usual
    assert "CORP_TENANT=acme\n" in requested
    assert "CORP_REGION=eu\n" in requested


def test_a_program_cannot_read_from_the_terminal_of_the_user(program: Program) -> None:
    own, pid = program("cut -d' ' -f6 /proc/$$/stat; echo $$").run({}).stdout.split()
    assert own == pid  # the leader of a new session


def test_ctrl_c_ends_the_program(program: Program, tmp_path: Path) -> None:
    command = program(
        f"echo $$ >{tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; sleep 1000"
    )

    def interrupt() -> None:
        until((tmp_path / "pid").exists)
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        command.run({})
    assert not Path(f"/proc/{_pid(tmp_path / 'pid')}").exists()


def test_ctrl_c_during_the_start_ends_the_program(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def interrupted(process: subprocess.Popen[bytes], *arguments: Any, **options: Any) -> None:
        original(process, *arguments, **options)
        started.append(process.pid)
        raise KeyboardInterrupt

    original = subprocess.Popen.__init__
    monkeypatch.setattr(subprocess.Popen, "__init__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        program("exec sleep 1000").run({})
    assert not Path(f"/proc/{started[0]}").exists()


def test_ctrl_c_before_the_number_of_the_process_is_known_ends_it(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def interrupted(*arguments: Any) -> int:
        started.append(original(*arguments))
        _thread.interrupt_main()
        return started[0]

    original = subprocess._fork_exec  # type: ignore[attr-defined]
    monkeypatch.setattr(subprocess, "_fork_exec", interrupted)
    with pytest.raises(KeyboardInterrupt):
        program("exec sleep 1000").run({})
    assert not Path(f"/proc/{started[0]}").exists()


def test_threads_run_programs_at_the_same_time(program: Program) -> None:
    command = program("echo $$")
    found: set[bytes] = set()
    threads = [threading.Thread(target=lambda: found.add(command.run({}).stdout)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8


def test_a_forked_process_does_not_keep_the_input_of_a_program_open(program: Program) -> None:
    command = program("cat >/dev/null; echo read").command
    process = start(command, {"PATH": os.environ["PATH"]}, [])
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads do not run in the child
        child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)  # until the test has ended
        os._exit(0)
    try:
        assert finish(process, Masked(b"{}\n"), PATIENCE).stdout == b"read\n"
    finally:
        os.close(write)
        os.close(read)
        os.waitpid(child, 0)


def test_leaves_no_open_files(program: Program) -> None:
    command: Command = program("echo hi")
    command.run({})
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        command.run({})
    assert len(list(Path("/proc/self/fd").iterdir())) == before
