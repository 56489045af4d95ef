"""Child processes that communicate in lines and are stopped reliably."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.waiting import PATIENCE

STARTUP_SECONDS = PATIENCE
ANSWER_SECONDS = PATIENCE
EXIT_SECONDS = 20.0


class ProgramError(Exception):
    """The program exited or timed out; the message quotes its standard error."""


class Program:
    """A child process in a separate process group, which reads and writes lines.

    Args:
        command: The program and its arguments.
        cwd: Working folder.
        env: Complete environment; None to inherit this process's.
        start: Starts the process; ``forked.Popen`` forks a Python program instead.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        start: type[subprocess.Popen[Any]] = subprocess.Popen,
    ) -> None:
        self._start = start
        self._command = [str(part) for part in command]
        self._cwd = cwd
        self._env = env
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        # A file, because it is read only after a failure, and a full pipe would block the program.
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._process: subprocess.Popen[str] = self._start(
            self._command,
            cwd=self._cwd,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            # The program may not have read all of its input.
            with contextlib.suppress(BrokenPipeError):
                stream and stream.close()

    @property
    def pid(self) -> int:
        """The process ID, which is also the process group ID."""
        return self._process.pid

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)
        self._lines.put(None)

    def read_line(self, timeout: float = ANSWER_SECONDS) -> str:
        """Return the next line of standard output.

        Raises:
            ProgramError: The program exited, or `timeout` seconds passed.
        """
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise ProgramError(self._report(f"printed nothing for {timeout:g} s")) from None
        if line is None:
            self._lines.put(None)
            status = self._process.wait(EXIT_SECONDS)
            raise ProgramError(self._report(f"exited with status {status}"))
        return line

    def read_json(self, timeout: float = ANSWER_SECONDS) -> Any:
        """Return the next line, parsed as JSON."""
        return json.loads(self.read_line(timeout))

    def write_json(self, value: object) -> None:
        """Send one line to the program.

        Raises:
            ProgramError: The program has exited.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ProgramError(self._report("has closed its standard input")) from None

    def stop(self) -> int:
        """Send SIGTERM, then SIGKILL if the program does not exit. Safe to repeat.

        Returns:
            The exit status, or the negative number of the signal that killed the program.
        """
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(EXIT_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(EXIT_SECONDS)
            self._reader.join(EXIT_SECONDS)
        return self._process.returncode

    def errors(self) -> str:
        """Return the standard error output so far."""
        self._stderr.seek(0)
        return self._stderr.read()

    def _report(self, what: str) -> str:
        return f"{' '.join(self._command[:2])} {what}; its standard error:\n{self.errors()[-4000:]}"
