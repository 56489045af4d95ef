"""An issuer that is killed and restarted, in a process whose clock may be wrong.

``python -m tests.plugins.issuer.replica DATABASE PORT AHEAD`` runs the process.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from types import TracebackType
from typing import Self

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from tests import forked
from tests.faults import free_port
from tests.interop.program import STARTUP_SECONDS, Program


class Replica:
    """An issuer that approves every request; it keeps its address when it is started again.

    Args:
        database: Path or URL of the database.
        ahead: Seconds by which its wall clock is ahead.
        fork: Whether to fork the process, which starts faster. Do not measure a forked process.

    Attributes:
        url: Address of the issuer.
    """

    def __init__(self, database: str, *, ahead: float = 0.0, fork: bool = True) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", __name__, database, str(port), str(ahead)]
        self._start = forked.Popen if fork else None
        self._program: Program | None = None

    @property
    def pid(self) -> int:
        """The process ID."""
        assert self._program is not None
        return self._program.pid

    def start(self) -> None:
        """Start the process; return when it accepts requests."""
        start = {"start": self._start} if self._start else {}
        self._program = Program(self._command, **start).__enter__()
        assert self._program.read_line(STARTUP_SECONDS) == "ready\n"

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """Stop the process. Safe to repeat."""
        if self._program is not None:
            self._program.__exit__(None, None, None)
            self._program = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def main() -> None:
    """Run the issuer until the process is stopped."""
    database, port, ahead = sys.argv[1:]
    seconds = float(ahead)
    server = IssuerServer(
        IssuerSettings(approve="auto", registration="unrestricted"),
        database=database,
        port=int(port),
        clock=lambda: time.time() + seconds,
    )
    signal.signal(signal.SIGTERM, lambda _number, _frame: server.stop_soon())
    server.run(lambda: print("ready", flush=True))


if __name__ == "__main__":
    main()
