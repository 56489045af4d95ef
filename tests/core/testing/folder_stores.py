"""Stores of files with one mistake each, for ``broken_durable_stores``.

Other processes import this module, so it does not import pytest.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from grantway import (
    StoreLockError,
    StoreUnreadableError,
    Token,
    decode_token,
    encode_token,
    is_newer_format,
)
from grantway_plugins.stores import MemoryStore


class FolderStore:
    """A correct store of files. The broken ones change one method."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        return self.folder / sha256(key.encode()).hexdigest()

    def load(self, key: str) -> Token | None:
        try:
            return self.decoded(self.path(key).read_bytes())
        except FileNotFoundError:
            return None

    def decoded(self, record: bytes) -> Token | None:
        return decode_token(record, "The record")

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        written = self.folder / f"{os.urandom(8).hex()}.new"
        written.write_bytes(encode_token(token))
        written.replace(self.path(key))

    def delete(self, key: str, *, fence: int = 0) -> None:
        self.path(key).unlink(missing_ok=True)

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[int]:
        until = time.monotonic() + timeout
        with self.path(key).with_suffix(".lock").open("w") as file:
            while not self.acquired(file):
                if time.monotonic() >= until:
                    raise StoreLockError("The key is in use.")
                time.sleep(0.01)
            yield 0

    def acquired(self, file: Any) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class ProcessStore(MemoryStore):
    """Its tokens do not leave the process."""

    def __init__(self, folder: Path) -> None:
        super().__init__()


class LockStore(FolderStore):
    """Its lock excludes no other instance."""

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        return MemoryStore().lock(key, timeout)

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        time.sleep(0.005)
        super().save(key, token, fence=fence)


class LockFileStore(FolderStore):
    """Its lock is a file, which a killed process leaves."""

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[int]:
        path = self.path(key).with_suffix(".locked")
        until = time.monotonic() + timeout
        while path.exists():
            if time.monotonic() >= until:
                raise StoreLockError("The key is in use.")
            time.sleep(0.01)
        path.touch()
        try:
            yield 0
        finally:
            path.unlink()


class WriteStore(FolderStore):
    """It writes in place, in two parts."""

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        record = encode_token(token)
        with self.path(key).open("wb", buffering=0) as file:
            file.write(record[:2000])
            time.sleep(0.01)
            file.write(record[2000:])


class DamageStore(FolderStore):
    """It raises the error of its parser, and shows the record."""

    def decoded(self, record: bytes) -> Token:
        return Token(json.loads(record)["access_token"])


class MessageStore(FolderStore):
    """Its error shows the record."""

    def decoded(self, record: bytes) -> Token | None:
        try:
            return super().decoded(record)
        except StoreUnreadableError:
            raise StoreUnreadableError(f"The record is damaged: {record!r:.400}") from None


class UpgradeStore(FolderStore):
    """It ignores a record of a newer version."""

    def decoded(self, record: bytes) -> Token | None:
        return None if is_newer_format(record) else super().decoded(record)
