"""Crash-safe texts of any length in the operating system's key ring.

Key rings give weaker guarantees than files. Windows rejects values longer than 2,560 bytes (1,280
characters). macOS replaces a value by deleting it and adding the new one. Some backends write all
entries into one file, and the Windows backend moves an entry to make room for another. Texts are
therefore split into parts, a new text never overwrites the previous one, and a lock admits one
process of a user at a time.

Each text ``name`` has two slots, one of which is in use::

    name/0    1:7:3:5d41...:first part      version, generation, parts, digest of the whole text
    name/0/1  second part
    name/0/2  third part

Writing fills the other slot, the entry with the digest last, and then clears the previous slot.
Reading returns the slot with the highest generation whose digest matches.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import keyring
from keyring.backend import KeyringBackend

from grantway._exceptions import ConfigurationError, StoreLockError, StoreUnreadableError
from grantway._secrets.masked import Masked
from grantway._types.quantity import check_count
from grantway_plugins._paths import (
    TOKEN_FOLDER_SETTING,
    expand,
    require_writable,
    token_folder,
)
from grantway_plugins.stores.file._lock import KeyLocks

from ._choice import advice, choose_backend

#: Default maximum length of a value: Windows' limit, or one that all other key rings accept.
LONGEST = 1_280 if sys.platform == "win32" else 16_000
#: Maximum length of the header before the first part.
_HEADER = 100
#: Seconds to wait for another process, which may be waiting for the user to unlock the key ring.
LOCK_TIMEOUT = 60.0

_HEAD = re.compile(r"1:(\d{1,15}):(\d{1,6}):([0-9a-f]{64}):(.*)", re.DOTALL)

Result = TypeVar("Result")


class _Slot(NamedTuple):
    """Content of a slot. ``text`` is None if it is incomplete or does not match its digest."""

    number: int
    generation: int
    text: Masked[str] | None


class RingText:
    """Texts by name in one service of the key ring.

    Call the other methods only within ``exclusive``. They raise ``StoreUnreadableError`` with the
    backend's name and a remedy if the key ring fails.

    Args:
        service: Service name of the entries in the key ring.
        backend: The key ring. Defaults to the one that is configured or that ``keyring`` finds.
        folder: Folder of the lock file. Defaults to the user's state folder.
        longest: Maximum length of a value in the key ring, in characters.

    Raises:
        ConfigurationError: ``service`` is empty or not text, or ``longest`` is too small.
    """

    def __init__(
        self,
        service: str,
        backend: KeyringBackend | None = None,
        folder: str | Path | None = None,
        longest: int = LONGEST,
    ) -> None:
        if not isinstance(service, str) or not service:
            raise ConfigurationError(
                f"service: must be a non-empty text, not {service!r}.",
                errors={"service": ["must be a non-empty text"]},
            )
        check_count("longest", longest, least=_HEADER + 1)
        self.service = service
        self._part_length = longest - _HEADER
        self._backend = backend
        self.locks = KeyLocks(_folder(folder))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Exclude every other thread and process of this user from the service."""
        with ExitStack() as held:
            try:
                held.enter_context(self.locks.hold(f"ring {self.service}", LOCK_TIMEOUT))
            except StoreLockError as error:
                raise StoreUnreadableError(f"{self}: {error.message}") from None
            yield

    def read(self, name: str) -> str | None:
        """Return the text that was written last, or None."""
        slots = self._slots(name)
        for slot in slots:
            if slot.text is not None:
                return slot.text.value
        if not slots:
            return None
        raise StoreUnreadableError(
            f"{self}, entry {name}: corrupt (a part is missing or was modified). Nothing was "
            "removed; delete the entry and log in again."
        )

    def write(self, name: str, text: Masked[str]) -> None:
        """Write a text, read it back, and then remove the previous text."""
        slots = self._slots(name)
        used = next((slot.number for slot in slots if slot.text is not None), 1)
        number = 1 - used
        generation = 1 + max((slot.generation for slot in slots), default=0)
        digest = hashlib.sha256(text.value.encode()).hexdigest()
        count = max(1, -(-len(text.value) // self._part_length))
        for index in range(1, count):
            self._set(f"{name}/{number}/{index}", self._part(text, index))
        head = Masked(f"1:{generation}:{count}:{digest}:{self._part(text, 0).value}")
        self._set(f"{name}/{number}", head)
        written = self._slot(name, number)
        if written is None or written.text != text:
            raise StoreUnreadableError(
                f"{self}: accepted a text but did not store it. keyring may be disabled; choose "
                "another backend, or another store."
            )
        # The new text is stored; old entries are harmless, and the next write removes them.
        with suppress(StoreUnreadableError):
            self._trim(f"{name}/{number}", count)
            self._clear(f"{name}/{used}")

    def remove(self, name: str) -> None:
        """Remove a text, if it exists."""
        generations = {slot.number: slot.generation for slot in self._slots(name)}
        # Clear the newest slot last, so that a crash does not restore an older text. A slot
        # without a header, left by an earlier crash, goes first.
        for number in sorted((0, 1), key=lambda number: generations.get(number, -1)):
            self._clear(f"{name}/{number}")

    def _slots(self, name: str) -> list[_Slot]:
        """Return the slots that are not empty, newest first."""
        found = [slot for number in (0, 1) if (slot := self._slot(name, number))]
        return sorted(found, key=lambda slot: slot.generation, reverse=True)

    def _slot(self, name: str, number: int) -> _Slot | None:
        place = f"{name}/{number}"
        head = self._get(place)
        if head.value is None:
            return None
        match = _HEAD.fullmatch(head.value)
        if match is None:
            return _Slot(number, 0, None)
        pieces = [Masked(match[4])]
        for index in range(1, int(match[2])):
            piece = self._get(f"{place}/{index}")
            if piece.value is None:
                return _Slot(number, int(match[1]), None)
            pieces.append(Masked(piece.value))
        whole = Masked("".join(piece.value for piece in pieces))
        matches = hashlib.sha256(whole.value.encode()).hexdigest() == match[3]
        return _Slot(number, int(match[1]), whole if matches else None)

    def _part(self, text: Masked[str], index: int) -> Masked[str]:
        return Masked(text.value[index * self._part_length : (index + 1) * self._part_length])

    def _clear(self, place: str) -> None:
        self._delete(place)
        self._trim(place, 1)

    def _trim(self, place: str, first: int) -> None:
        """Delete the parts from ``first``, last part first, so that a crash leaves no gap."""
        last = first
        while self._get(f"{place}/{last}").value is not None:
            last += 1
        for index in reversed(range(first, last)):
            self._delete(f"{place}/{index}")

    def _get(self, entry: str) -> Masked[str | None]:
        return self._call(lambda ring: Masked(ring.get_password(self.service, entry)))

    def _set(self, entry: str, text: Masked[str]) -> None:
        self._call(lambda ring: ring.set_password(self.service, entry, text.value))

    def _delete(self, entry: str) -> None:
        # Check first: backends raise the same error for a missing entry and for a failed deletion.
        if self._get(entry).value is not None:
            self._call(lambda ring: ring.delete_password(self.service, entry))

    def _call(self, do: Callable[[KeyringBackend], Result]) -> Result:
        try:
            return do(self._ring())
        except Exception as error:  # noqa: BLE001 - backends raise any error of their systems
            kind = type(error)
        # Raised outside the except block, because the backend's frames contain the secret.
        raise StoreUnreadableError(f"{self}: {advice(kind)} ({kind.__name__})")

    def _ring(self) -> KeyringBackend:
        if self._backend is None:
            self._backend = choose_backend()
        return self._backend

    def __str__(self) -> str:
        try:
            ring = self._backend or keyring.get_keyring()
        except Exception:  # noqa: BLE001 - str() must not fail
            return f"key ring (service {self.service})"
        return f"key ring {type(ring).__module__}.{type(ring).__name__} (service {self.service})"


def _folder(named: str | Path | None) -> Path:
    if named:
        return Path(expand(named, "the store's folder to an absolute path"))
    folder = str(Path(token_folder()).with_name("key-ring"))
    return Path(require_writable(folder, "state", TOKEN_FOLDER_SETTING))
