"""A store in the operating system's key ring: Keychain, Credential Locker, Secret Service."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from grantway._credentials import token_format as record
from grantway._exceptions import StoreError, StoreSaveError
from grantway._processes.copies import OneProcess
from grantway._secrets.masked import Masked
from grantway_plugins.stores.file._format import name_of

from ._text import LONGEST, RingText

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

    from grantway._types.token import Token


class KeyRingStore(OneProcess):
    """Keeps tokens where the operating system keeps the person's passwords.

    Tokens outlive the process and the machine's restart, and are shared by the processes of one
    user on one machine. What the key ring shows beside a token is a digest of its key. A token of
    any length is kept, in several entries where need be, and a crash while it is saved leaves the
    one before.

    Args:
        service: The name under which the key ring shows the entries.
        backend: The key ring; without it, the one that ``keyring`` finds, or is told to use by
            ``PYTHON_KEYRING_BACKEND`` or ``keyringrc.cfg``.
        folder: Where the lock files lie; without it, the user's folder for state. Whoever shares
            the key ring must share it.
        longest: Characters of the longest value that the key ring takes: 1,280 on Windows, and
            16,000 elsewhere.

    Raises:
        ConfigurationError: ``service`` is no text, or ``longest`` leaves no room.
    """

    def __init__(
        self,
        service: str = "grantway",
        *,
        backend: KeyringBackend | None = None,
        folder: str | Path | None = None,
        longest: int = LONGEST,
    ) -> None:
        self._ring = RingText(service, backend, folder, longest)

    def load(self, key: str) -> Token | None:
        """See ``grantway.Store``."""
        name = name_of(key)  # backends differ in which characters they take, and in case
        with self._ring.alone():
            text = Masked(self._ring.read(name))
        if text.value is None:
            return None
        return record.decode_token(text.value, f"{self._ring}, entry {name}")

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """See ``grantway.Store``; it was read back from the key ring when this returns."""
        try:
            with self._ring.alone():
                self._ring.write(name_of(key), Masked(record.encode_token(token).decode()))
        except StoreError as error:
            reason = error.message
        else:
            return
        raise StoreSaveError(f"{reason} The token was not saved; the one before is kept.")

    def delete(self, key: str, *, fence: int = 0) -> None:
        """See ``grantway.Store``."""
        with self._ring.alone():
            self._ring.remove(name_of(key))

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """See ``grantway.Store``; a file lock, which cannot be lost, so the fence is 0."""
        return self._ring.locks.hold(f"token {self._ring.service} {key}", timeout)

    def __repr__(self) -> str:
        return f"KeyRingStore({self._ring})"
