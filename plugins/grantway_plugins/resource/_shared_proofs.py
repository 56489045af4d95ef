"""Used DPoP proofs in memory that several processes share."""

from __future__ import annotations

import hashlib
import mmap
import os
import secrets
import struct
import tempfile
import time
from collections.abc import Callable

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock

from ._errors import VerificationUnavailableError

#: Length of the key at the start of the memory, and of the digest of a proof, in bytes.
_KEY, _DIGEST = 32, 16
#: A used proof: its digest, and when it expires, in seconds since the epoch.
_ENTRY = struct.Struct(f"={_DIGEST}sd")
#: Number of entries that one lock protects, and of such groups. A proof belongs to one group. With
#: 100,000 proofs, it is improbable that a group is full.
_ENTRIES, _GROUPS = 32, 8192
_GROUP = _ENTRIES * _ENTRY.size
_SIZE = _KEY + _GROUPS * _GROUP
_LOCK = fork_safe_lock()


class SharedProofs(OneProcess):
    """Used DPoP proofs in memory that several processes share, so that one accepts each proof.

    Create it before a server forks its workers, and pass it to the ``ProtectedResource`` of each::

        resource = ProtectedResource(url, issuers, used_proofs=SharedProofs())

    Workers that do not inherit it do not share it: gunicorn must run with ``--preload``, and
    ``uvicorn --workers`` starts new processes instead of forks.

    It has room for about 100,000 proofs of the last two minutes. A process that is killed leaves no
    lock behind. Machines do not share the memory.

    Args:
        file: Number of the open file of another ``SharedProofs``, which this process has inherited;
            None creates a new one.
        clock: Returns seconds since the epoch.

    Raises:
        ConfigurationError: This system cannot share memory in this way (Windows).
    """

    stays = "it shares memory with forked processes only; create it before the fork"

    def __init__(self, file: int | None = None, *, clock: Callable[[], float] = time.time) -> None:
        if os.name != "posix":
            rule = "is not available on this system; use one process"
            raise ConfigurationError(f"SharedProofs {rule}", errors={"used_proofs": [rule]})
        self._clock = clock
        self._file = _new_file() if file is None else file
        self._memory = mmap.mmap(self._file, _SIZE)
        self._key = self._memory[:_KEY]

    def fileno(self) -> int:
        """Return the number of the open file, for a process that inherits it."""
        return self._file

    def add(self, use: str, until: float) -> bool:
        """Add a proof; return False if it was used before.

        Args:
            use: Identifies the proof.
            until: When it expires, in seconds since the epoch.

        Raises:
            VerificationUnavailableError: There is no room for it.
        """
        import fcntl  # noqa: PLC0415 - not on Windows

        # With the key, a client cannot choose proofs that belong to the same group.
        digest = hashlib.blake2b(use.encode(), digest_size=_DIGEST, key=self._key).digest()
        start = _KEY + int.from_bytes(digest[:4]) % _GROUPS * _GROUP
        with _LOCK:  # the lock of the file does not exclude threads of this process
            fcntl.lockf(self._file, fcntl.LOCK_EX, _GROUP, start)
            try:
                return self._add(start, digest, until)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, _GROUP, start)

    def _add(self, start: int, digest: bytes, until: float) -> bool:
        now, free = self._clock(), None
        group = self._memory[start : start + _GROUP]
        for position, (known, expires) in enumerate(_ENTRY.iter_unpack(group)):
            if expires <= now:
                free = position
            elif known == digest:
                return False
        if free is None:
            raise VerificationUnavailableError("Too many DPoP proofs were used just now.")
        _ENTRY.pack_into(self._memory, start + free * _ENTRY.size, digest, until)
        return True


def _new_file() -> int:
    """Return the number of a new open file without a name."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("grantway-proofs")
    else:
        with tempfile.TemporaryFile() as created:
            file = os.dup(created.fileno())
    os.ftruncate(file, _SIZE)
    os.pwrite(file, secrets.token_bytes(_KEY), 0)
    return file
