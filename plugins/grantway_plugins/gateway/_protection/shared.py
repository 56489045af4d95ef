"""A provider's failures, shared by the machines that share a store."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from grantway._processes.copies import OneProcess
from grantway._types.token import Token

if TYPE_CHECKING:
    from grantway._types.store import Store

_log = logging.getLogger("grantway.gateway")

#: Shortest time between two reads in seconds.
_EVERY = 1.0
#: Longest wait of a call for a read in seconds.
PATIENCE = 0.2


@dataclass(frozen=True, slots=True)
class SharedFailure:
    """How long one machine does not call a provider. Contains no secrets.

    Attributes:
        until: Unix time of the next probe; 0 if the breaker is closed.
        paused_until: Unix time until which a ``Retry-After`` applies, or 0.
        openings: Number of times that the breaker has opened in a row.
        why: Reason why it opened.
    """

    until: float = 0.0
    paused_until: float = 0.0
    openings: int = 0
    why: str = ""

    @property
    def end(self) -> float:
        """Unix time after which this is irrelevant."""
        return max(self.until, self.paused_until)

    def combined(self, other: SharedFailure) -> SharedFailure:
        """Return the longer pauses of both."""
        later = max(self, other, key=lambda each: each.until)
        return SharedFailure(
            later.until,
            max(self.paused_until, other.paused_until),
            max(self.openings, other.openings),
            later.why,
        )


class FailureRecord(OneProcess):
    """The record of a provider in a store, which expires on its own.

    Everything happens in background threads and is best effort: a store that does not respond
    delays a call to the provider by 0.2 seconds at most, and a call that gets a token from memory
    never.

    Args:
        store: The store.
        key: Name of the record.
        clock: Returns the Unix time in seconds; for tests.
    """

    stays = "it has a store and threads of this process; create one in each process"

    def __init__(self, store: Store, key: str, *, clock: Callable[[], float] = time.time) -> None:
        self._store, self._key, self._clock = store, key, clock
        self.forget_reads()

    def forget_reads(self) -> None:
        """Forget running reads. A forked child has none of its parent's threads."""
        self._lock = threading.Lock()
        self._reading: Future[None] | None = None
        self._next = float("-inf")

    def read(self, apply: Callable[[SharedFailure | None], None]) -> Future[None] | None:
        """Start reading the record; return None if it was read a moment ago.

        Args:
            apply: Called with the record, before the returned future is done.
        """
        with self._lock:
            if self._reading is not None or time.monotonic() < self._next:
                return None
            reading: Future[None] = Future()
            self._reading = reading
        self._start(self._read, apply, reading)
        return reading

    def publish(self, failure: SharedFailure) -> None:
        """Write the record, unless another machine has written longer pauses."""
        self._start(self._write, failure)

    def _read(self, apply: Callable[[SharedFailure | None], None], reading: Future[None]) -> None:
        try:
            found = self._load()
        except Exception as failed:  # noqa: BLE001 - stores may raise anything
            _log.info("Failures of other machines cannot be read: %s", type(failed).__name__)
            found = None
        with self._lock:
            self._reading, self._next = None, time.monotonic() + _EVERY
        try:
            apply(found)
        finally:
            reading.set_result(None)

    def _write(self, failure: SharedFailure) -> None:
        try:
            known = self._load()
            whole = failure if known is None else failure.combined(known)
            if whole != known:
                self._store.save(self._key, Token(json.dumps(asdict(whole)), expires_at=whole.end))
        except Exception as failed:  # noqa: BLE001 - as above
            _log.info("Failures cannot be shared: %s", type(failed).__name__)

    def _load(self) -> SharedFailure | None:
        token = self._store.load(self._key)
        if token is None:
            return None
        found = _parsed(token.access_token)
        return found if found is not None and found.end > self._clock() else None

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        # A daemon thread, so that a store that does not respond does not delay the exit.
        threading.Thread(target=work, args=arguments, name="grantway-failures", daemon=True).start()


def _parsed(text: str) -> SharedFailure | None:
    """Return the content of a record, or None if another version has written another form."""
    try:
        content = json.loads(text)
        return SharedFailure(
            float(content["until"]),
            float(content["paused_until"]),
            int(content["openings"]),
            str(content["why"]),
        )
    except (ValueError, TypeError, KeyError):
        return None
