"""Run a program with input, a time limit and limits on its output."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import IO, Any

from grantway._processes.fork import fork_safe_lock
from grantway._secrets.masked import Masked

#: Most bytes of stdout. A program that prints more is ended.
MOST_OUTPUT = 1 << 20
#: Most bytes of stderr that are kept: the first half and the last half. The rest is dropped,
#: because ending a verbose program could lose the token that it is about to print.
_MOST_STDERR = 1 << 16
#: A pipe holds less, so that one read returns all that an ended program has printed.
_CHUNK = 1 << 20
#: Seconds between checks whether a program has ended while a child of it keeps its pipes open.
_EXIT_CHECK = 0.02
_starting = fork_safe_lock()
_started: weakref.WeakSet[Program] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that has ended.

    Attributes:
        stdout: Its output.
        stderr: The start and end of its messages.
        status: Its exit status; negative if a signal ended it.
        ended: Why grantway ended it, or empty.
    """

    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    status: int
    ended: str = ""


class Program(subprocess.Popen[bytes]):
    """A program that is found in a list as soon as it may run, whatever interrupts its start.

    Args:
        into: The list.
        argv: The program and its arguments.
        environment: Its environment variables.
    """

    def __init__(
        self, into: list[Program], argv: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        into.append(self)
        super().__init__(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=dict(environment),
            start_new_session=True,
        )


@contextlib.contextmanager
def ended_programs() -> Iterator[list[Program]]:
    """Yield a list for ``start``, and end its programs if Ctrl-C interrupts the block."""
    started: list[Program] = []
    try:
        yield started
    finally:
        for process in started:
            _end(process)


def _end(process: Program) -> None:
    """Kill and reap a program if it still runs."""
    if getattr(process, "pid", None) is None:
        return  # interrupted before it started
    _close_pipes(process)
    if process.returncode is None:
        # Not reaped yet, so the number is still that of the program.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def start(argv: Sequence[str], environment: Mapping[str, str], into: list[Program]) -> Program:
    """Start a program.

    The program runs in a new session, so it cannot read from the user's terminal, and grantway can
    end it together with its children.

    Args:
        argv: The program and its arguments.
        environment: Its environment variables.
        into: A list of ``ended_programs``, to which the program is added.

    Raises:
        OSError: The program cannot be started.
    """
    with _starting:
        process = _uninterrupted(lambda: Program(into, argv, environment))
        _started.add(process)
    return process


def _uninterrupted(construct: Callable[[], Program]) -> Program:
    """Start a program in another thread, and wait for that even if Ctrl-C interrupts the wait.

    Signal handlers run in the main thread. There, an exception of one could come after the start of
    a process and before the assignment of its number.
    """
    starting: Future[Program] = Future()

    def run() -> None:
        if starting.set_running_or_notify_cancel():
            try:
                starting.set_result(construct())
            except BaseException as error:  # noqa: BLE001 - the main thread raises it
                starting.set_exception(error)

    if threading.current_thread() is not threading.main_thread():
        return construct()
    try:
        try:
            threading.Thread(target=run, name="grantway-start").start()
        except RuntimeError:  # the interpreter is shutting down, or there are too many threads
            return construct()
        return starting.result()
    except BaseException:
        if not starting.cancel():
            wait([starting])
        raise


def _close_pipes(process: Program) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _after_fork() -> None:
    """Close the pipes in a forked child, so that the program sees the end of its input."""
    for process in _started:
        _close_pipes(process)
    _started.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def finish(process: Program, given: Masked[bytes], timeout: float) -> Finished:
    """Pass the input to a program, wait until it ends, and reap it.

    Output is complete when the program ends, even if a child keeps the pipes open; such children
    are not ended.

    Args:
        process: The program.
        given: Its standard input.
        timeout: Seconds until the program and its children are killed.
    """
    until = time.monotonic() + timeout
    try:
        pipes = _Pipes(process, given)
        ended = pipes.exchange(until, timeout)
        if not ended:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                ended = _too_long(timeout)
    finally:
        _end(process)
    status = process.wait()
    return Finished(bytes(pipes.stdout), pipes.stderr(), status, ended)


def _too_long(timeout: float) -> str:
    return f"was ended, because it ran for more than {timeout:g} s"


class _Pipes:
    """The three pipes of a running program."""

    def __init__(self, process: Program, given: Masked[bytes]) -> None:
        self._process = process
        self._unwritten = memoryview(given.value)
        self._selector = selectors.DefaultSelector()
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._all: tuple[IO[bytes], ...] = (process.stdin, process.stdout, process.stderr)
        self.stdout = bytearray()
        self._first, self._last = bytearray(), bytearray()
        for pipe in self._all:
            os.set_blocking(pipe.fileno(), False)
            writes = pipe is process.stdin
            self._selector.register(pipe, selectors.EVENT_WRITE if writes else selectors.EVENT_READ)

    def exchange(self, until: float, timeout: float) -> str:
        """Write the input and read the output until the program ends or closes its pipes.

        Returns:
            Why the program must be ended, or empty.
        """
        with self._selector:
            return self._exchange(until, timeout)

    def _exchange(self, until: float, timeout: float) -> str:
        while self._selector.get_map():
            left = until - time.monotonic()
            if left <= 0:
                return _too_long(timeout)
            ready = self._selector.select(min(left, _EXIT_CHECK))
            # Before reading, so that everything that an ended program has printed is read.
            over = self._process.poll() is not None
            for pipe in self._all if over else [key.fileobj for key, _ in ready]:
                self._serve(pipe)
            if len(self.stdout) > MOST_OUTPUT:
                return f"was ended, because it printed more than {MOST_OUTPUT >> 20} MiB"
            if over:
                break
        return ""

    def _serve(self, pipe: Any) -> None:
        if not pipe.closed:
            (self._write if pipe is self._process.stdin else self._read)(pipe)

    def _write(self, pipe: IO[bytes]) -> None:
        try:
            self._unwritten = self._unwritten[os.write(pipe.fileno(), self._unwritten) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # the program does not read its input, or has ended
            self._unwritten = self._unwritten[:0]
        if not self._unwritten:
            self._finish(pipe)

    def _read(self, pipe: IO[bytes]) -> None:
        try:
            chunk = os.read(pipe.fileno(), _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._finish(pipe)
        elif pipe is self._process.stdout:
            self.stdout += chunk
        else:
            self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        free = _MOST_STDERR // 2 - len(self._first)
        self._first += chunk[:free]
        self._last += chunk[free:]
        del self._last[: -_MOST_STDERR // 2]

    def stderr(self) -> bytes:
        """Return the start and the end of stderr."""
        return bytes(self._first + self._last)

    def _finish(self, pipe: IO[bytes]) -> None:
        self._selector.unregister(pipe)
        pipe.close()
