"""Settings of the issuer's signing keys."""

from __future__ import annotations

from dataclasses import dataclass, field

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value
from grantway._types.quantity import check_seconds

DAY = 86_400.0
#: Algorithms for which the issuer generates keys.
ALGORITHMS = ("ES256", "ES384", "EdDSA", "RS256", "PS256")
#: Minimum of ``publication``, in seconds: issuers and clients read keys again every few seconds.
LEAST_PUBLICATION = 10.0


@dataclass(frozen=True)
class KeySettings(Value):
    """Settings of the keys that the issuer generates and keeps in its database.

    They sign ID tokens, JWT access tokens and exchanged JWTs. The first key is generated when it is
    needed. ``IssuerSettings.signing_keys`` replaces these keys with files.

    Attributes:
        enabled: None enables the keys, and with them OpenID Connect, if the extra ``jose`` is
            installed and they can be encrypted. True requires both, and permits token exchange for
            JWTs. False disables the keys.
        algorithms: Algorithms of the keys: ES256, ES384, EdDSA, RS256 or PS256. The first one is
            the default.
        rotation_interval: Time for which a key signs, in seconds; at least twice ``publication``.
        publication: Time for which a key is published before it signs, in seconds; at least 10.
            Verifiers must read the keys again within this time.
        encryption_keys: Keys that encrypt the signing keys, as base64 text of 32 random bytes. The
            first one encrypts, all of them decrypt. Required for PostgreSQL. By default, an SQLite
            database has a key in a file next to it, which only this user can read.

    Raises:
        ConfigurationError: a field is invalid; the error names it.
    """

    enabled: bool | None = None
    algorithms: tuple[str, ...] = ("ES256", "EdDSA")
    rotation_interval: float = 90 * DAY
    publication: float = DAY
    encryption_keys: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Validate the fields."""
        if self.enabled not in {None, True, False}:
            raise _invalid("enabled", "must be true or false")
        given: object = self.algorithms
        if (
            not isinstance(given, tuple)
            or not given
            or not all(each in ALGORITHMS for each in given)
            or len(set(given)) != len(given)
        ):
            raise _invalid(
                "algorithms", f"must be one or more different ones of {', '.join(ALGORITHMS)}"
            )
        check_seconds("publication", self.publication, least=LEAST_PUBLICATION)
        check_seconds("rotation_interval", self.rotation_interval, least=2 * self.publication)
        self._check_encryption_keys()

    def _check_encryption_keys(self) -> None:
        given: object = self.encryption_keys
        if not isinstance(given, tuple) or not all(isinstance(each, str) for each in given):
            raise _invalid("encryption_keys", "must be a tuple of keys")
        if given:
            from .encryption import read_keys  # noqa: PLC0415 - seldom needed

            read_keys(self)


def _invalid(name: str, rule: str) -> ConfigurationError:
    return ConfigurationError(f"{name} {rule}", errors={name: [rule]})
