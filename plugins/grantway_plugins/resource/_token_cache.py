"""Tokens that were verified or rejected before, by their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock

from ._errors import InvalidTokenError
from ._verified_token import VerifiedToken

#: Seconds for which a rejection is kept.
REJECTED_FOR = 30.0
_LOCK = fork_safe_lock()


def digest_of(token: str) -> bytes:
    """Return the digest under which a token is kept, so that memory does not contain the token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class TokenCache(OneProcess):
    """Results of verifications, each kept until the token expires or ``seconds`` have passed.

    Accepted and rejected tokens are bounded separately, so a flood of invalid tokens evicts no
    valid one.

    Args:
        clock: Returns seconds since the epoch.
        seconds: Maximum time for which an accepted token is not verified again.
        entries: Maximum number of accepted and of rejected tokens.
    """

    def __init__(self, clock: Callable[[], float], seconds: float, entries: int) -> None:
        self._clock, self._seconds, self._entries = clock, seconds, entries
        self._accepted: dict[bytes, tuple[VerifiedToken, float]] = {}
        self._rejected: dict[bytes, tuple[str, float, str]] = {}

    def accepted(self, digest: bytes) -> VerifiedToken | None:
        """Return an accepted token, or None if it must be verified."""
        entry = self._accepted.get(digest)
        return entry[0] if entry is not None and self._clock() < entry[1] else None

    def find(self, digest: bytes) -> VerifiedToken | None:
        """Do the same as ``accepted``.

        Raises:
            InvalidTokenError: The token was rejected a moment ago.
        """
        if accepted := self.accepted(digest):
            return accepted
        rejection = self._rejected.get(digest)
        if rejection is not None and self._clock() < rejection[1]:
            raise InvalidTokenError(rejection[0], issuer=rejection[2])
        return None

    def keep(self, digest: bytes, result: VerifiedToken | InvalidTokenError) -> None:
        """Keep the result of a verification."""
        now = self._clock()
        with _LOCK:
            self._accepted.pop(digest, None)
            self._rejected.pop(digest, None)
            if isinstance(result, VerifiedToken):
                until = min(result.expires_at, now + self._seconds)
                _put(self._accepted, digest, (result, until), self._entries)
            elif not result.passing:
                entry = str(result), now + REJECTED_FOR, result.issuer
                _put(self._rejected, digest, entry, self._entries)


def _put(kept: dict[bytes, Any], digest: bytes, value: Any, most: int) -> None:
    """Add an entry; evict the oldest one if there are too many."""
    while len(kept) >= most:
        del kept[next(iter(kept))]
    kept[digest] = value
