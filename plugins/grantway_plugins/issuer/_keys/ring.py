"""The key ring: signs with one key, and publishes and verifies with all of them."""

from __future__ import annotations

import base64
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grantway._processes.copies import OneProcess

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.transaction import Transaction

    from .key_pair import KeyPair

#: Time for which verifiers may cache the published keys, in seconds.
MAX_AGE = 300


class KeyRing(OneProcess):
    """The signing keys of an issuer.

    Call its methods in the store's thread only.
    """

    stays = "it holds private keys; create it in the process that uses it"

    #: Algorithms of the keys, the default first.
    algorithms: tuple[str, ...]
    #: Time for which verifiers may cache the published keys, in seconds.
    max_age: int = MAX_AGE
    #: Whether a key cannot be used, which the log explains.
    damaged: bool = False

    @abstractmethod
    def check(self, transaction: Transaction, now: float) -> None:
        """Reject keys that cannot be used, without generating one.

        Raises:
            SigningKeyError: says which keys, why, and how to fix it.
        """

    @abstractmethod
    def recheck(self, transaction: Transaction, now: float) -> None:
        """Read the keys again after one could not be used, and set ``damaged``."""

    @abstractmethod
    def signer(self, alg: str, transaction: Transaction, now: float) -> KeyPair:
        """Return the key that signs with one of the algorithms.

        Raises:
            SigningKeyError: it cannot be used.
        """

    @abstractmethod
    def published(self, transaction: Transaction, now: float) -> Sequence[KeyPair]:
        """Return the published keys."""

    @abstractmethod
    def named(self, kid: str, transaction: Transaction, now: float) -> KeyPair | None:
        """Return a published key, also one that another issuer has just generated."""

    def sign(
        self,
        claims: Mapping[str, Any],
        transaction: Transaction,
        now: float,
        *,
        typ: str = "JWT",
        alg: str | None = None,
    ) -> str:
        """Return a signed JWT.

        Args:
            claims: The claims.
            transaction: The transaction in which to find the key.
            now: Current time in seconds since the epoch.
            typ: Type of the token (RFC 8725 section 3.11).
            alg: One of the algorithms; by default the first one.

        Raises:
            SigningKeyError: the key cannot be used.
        """
        return self.signer(alg or self.algorithms[0], transaction, now).sign(claims, typ)

    def verified(
        self, token: str, transaction: Transaction, now: float, *, typ: str
    ) -> dict[str, Any] | None:
        """Return the claims of a JWT that one of the published keys signed, or None.

        The caller checks the claims, also the expiry.
        """
        header = _header(token)
        kid = header.get("kid")
        if header.get("typ") != typ or not isinstance(kid, str):
            return None
        key = self.named(kid, transaction, now)
        return None if key is None or header.get("alg") != key.alg else key.verified(token)


def _header(token: str) -> dict[str, Any]:
    """Return the header of a compact JWT without verifying it; empty if it is not one."""
    part = token.partition(".")[0]
    try:
        if token.count(".") != 2:  # noqa: PLR2004 - header, payload, signature
            return {}
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return {}
    return header if isinstance(header, dict) else {}
