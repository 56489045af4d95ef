"""A terminal with a shell, in which Python's interactive prompt can be started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.waiting import PATIENCE, until

#: Timeout of a command. Installing a package may download and build.
_COMMAND_SECONDS = 600.0


class CommandError(AssertionError):
    """A command failed or did not finish; the message quotes the terminal."""


class Terminal:
    """A shell, which is stopped with all its programs at the end of the block.

    Args:
        folder: Working folder of the shell.
        environment: Complete environment of the shell.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._shown = ""
        self._marks = 0
        self._left_python = ""
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        # Record the status of every failing command, not only of the last command.
        self._write("trap 'failed=$?' ERR; failed=0\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        with suppress(BrokenPipeError):
            self._shell.stdin.close()
        # Interrupt the running programs as Ctrl-C does; kill those that do not exit.
        with suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._shell.wait(PATIENCE)
        with suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self._shell.stdout.close()

    @property
    def shown(self) -> str:
        """Output of the terminal since the last command."""
        return self._shown

    def leave_running(self, command: str) -> None:
        """Type a command that keeps running."""
        self._shown = ""
        self._write(command)

    def run(self, commands: str) -> tuple[str, int]:
        """Type commands, and return their output and the status of the last one that failed."""
        mark = self._next_mark()
        output = self._typed(f'{commands}\necho "{mark} $failed"; failed=0\n', mark)
        return output, int(self._shown.rpartition(mark)[2])

    def save(self, name: str, text: str) -> None:
        """Write a file in the current folder, as an editor would."""
        output, status = self.run(f"cat > '{name}' <<'END_OF_FILE'\n{text}END_OF_FILE\n")
        assert (output, status) == ("", 0), output

    def start_python(self, command: str) -> None:
        """Start Python's prompt."""
        mark = self._next_mark()
        prompts = "import sys; sys.ps1 = sys.ps2 = ''\n"
        self._left_python = self._next_mark()
        # Without a real terminal, Python shows a prompt only with -i.
        started = f"{command.strip()} -q -i; echo '{self._left_python}'\n"
        self._typed(f"{started}{prompts}print({mark!r})\n", mark)

    def type_python(self, code: str) -> str:
        """Type lines at Python's prompt, and return what they print."""
        mark = self._next_mark()
        printed = self._typed(f"{code}\nprint({mark!r})\n", mark)
        if re.search(r"^(Traceback|\s*File \"<stdin>\")", printed, re.MULTILINE):
            raise CommandError(printed)
        return printed

    def leave_python(self, code: str) -> None:
        """Type lines, the last of which exits Python."""
        # Send nothing to the shell before Python has exited, because Python would read it.
        printed = self._typed(code, self._left_python)
        if "Traceback" in printed:
            raise CommandError(printed)

    def _typed(self, text: str, mark: str) -> str:
        self._shown = ""
        self._write(text)

        def finished() -> bool:
            return mark in self._shown or self._shell.poll() is not None

        try:
            until(finished, seconds=_COMMAND_SECONDS)
        except AssertionError:
            raise CommandError(
                f"did not finish:\n{text}\nThe terminal shows:\n{self._shown}"
            ) from None
        if mark not in self._shown:
            raise CommandError(f"the shell exited:\n{self._shown}")
        return self._shown.partition(mark)[0]

    def _next_mark(self) -> str:
        self._marks += 1
        return f"<end of block {self._marks}>"

    def _write(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(text)
        self._shell.stdin.flush()

    def _read(self) -> None:
        assert self._shell.stdout is not None
        while piece := os.read(self._shell.stdout.fileno(), 65_536):
            self._shown += piece.decode(errors="replace")
