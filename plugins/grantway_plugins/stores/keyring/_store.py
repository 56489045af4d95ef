"""A store in the operating system's key ring (Keychain, Credential Locker, Secret Service)."""

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
    """Stores tokens where the operating system stores the user's passwords.

    Tokens survive the process and a restart of the machine, and are shared by the processes of one
    user on one machine. The key ring shows a digest of each token's key as the entry name. Long
    tokens are split over several entries. A crash while saving leaves the previous token intact.

    Args:
        service: Service name of the entries in the key ring.
        backend: The key ring. Defaults to the one named by ``PYTHON_KEYRING_BACKEND`` or
            ``keyringrc.cfg``, otherwise the one that ``keyring`` finds.
        folder: Folder of the lock files. Defaults to the user's state folder. Processes that share
            the key ring must share this folder.
        longest: Maximum length of a value in the key ring, in characters. Defaults to 1,280 on
            Windows and 16,000 elsewhere.

    Raises:
        ConfigurationError: ``service`` is empty or not text, or ``longest`` is too small.
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
        """Load a token; see ``grantway.Store``."""
        name = name_of(key)  # backends differ in allowed characters and case sensitivity
        with self._ring.exclusive():
            text = Masked(self._ring.read(name))
        if text.value is None:
            return None
        return record.decode_token(text.value, f"{self._ring}, entry {name}")

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """Save the token and verify it by reading it back."""
        try:
            with self._ring.exclusive():
                self._ring.write(name_of(key), Masked(record.encode_token(token).decode()))
        except StoreError as error:
            reason = error.message
        else:
            return
        raise StoreSaveError(f"{reason} The token was not saved; the previous one is unchanged.")

    def delete(self, key: str, *, fence: int = 0) -> None:
        """Delete a token; see ``grantway.Store``."""
        with self._ring.exclusive():
            self._ring.remove(name_of(key))

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """Lock the key with a file lock. It cannot be lost, so the fence is 0."""
        return self._ring.locks.hold(f"token {self._ring.service} {key}", timeout)

    def __repr__(self) -> str:
        return f"KeyRingStore({self._ring})"
