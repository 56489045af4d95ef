"""Choice of the key ring backend, and remedies for its errors."""

from __future__ import annotations

import os

import keyring.core
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import InitError, KeyringLocked, NoKeyringError


class NotRecommendedError(Exception):
    """The only key ring that keyring found is one that it does not recommend."""


def choose_backend() -> KeyringBackend:
    """Return the key ring that the user configured; otherwise the one that keyring finds.

    Raises:
        NotRecommendedError: None is configured, and keyring does not recommend the one it found.
        Exception: Errors of the configured backend propagate.
    """
    found = keyring.core.get_keyring()
    if not _recommended(found):
        raise NotRecommendedError
    return found


def _recommended(ring: KeyringBackend) -> bool:
    """Return whether the backend is secure or the user chose it by name.

    With ``keyrings.alt`` installed and no desktop, keyring falls back to a plain text file.
    """
    first = next(iter(getattr(ring, "backends", ())), ring)  # a chain writes to its first backend
    return (
        isinstance(ring, NoKeyring)  # its errors already explain the problem
        or keyring.core.recommended(first)
        or "PYTHON_KEYRING_BACKEND" in os.environ
        or keyring.core.load_config() is not None
    )


def advice(kind: type[Exception]) -> str:
    """Return the meaning of a key ring error and a remedy."""
    if issubclass(kind, NoKeyringError):
        return (
            "there is no key ring on this machine. Start one (GNOME Keyring, KWallet), install a "
            "keyring backend, or use another store, such as 'encrypted' over 'file'."
        )
    if issubclass(kind, NotRecommendedError):
        return (
            "keyring found no key ring of the operating system, and does not recommend this one. "
            "To use it anyway, name it in PYTHON_KEYRING_BACKEND."
        )
    if issubclass(kind, (KeyringLocked, InitError)):
        return "it is locked. Log in to the desktop, or unlock it, and retry."
    if issubclass(kind, ImportError):
        return (
            "the backend that PYTHON_KEYRING_BACKEND or keyringrc.cfg names cannot be loaded; "
            "install it, or correct the name."
        )
    return (
        "it failed. Unlock it and retry; if it accepts only short values, lower the option "
        "longest. `python -m keyring diagnose` shows which backend is used."
    )
