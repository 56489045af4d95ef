"""Choose the key ring of an issuer."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING

from grantway_plugins.issuer._security import proof_algorithms

from .errors import SigningKeyError

if TYPE_CHECKING:
    from grantway_plugins.issuer._settings import IssuerSettings
    from grantway_plugins.issuer._storage.store import IssuerStore

    from .ring import KeyRing

_log = logging.getLogger("grantway.issuer")


def file_ring(settings: IssuerSettings) -> KeyRing | None:
    """Return the ring with the files of ``signing_keys``, or None if there are none.

    Raises:
        SigningKeyError: a file cannot be used.
    """
    if not settings.signing_keys:
        return None
    from .file_ring import FileRing  # noqa: PLC0415 - seldom needed

    ring = FileRing(settings.signing_keys)
    _check_algorithms(settings, ring, "signing_keys")
    return ring


def database_ring(settings: IssuerSettings, store: IssuerStore) -> KeyRing | None:
    """Return the ring with the keys in the database, or None if they are disabled.

    Importing the libraries and generating a key are left to the first use of the keys.

    Raises:
        SigningKeyError: the settings require keys, and a library or an encryption key is missing;
            or a stored key cannot be used.
    """
    keys = settings.keys
    if keys.enabled is False:
        return None
    check_library(settings)
    if (problem := _library_problem()) is not None:
        _report_disabled(problem)
        return None
    from .database_ring import DatabaseRing  # noqa: PLC0415 - imports the database
    from .encryption import KeyEncryption  # noqa: PLC0415

    memory_key = store.form_key if store.in_memory else None
    encryption = KeyEncryption.of(keys, store.file, memory_key=memory_key)
    if encryption is None:
        problem = (
            "signing keys in this database must be encrypted; set encryption_keys to the output of "
            "`openssl rand -base64 32`, or use signing_keys"
        )
        if settings.requires_keys:
            raise _required(settings, problem)
        _report_disabled(problem)
        return None
    ring = DatabaseRing(keys, encryption, settings.longest_signed_lifetime)
    _check_algorithms(settings, ring, "keys")
    store.run(lambda transaction: ring.check(transaction, store.clock()))
    return ring


def _check_algorithms(settings: IssuerSettings, ring: KeyRing, name: str) -> None:
    allowed = proof_algorithms(fapi2=settings.fapi2)
    if settings.fapi2 and not set(ring.algorithms) <= set(allowed):
        rule = f"must be for {', '.join(allowed)}, the algorithms of the FAPI 2.0 Security Profile"
        raise SigningKeyError(f"{name} {rule}", errors={name: [rule]})


def check_library(settings: IssuerSettings) -> None:
    """Check that the libraries of signing keys are installed, if the settings require keys.

    Raises:
        SigningKeyError: a library is missing.
    """
    problem = _library_problem()
    if settings.requires_keys and problem is not None:
        raise _required(settings, problem)


def _library_problem() -> str | None:
    missing = next((name for name in ("joserfc", "cryptography") if find_spec(name) is None), None)
    if missing is None:
        return None
    return f"signing keys need {missing}; install it with: pip install 'grantway[jose]'"


def _required(settings: IssuerSettings, problem: str) -> SigningKeyError:
    """Return an error that names the setting that requires keys."""
    name = "access_token_format" if settings.access_token_format == "jwt" else "resources"
    name = "keys" if settings.keys.enabled else name
    rule = f"cannot be used: {problem}"
    return SigningKeyError(f"{name} {rule}", errors={name: [rule]})


def _report_disabled(problem: str) -> None:
    _log.info("OpenID Connect is disabled: %s", problem)
