"""Files of trusted certificates and of client certificates, and SSL contexts made of them."""

from __future__ import annotations

import os
import ssl
from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path
from typing import Any

from grantway._exceptions import ConfigurationError


def check_bundle(path: str, setting: str, key: str) -> None:
    """Check that trusted certificates can be loaded.

    Args:
        path: A PEM file, or a directory prepared by ``openssl rehash``.
        setting: The setting that named it.
        key: The key in ``ConfigurationError.errors``.

    Raises:
        ConfigurationError: they cannot be loaded.
    """
    problem = "there is no such file or directory"
    file = Path(path)
    try:
        if file.is_dir():
            next(file.iterdir(), None)
        else:
            trusting(path, file_state(path))
    except FileNotFoundError:
        pass
    except ssl.SSLError:
        problem = "it holds no certificates in PEM format, or damaged ones"
    except OSError as error:
        problem = f"it cannot be read: {error.strerror}"
    else:
        return
    rule = f"{path} cannot be used as trusted certificates; {problem}"
    raise ConfigurationError(f"{setting}: {rule}.", errors={key: [rule]})


def default_bundle() -> str:
    """Return the file of certifi's certificates, which ``requests`` trusts as well."""
    import certifi  # noqa: PLC0415 - only https needs it

    return certifi.where()


def file_state(path: str) -> Hashable:
    """Return a value that changes when the file changes.

    Raises:
        OSError: the file cannot be found.
    """
    found = Path(path).stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=16)
def trusting(trusted: str, _state: Hashable) -> ssl.SSLContext:
    """Return the context with these trusted certificates, shared because loading them is slow.

    Args:
        trusted: As for ``check_bundle``.
        _state: The state of the file, so that a changed file is loaded again.
    """
    return new_context(trusted)


def new_context(trusted: str) -> ssl.SSLContext:
    """Return a new context with these trusted certificates."""
    if Path(trusted).is_dir():
        made = ssl.create_default_context(capath=trusted)
    else:
        made = ssl.create_default_context(cafile=trusted)
    made.set_alpn_protocols(["http/1.1"])
    return made


def certificate_files(certificate: Any) -> tuple[str, str | None]:
    """Return the files of the certificate and key; the key is None if one file has both."""
    if isinstance(certificate, (str, os.PathLike)):
        return os.fspath(certificate), None
    whole, key = certificate
    return whole, key


def is_encrypted(path: str) -> bool:
    """Return whether a PEM file holds an encrypted private key."""
    return b"ENCRYPTED" in Path(path).read_bytes()
