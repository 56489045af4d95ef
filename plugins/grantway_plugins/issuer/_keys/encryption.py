"""Encryption of the signing keys in the database."""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._secrets.masked import Masked
from grantway_plugins.stores.encrypted._keys import KeySource, from_value, generate_key
from grantway_plugins.stores.file._sync import sync_folder

from .errors import SigningKeyError

if TYPE_CHECKING:
    from grantway_plugins.stores.encrypted._sealing import Sealer

    from .settings import KeySettings

#: Added to the path of an SQLite database: the file with the key that encrypts its signing keys.
SUFFIX = ".key"
#: Prefix of an encrypted signing key.
LAYOUT = "gwk1"
_FIELD = "encryption_keys"


class KeyEncryption(OneProcess):
    """Encrypts private keys.

    Args:
        source: Returns the encryption keys, newest first. Called when a signing key is encrypted or
            decrypted for the first time.
        where: The place of the encryption keys, for errors.
        file: The file with the encryption key, which is created when the first signing key is
            encrypted; None if the keys are elsewhere.
    """

    stays = "it holds encryption keys; create it in the process that uses it"

    def __init__(self, source: KeySource, where: str, file: Path | None = None) -> None:
        self._source, self._where, self._file = source, where, file
        self._sealer: Sealer | None = None

    @classmethod
    def of(
        cls, settings: KeySettings, database: Path | None, *, memory_key: bytes | None
    ) -> Self | None:
        """Return the encryption for a database, or None if it needs ``encryption_keys``.

        Args:
            settings: The settings.
            database: The SQLite file, or None.
            memory_key: A secret of a database in the memory of this process, or None. Every
                issuer on that database has the same one.
        """
        if settings.encryption_keys:
            return cls(read_keys(settings), f"the setting {_FIELD}")
        if database is not None:
            database = database.resolve()  # SQLite follows symbolic links, too
            file = database.with_name(database.name + SUFFIX)
            return cls(lambda: _key_of_file(file), str(file), file)
        if memory_key is not None:
            key = hmac.digest(memory_key, b"signing keys", "sha256")
            return cls(from_value(Masked(key)), "memory")
        return None

    def encrypt(self, private: Masked[bytes], kid: str) -> bytes:
        """Return an encrypted private key, which only ``decrypt`` with this key ID accepts.

        Raises:
            SigningKeyError: the encryption key cannot be read or created.
        """
        if self._file is not None and self._sealer is None:
            _create(self._file)
        return self._ready().seal(private.value, kid).encode()

    def decrypt(self, encrypted: bytes, kid: str) -> Masked[bytes]:
        """Return a private key.

        Raises:
            SigningKeyError: it is damaged, or was encrypted with an unknown key.
        """
        from grantway_plugins.stores.encrypted._sealing import (  # noqa: PLC0415 - needs the extra
            SealError,
            UnknownKeyError,
        )

        try:
            return self._ready().open(encrypted.decode("ascii"), kid)
        except UnknownKeyError as error:
            problem = (
                f"it is encrypted with key {error.key_id}, and {self._where} has "
                f"{', '.join(error.known)}; add the other key, or remove this signing key with "
                "`grantway keys remove`"
            )
        except (SealError, UnicodeDecodeError):
            problem = (
                "it is damaged; restore the database from a backup, or remove this signing key "
                "with `grantway keys remove`"
            )
        raise SigningKeyError(f"signing key {kid}: {problem}")

    def _ready(self) -> Sealer:
        from grantway_plugins.stores.encrypted._sealing import (  # noqa: PLC0415 - needs the extra
            Sealer,
        )

        if self._sealer is None:
            self._sealer = Sealer(self._source, LAYOUT)
        return self._sealer


def read_keys(settings: KeySettings) -> KeySource:
    """Return the source of the keys in the setting ``encryption_keys``.

    Raises:
        ConfigurationError: a value is not a key.
    """
    return from_value(Masked(settings.encryption_keys), _FIELD)


def check_private(path: Path, setting: str) -> None:
    """Reject a file that every user of this machine can read.

    Raises:
        SigningKeyError: the file's mode permits it.
        OSError: the file cannot be examined.
    """
    mode = path.stat().st_mode
    if os.name == "posix" and mode & stat.S_IROTH:
        rule = (
            f"{path}: every user of this machine can read it (mode {stat.S_IMODE(mode):o}); run "
            f"chmod o= {path} (in Kubernetes, mount the secret with defaultMode 0440)"
        )
        raise SigningKeyError(f"{setting}: {rule}", errors={setting: [rule]})


def _key_of_file(path: Path) -> Masked[tuple[bytes, ...]]:
    """Return the key in a file.

    Raises:
        SigningKeyError: the file cannot be read, is damaged, or others can read it.
    """
    try:
        check_private(path, _FIELD)
        text: Masked[bytes | str | Sequence[bytes | str]] = Masked(path.read_text("ascii").strip())
    except FileNotFoundError:
        problem = (
            "is missing; restore it from a backup, or remove the signing keys that it encrypted "
            "with `grantway keys remove`"
        )
    except (OSError, UnicodeDecodeError) as error:
        problem = _unusable(error)
    else:
        with suppress(ConfigurationError):
            return from_value(text, _FIELD, str(path))()
        problem = "contains no key; restore it from a backup"
    raise SigningKeyError(f"{_FIELD}: the file {path} {problem}")


def _create(path: Path) -> None:
    """Create a file with a new key, completely or not at all, unless the file exists.

    The caller's transaction has locked the SQLite database, so no other issuer creates the file at
    the same time.

    Raises:
        SigningKeyError: the file cannot be created.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        if path.exists():
            return
        with os.fdopen(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            file.write(generate_key() + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)  # before the database keeps what the key encrypts
    except OSError as error:
        problem = _unusable(error)
    else:
        return
    raise SigningKeyError(f"{_FIELD}: the file {path} {problem}")


def _unusable(error: Exception) -> str:
    return f"cannot be used ({getattr(error, 'strerror', None) or type(error).__name__})"
