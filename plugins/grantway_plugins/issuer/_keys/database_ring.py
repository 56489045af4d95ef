"""Signing keys in the database, which the issuers on it generate and rotate together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer._storage.signing_key_rows import SigningKeyRow

from .encryption import KeyEncryption
from .errors import SigningKeyError
from .ring import MAX_AGE, KeyRing
from .settings import ALGORITHMS, KeySettings

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.transaction import Transaction

    from .key_pair import KeyPair

#: Seconds until the keys are read again, because another issuer may have added one.
REREAD = 5.0
#: Seconds by which clocks of issuers and verifiers may differ.
LEEWAY = 300.0

_log = logging.getLogger("grantway.issuer")


class DatabaseRing(KeyRing):
    """Keys in the database.

    Each issuer reads the keys again every few seconds while it uses them, and generates the keys
    that are due. It does so within the transaction of a request, so a key exists for other issuers
    only if the token that it signed does. A key that was generated in a transaction that was rolled
    back is not used again.

    Args:
        settings: The settings.
        encryption: Encrypts the private keys.
        longest_lifetime: Longest lifetime of a signed token, in seconds.
    """

    def __init__(
        self, settings: KeySettings, encryption: KeyEncryption, longest_lifetime: float
    ) -> None:
        self._settings = settings
        self._encryption = encryption
        self._reread = min(REREAD, settings.publication / 4)
        self._retention = longest_lifetime + self._reread + LEEWAY
        self._rows: Sequence[SigningKeyRow] = ()
        self._read_at: float | None = None
        self._changed_in: Transaction | None = None
        self._opened: dict[str, KeyPair] = {}
        self._logged: set[str] = set()
        self.algorithms = settings.algorithms
        self.max_age = min(MAX_AGE, int(settings.publication / 2))

    def check(self, transaction: Transaction, now: float) -> None:
        """See ``KeyRing``."""
        self._rows = transaction.signing_keys.live(now)
        problems = [each for row in self._rows if isinstance(each := self._key(row), Exception)]
        if problems:
            # All keys have the same problem if their encryption key is missing.
            raise SigningKeyError("\n".join(dict.fromkeys(each.message for each in problems)))

    def recheck(self, transaction: Transaction, now: float) -> None:
        """See ``KeyRing``."""
        self._read_at = None
        with suppress(SigningKeyError):  # it is logged
            self._current(transaction, now)

    def signer(self, alg: str, transaction: Transaction, now: float) -> KeyPair:
        """See ``KeyRing``."""
        rows = [row for row in self._current(transaction, now) if row.algorithm == alg]
        signing = [row for row in rows if row.signs_from <= now]
        # With a slow clock, this issuer sees the first key before it begins to sign.
        row = max(signing or rows, key=lambda row: row.created_at)
        key = self._key(row)
        if isinstance(key, SigningKeyError):
            raise key
        return key

    def published(self, transaction: Transaction, now: float) -> Sequence[KeyPair]:
        """See ``KeyRing``."""
        keys = [self._key(row) for row in self._current(transaction, now)]
        return [key for key in keys if not isinstance(key, SigningKeyError)]

    def named(self, kid: str, transaction: Transaction, now: float) -> KeyPair | None:
        """See ``KeyRing``."""
        rows = self._current(transaction, now)
        if all(row.kid != kid for row in rows):
            rows = self._read(transaction, now)
        keys = [self._key(row) for row in rows if row.kid == kid]
        return next((key for key in keys if not isinstance(key, SigningKeyError)), None)

    def _current(self, transaction: Transaction, now: float) -> Sequence[SigningKeyRow]:
        """Return the keys that have not expired; first generate those that are due."""
        if self._read_at is None or not 0 <= now - self._read_at < self._reread:
            self._read(transaction, now)
            if self._due(now) and transaction.signing_keys.lock(wait=bool(self._missing())):
                # Another issuer may have generated them before this one locked the table.
                self._read(transaction, now)
                if self._due(now):
                    self._changed_in, self._read_at = transaction, None
                    self._renew(transaction, now)
                    self._read(transaction, now)
        return [row for row in self._rows if row.expires_at is None or now < row.expires_at]

    def _read(self, transaction: Transaction, now: float) -> Sequence[SigningKeyRow]:
        self._rows = transaction.signing_keys.live(now)
        # Do not keep the rows: a transaction with a new key may be rolled back.
        self._read_at = None if transaction is self._changed_in else now
        kids = {row.kid for row in self._rows}
        self._opened = {kid: key for kid, key in self._opened.items() if kid in kids}
        self.damaged = any(isinstance(self._key(row), SigningKeyError) for row in self._rows)
        return self._rows

    def _missing(self) -> list[str]:
        """Return the algorithms without a key."""
        known = {row.algorithm for row in self._rows if row.expires_at is None}
        return [each for each in self.algorithms if each not in known]

    def _due(self, now: float) -> list[str]:
        """Return the algorithms that need a new key, or no longer need their key."""
        signs = self._settings.rotation_interval - self._settings.publication
        newest: dict[str, float] = {}
        for row in self._rows:
            if row.expires_at is None:
                newest[row.algorithm] = max(row.signs_from, newest.get(row.algorithm, 0.0))
        old = [each for each, signs_from in newest.items() if signs_from + signs <= now]
        return [*self._missing(), *old]

    def _renew(self, transaction: Transaction, now: float) -> None:
        try:
            for algorithm in self._due(now):
                self._replace(algorithm, transaction, now)
        except SigningKeyError as error:  # the encryption key cannot be read or created
            self.damaged = True
            self._log_once(f"A signing key cannot be generated: {error.message}")
            raise

    def _replace(self, algorithm: str, transaction: Transaction, now: float) -> None:
        """Generate a key, which signs at once if it is the first one, and retire the others."""
        first = algorithm in self._missing()
        signs_from = now if first else now + self._settings.publication
        transaction.signing_keys.retire(algorithm, signs_from + self._retention)
        if algorithm not in self.algorithms:
            return  # an algorithm that was removed from the settings
        from .key_pair import KeyPair  # noqa: PLC0415 - needs the extra jose

        key, private = KeyPair.generate(algorithm)
        row = SigningKeyRow(
            key.kid, algorithm, self._encryption.encrypt(private, key.kid), now, signs_from, None
        )
        transaction.signing_keys.add(row)
        self._opened[key.kid] = key
        _log.info("Generated the signing key %s for %s", key.kid, algorithm)

    def _key(self, row: SigningKeyRow) -> KeyPair | SigningKeyError:
        """Return a key, or why it cannot be used."""
        known = self._opened.get(row.kid) or self._open(row)
        if isinstance(known, SigningKeyError):
            self._log_once(known.message)
        else:
            self._opened[row.kid] = known
        return known

    def _log_once(self, message: str) -> None:
        if message not in self._logged:
            self._logged.add(message)
            _log.error("%s", message)

    def _open(self, row: SigningKeyRow) -> KeyPair | SigningKeyError:
        if row.algorithm not in ALGORITHMS:
            return SigningKeyError(
                f"signing key {row.kid}: this version does not support {row.algorithm!r:.40}; "
                "remove the key with `grantway keys remove`"
            )
        from .key_pair import KeyPair  # noqa: PLC0415 - needs the extra jose

        try:
            key = KeyPair.read(self._encryption.decrypt(row.key, row.kid), row.algorithm)
        except SigningKeyError as error:
            return error
        except ConfigurationError:
            key = None
        if key is None or key.kid != row.kid:
            return SigningKeyError(
                f"signing key {row.kid}: it is damaged; restore the database from a backup, or "
                "remove the key with `grantway keys remove`"
            )
        return key
