"""Key ring backends for tests that need no desktop."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError
from keyrings.alt.file import PlaintextKeyring

from grantway import Store
from grantway_plugins.stores.keyring._store import KeyRingStore

#: Windows' limit in characters: CRED_MAX_CREDENTIAL_BLOB_SIZE is 2,560 bytes of UTF-16.
WINDOWS_LIMIT = 1_280


class Killed(BaseException):
    """A simulated crash of the process."""


class DiskRing(KeyringBackend):
    """A key ring in a file that survives SIGKILL, with the length limit of Windows.

    ``keyrings.alt`` does not suffice: it writes its file in place, so a kill can truncate it.
    """

    priority: Any = -1  # never chosen automatically

    def __init__(self, file: Path) -> None:
        self._file = file
        with closing(self._open()) as base, base:
            base.execute("CREATE TABLE IF NOT EXISTS ring (name TEXT PRIMARY KEY, value TEXT)")

    def get_password(self, service: str, username: str) -> str | None:
        with closing(self._open()) as base:
            row = base.execute("SELECT value FROM ring WHERE name = ?", (username,)).fetchone()
        return row and str(row[0])

    def set_password(self, service: str, username: str, password: str) -> None:
        if len(password) > WINDOWS_LIMIT:
            raise OSError(1783, "CredWrite", "The stub received bad data")
        with closing(self._open()) as base, base:
            base.execute("REPLACE INTO ring VALUES (?, ?)", (username, password))

    def delete_password(self, service: str, username: str) -> None:
        with closing(self._open()) as base, base:
            if not base.execute("DELETE FROM ring WHERE name = ?", (username,)).rowcount:
                raise PasswordDeleteError(username)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=30)


class CrashingRing(KeyringBackend):
    """A key ring in memory that crashes after a number of changes.

    It has the length limit of Windows, and replaces entries like macOS.

    Attributes:
        entries: The entries by name.
        priority: On the class, low enough never to be chosen automatically; on an instance, as high
            as that of an operating system's key ring.
        steps: Number of changes before the crash.
    """

    priority: Any = -1

    def __init__(self) -> None:
        self.priority = 5
        self.entries: dict[str, str] = {}
        self.steps = 1_000_000

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        if len(password) > WINDOWS_LIMIT:
            raise OSError(1783, "CredWrite", "The stub received bad data")
        if username in self.entries:  # macOS deletes the item, and then adds the new one
            self.delete_password(service, username)
        self._step()
        self.entries[username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._step()
        if self.entries.pop(username, None) is None:
            raise PasswordDeleteError(username)

    def _step(self) -> None:
        if self.steps == 0:
            raise Killed
        self.steps -= 1


class LockedRing(KeyringBackend):
    """A locked key ring whose errors quote their arguments."""

    priority: Any = -1

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked(password)


class FullRing(DiskRing):
    """A key ring that cannot write and whose errors quote their arguments."""

    def set_password(self, service: str, username: str, password: str) -> None:
        raise OSError(f"no room for {password}")


def on_disk(folder: Path) -> Store:
    ring = DiskRing(folder / "ring.db")
    return KeyRingStore(backend=ring, folder=folder / "locks", longest=WINDOWS_LIMIT)


def plaintext(folder: Path) -> Store:
    ring = PlaintextKeyring().with_properties(file_path=str(folder / "ring.cfg"))
    return KeyRingStore(backend=ring, folder=folder / "locks")
