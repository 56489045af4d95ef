"""Texts in the operating system's key ring: of any length, and whole after any crash.

A key ring is weaker than a file. Windows refuses a value past 2,560 bytes, which are 1,280
characters there. macOS replaces a value by deleting it and adding the new one. Some backends
write all they hold into one file, and Windows' moves an entry to make room for another. So a text
is cut in parts, it never replaces the one before in its place, and only one process of a user
works on the ring at a time.

For a text ``name`` there are two slots, of which one is in use::

    name/0    1:7:3:5d41...:first part      version, generation, parts, digest of the whole
    name/0/1  second part
    name/0/2  third part

A new text goes into the other slot, the entry with the digest last, and then the slot before is
cleared. Whatever is read is the highest generation that agrees with its digest.
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
from grantway_plugins._paths import expand, require_writable
from grantway_plugins.stores.file._format import INSTEAD, default_folder
from grantway_plugins.stores.file._lock import KeyLocks

from ._choice import advice, trusted

#: Characters of a value: what Windows takes at most, and what no other key ring refuses.
LONGEST = 1_280 if sys.platform == "win32" else 16_000
#: Characters that stand before the first part, at most.
_BEFORE = 100
#: Seconds to wait for another process, which may be waiting for a person to unlock the ring.
PATIENCE = 60.0

_HEAD = re.compile(r"1:(\d{1,15}):(\d{1,6}):([0-9a-f]{64}):(.*)", re.DOTALL)

Answer = TypeVar("Answer")


class _Slot(NamedTuple):
    """What one slot holds; ``text`` is None where it does not agree with its digest."""

    number: int
    generation: int
    text: Masked[str] | None


class RingText:
    """Texts by name in one service of the key ring.

    Every other method is called within ``alone``. Each raises ``StoreUnreadableError`` when the
    key ring does not do its work, naming the backend and what to do.

    Args:
        service: The name under which the key ring shows the entries.
        backend: The key ring; without it, the one that ``keyring`` finds or is told to use.
        folder: Where the lock lies; without it, the user's folder for state.
        longest: Characters of the longest value that the key ring takes.

    Raises:
        ConfigurationError: ``service`` is no text, or ``longest`` leaves no room.
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
                f"service: a non-empty text, not {service!r}.",
                errors={"service": ["must be a non-empty text"]},
            )
        check_count("longest", longest, least=_BEFORE + 1)
        self.service = service
        self._room = longest - _BEFORE
        self._backend = backend
        self.locks = KeyLocks(_folder(folder))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other thread and process of this user off the service."""
        with ExitStack() as held:
            try:
                held.enter_context(self.locks.hold(f"ring {self.service}", PATIENCE))
            except StoreLockError as error:
                raise StoreUnreadableError(f"{self}: {error.message}") from None
            yield

    def read(self, name: str) -> str | None:
        """The text that was written last, or None."""
        slots = self._slots(name)
        for slot in slots:
            if slot.text is not None:
                return slot.text.value
        if not slots:
            return None
        raise StoreUnreadableError(
            f"{self}, entry {name}: what is there is not what was written (a part is missing or "
            "was changed). Nothing was removed; delete it, and log in again."
        )

    def write(self, name: str, text: Masked[str]) -> None:
        """Put a text in place of the one before, which stays until the new one was read back."""
        slots = self._slots(name)
        used = next((slot.number for slot in slots if slot.text is not None), 1)
        number = 1 - used
        generation = 1 + max((slot.generation for slot in slots), default=0)
        digest = hashlib.sha256(text.value.encode()).hexdigest()
        count = max(1, -(-len(text.value) // self._room))
        for index in range(1, count):
            self._set(f"{name}/{number}/{index}", self._part(text, index))
        head = Masked(f"1:{generation}:{count}:{digest}:{self._part(text, 0).value}")
        self._set(f"{name}/{number}", head)
        kept = self._slot(name, number)
        if kept is None or kept.text != text:
            raise StoreUnreadableError(
                f"{self}: took a text and did not keep it. keyring may be disabled; choose "
                "another backend, or another store."
            )
        # The text is kept; what is left over from before does no harm, and goes next time.
        with suppress(StoreUnreadableError):
            self._trim(f"{name}/{number}", count)
            self._clear(f"{name}/{used}")

    def remove(self, name: str) -> None:
        """Forget a text; one that is not there is no error."""
        generations = {slot.number: slot.generation for slot in self._slots(name)}
        # The newest last, so that none before it comes back; what has no entry with a digest
        # first, which an earlier crash left.
        for number in sorted((0, 1), key=lambda number: generations.get(number, -1)):
            self._clear(f"{name}/{number}")

    def _slots(self, name: str) -> list[_Slot]:
        """The slots that hold something, the newest first."""
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
        agrees = hashlib.sha256(whole.value.encode()).hexdigest() == match[3]
        return _Slot(number, int(match[1]), whole if agrees else None)

    def _part(self, text: Masked[str], index: int) -> Masked[str]:
        return Masked(text.value[index * self._room : (index + 1) * self._room])

    def _clear(self, place: str) -> None:
        self._delete(place)
        self._trim(place, 1)

    def _trim(self, place: str, first: int) -> None:
        """Delete the parts from ``first``; the last goes first, so that a crash leaves no gap."""
        last = first
        while self._get(f"{place}/{last}").value is not None:
            last += 1
        for index in reversed(range(first, last)):
            self._delete(f"{place}/{index}")

    def _get(self, entry: str) -> Masked[str | None]:
        return self._ask(lambda ring: Masked(ring.get_password(self.service, entry)))

    def _set(self, entry: str, text: Masked[str]) -> None:
        self._ask(lambda ring: ring.set_password(self.service, entry, text.value))

    def _delete(self, entry: str) -> None:
        # Asked for first: a backend raises one error for what is missing and for what it cannot.
        if self._get(entry).value is not None:
            self._ask(lambda ring: ring.delete_password(self.service, entry))

    def _ask(self, do: Callable[[KeyringBackend], Answer]) -> Answer:
        try:
            return do(self._ring())
        except Exception as error:  # noqa: BLE001 - backends raise what their systems raise
            kind = type(error)
        # Raised outside the except block: a backend's frames hold the secret.
        raise StoreUnreadableError(f"{self}: {advice(kind)} ({kind.__name__})")

    def _ring(self) -> KeyringBackend:
        if self._backend is None:
            self._backend = trusted()
        return self._backend

    def __str__(self) -> str:
        try:
            ring = self._backend or keyring.get_keyring()
        except Exception:  # noqa: BLE001 - as above; a name is wanted here, not an error
            return f"key ring (service {self.service})"
        return f"key ring {type(ring).__module__}.{type(ring).__name__} (service {self.service})"


def _folder(named: str | Path | None) -> Path:
    if named:
        return Path(expand(named, "the store's folder to an absolute path"))
    folder = str(Path(default_folder()).with_name("key-ring"))
    return Path(require_writable(folder, "state", INSTEAD))
