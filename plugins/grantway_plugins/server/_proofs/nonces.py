"""Nonces for DPoP proofs (RFC 9449 section 8), which replicas compute and do not store."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

#: Seconds for which a nonce is the current one. It is accepted for one more period.
PERIOD = 150.0
_LENGTH = 16


class Nonces:
    """Computes the nonce of each period from a secret key.

    All servers with the same key and context accept each other's nonces, also if their clocks
    differ by less than a period.

    Args:
        key: A secret that the replicas of a server share.
        context: Distinguishes servers with the same key, such as the issuer's URL.
        clock: Returns seconds since the epoch.
    """

    def __init__(self, key: bytes, context: str, clock: Callable[[], float]) -> None:
        self._key = hmac.digest(key, f"DPoP nonces of {context}".encode(), hashlib.sha256)
        self._clock = clock

    def current(self) -> str:
        """Return the nonce of the current period."""
        return self._of(self._period())

    def accepts(self, nonce: object) -> bool:
        """Return whether a nonce is that of the current, the previous or the next period."""
        if not isinstance(nonce, str):
            return False
        given, period = nonce.encode("utf-8", "replace"), self._period()
        return any(
            hmac.compare_digest(given, self._of(each).encode())
            for each in (period, period - 1, period + 1)
        )

    def _period(self) -> int:
        return int(self._clock() // PERIOD)

    def _of(self, period: int) -> str:
        signed = hmac.digest(self._key, str(period).encode(), hashlib.sha256)[:_LENGTH]
        return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()
