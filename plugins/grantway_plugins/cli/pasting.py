"""Read a pasted line of any length without echoing it."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_END_OF_INPUT, _ERASE, _KILL = 0x04, (0x08, 0x7F), 0x15
_ENTER = (0x0A, 0x0D)


@contextmanager
def line_reader() -> Iterator[Callable[[], str]]:
    """Prepare standard input, and yield a function that reads one line from it.

    In canonical mode, a terminal truncates lines at 4096 bytes, which many redirects exceed. So
    while the block runs, the terminal is in non-canonical mode, without echo because a redirect
    contains an authorization code. Enter the block before printing the prompt, so that an early
    paste is read completely.

    The function raises ``EOFError`` at the end of the input.
    """
    if not sys.stdin.isatty():
        yield _piped
        return
    try:
        import termios  # noqa: PLC0415 - Windows has none
    except ModuleNotFoundError:
        yield lambda: getpass.getpass("")
        return
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    now = termios.tcgetattr(handle)
    now[3] &= ~(termios.ICANON | termios.ECHO)
    now[6][termios.VMIN], now[6][termios.VTIME] = 1, 0
    termios.tcsetattr(handle, termios.TCSANOW, now)
    try:
        yield lambda: _typed(handle)
    finally:
        # Discard further pasted lines, which the shell would run as commands.
        termios.tcflush(handle, termios.TCIFLUSH)
        termios.tcsetattr(handle, termios.TCSANOW, before)


def _piped() -> str:
    line = sys.stdin.buffer.readline()
    if not line:
        raise EOFError
    return line.decode("utf-8", "replace")


def _typed(handle: int) -> str:
    """Read up to Enter. In non-canonical mode, the editing keys must be handled here."""
    line = bytearray()
    while read := os.read(handle, 65_536):
        for byte in read:
            if byte in _ENTER:
                return line.decode("utf-8", "replace")
            if byte == _END_OF_INPUT and not line:
                raise EOFError
            if byte in _ERASE:
                del line[-1:]
            elif byte == _KILL:
                line.clear()
            else:
                line.append(byte)
    raise EOFError
