"""A temporary home directory in which tests run ``grantway`` commands."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from unittest.mock import patch
from urllib.request import Request, urlopen

import grantway
from grantway._plugins import default_registry as process
from grantway_plugins import profiles
from grantway_plugins.cli import main
from grantway_plugins.profiles._profile import Profile
from tests import forked
from tests.core.credential.scenes import wait_for_refreshes

GRANTWAY = [sys.executable, "-m", "grantway_plugins.cli"]
#: Seconds that a command may take on a busy machine.
PATIENCE = 60
#: Prefixes of variables of this machine that would influence the commands under test.
_FOREIGN = ("SSH_", "DISPLAY", "WAYLAND_", "BROWSER", "GRANTWAY_", "AWS_", "KUBERNETES_")


class Home:
    """A home directory with the user's configuration and state.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config" / "grantway" / "config.toml"
        self.config.parent.mkdir(parents=True)
        own = {name: v for name, v in os.environ.items() if not name.startswith(_FOREIGN)}
        self.env = {
            **own,
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "state"),
            "container": "tests",  # makes the device grant the default login method
            "COLUMNS": "200",
        }

    def write(self, text: str) -> None:
        """Write the profile file."""
        self.config.write_text(text, encoding="utf-8")

    def run(
        self, *arguments: str | Path, typed: str | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``grantway`` and wait until it exits.

        It runs in this process, which is twenty times as fast. If the command needs input, more
        variables or plugins on the path, it runs in a new process.
        """
        environment = {**self.env, **env}
        if typed is None and not env and "PYTHONPATH" not in environment:
            return _run_here([str(each) for each in arguments], environment)
        return forked.run(
            [*GRANTWAY, *arguments],
            env=environment,
            input=typed,
            stdin=subprocess.DEVNULL if typed is None else None,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def run_with_full_disk(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``grantway`` with a file size limit of zero, so that writing to files fails."""
        limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *GRANTWAY, *arguments]
        return subprocess.run(
            limited,
            env={**self.env, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start ``grantway`` in the background."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return forked.Popen(
            [*GRANTWAY, *arguments], env=self.env, text=True, **{**pipes, **options}
        )

    @contextmanager
    def in_terminal(
        self, *arguments: str, columns: int = 80, program: list[str] = GRANTWAY, **env: str
    ) -> Iterator[Pty]:
        """Run ``grantway`` in a new terminal; kill it at the end of the block."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, columns))
        plain = {name: value for name, value in self.env.items() if name != "COLUMNS"}
        with forked.Popen(
            [*program, *arguments],
            env={**plain, "TERM": "xterm-256color", **env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            try:
                yield Pty(ours, process)
            finally:
                process.kill()
                os.close(ours)

    def profile(self, name: str = "work") -> Profile:
        """Load a profile as a program with this home directory would."""
        made = profiles.load(name, self.config)
        if made.table["store"] == {"kind": "file"}:  # the default folder is that of this home
            made.table["store"] = {"kind": "file", "folder": str(self.tokens)}
        return made

    @property
    def tokens(self) -> Path:
        """The default folder of the file store."""
        return self.folder / "state" / "grantway" / "tokens"

    def stored(self, name: str = "work") -> grantway.Token | None:
        """Return the token in a profile's store."""
        with self.profile(name) as profile:
            return profile.store.load(profile.key)

    def age(self, left: float, name: str = "work") -> grantway.Token:
        """Make the stored token expire in ``left`` seconds; return the token as it was."""
        with self.profile(name) as profile:
            token = profile.store.load(profile.key)
            assert token is not None
            profile.store.save(profile.key, replace(token, expires_at=time.time() + left))
            return token


def _run_here(
    arguments: list[str], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a new process would, with standard input closed."""
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    with (
        Path(os.devnull).open(encoding="utf-8") as nothing,
        patch.dict(os.environ, environment, clear=True),
        patch.multiple(sys, argv=["grantway", *arguments], stdin=nothing),
        process.set_aside(),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        status = _status_of_main()
        wait_for_refreshes()  # a real process also waits for its refresh before it exits
    shown, errors = (each.buffer.getvalue().decode() for each in (stdout, stderr))  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(arguments, status, shown, errors)


def _status_of_main() -> int:
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    except BaseException:  # noqa: BLE001 - Python prints any exception and exits with status 1
        traceback.print_exc()
        return 1
    return 0


class Pty:
    """A command in a terminal.

    Attributes:
        shown: Output of the command without escape sequences.
    """

    def __init__(self, handle: int, process: subprocess.Popen[bytes]) -> None:
        self._handle = handle
        self.process = process
        self.raw = ""

    @property
    def shown(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw).replace("\r\n", "\n")

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until the output matches a pattern, and return the match."""
        while not (found := re.search(pattern, self.shown)):
            assert self._read(), f"the command exited without printing {pattern!r}: {self.shown}"
        return found

    def type(self, text: str) -> None:
        """Type the text as fast as the terminal accepts it."""
        left = text.encode()
        while left:
            left = left[os.write(self._handle, left) :]

    def press(self, key: str, pattern: str) -> None:
        """Press a key until the output matches a pattern, as a user does.

        Python loses a Ctrl-C that arrives while it runs the callback of a weak reference.
        """
        for _ in range(5):
            self.type(key)
            while select.select([self._handle], [], [], PATIENCE / 6)[0]:
                assert self._read(), f"the command exited without {pattern!r}: {self.shown}"
                if re.search(pattern, self.shown):
                    return
        self.type(key)
        self.until(pattern)

    def end(self) -> int:
        """Wait until the command exits, and return its status."""
        while self._read():
            pass
        return self.process.wait(PATIENCE)

    def _read(self) -> bool:
        assert select.select([self._handle], [], [], PATIENCE)[0], self.shown
        try:
            read = os.read(self._handle, 65_536)
        except OSError:  # on Linux, reading fails after the program has exited
            return False
        self.raw += read.decode(errors="replace")
        return bool(read)


class _Counting(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        given = {name: v for name, v in self.headers.items() if name != "Host"}
        with urlopen(Request(self.server.target, body, given), timeout=PATIENCE) as response:
            content = response.read()
        self.send_response(response.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Counting)
        self.target = target
        self.bodies: list[bytes] = []


@contextmanager
def counted(target: str) -> Iterator[tuple[str, list[bytes]]]:
    """Forward requests to an endpoint; yield the new address and the list of request bodies."""
    with _Server(target) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", server.bodies
        finally:
            server.shutdown()
            thread.join()
