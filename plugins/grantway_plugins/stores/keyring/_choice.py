"""Which key ring is used, and what to do when it does not work."""

from __future__ import annotations

import os

import keyring.core
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import InitError, KeyringLocked, NoKeyringError


class NotRecommendedError(Exception):
    """The key ring is one that keyring takes only when there is no other."""


def trusted() -> KeyringBackend:
    """The key ring that keyring finds, or was told to use.

    Raises:
        NotRecommendedError: it found one that is not recommended, and was told nothing.
        Exception: whatever the one that it was told to use raises.
    """
    found = keyring.core.get_keyring()
    if not _recommended(found):
        raise NotRecommendedError
    return found


def _recommended(ring: KeyringBackend) -> bool:
    """Whether it is what a person understands by a key ring, or has chosen by name.

    With ``keyrings.alt`` installed and no desktop, keyring falls back to a file of plain text.
    """
    first = next(iter(getattr(ring, "backends", ())), ring)  # of a chain, what is written to
    return (
        isinstance(ring, NoKeyring)  # which raises with what to do
        or keyring.core.recommended(first)
        or "PYTHON_KEYRING_BACKEND" in os.environ
        or keyring.core.load_config() is not None
    )


def advice(kind: type[Exception]) -> str:
    """What a person can do about an error of a key ring."""
    if issubclass(kind, NoKeyringError):
        return (
            "there is none on this machine. Start one (GNOME Keyring, KWallet), install a "
            "backend for keyring, or use another store, such as 'encrypted' over 'file'."
        )
    if issubclass(kind, NotRecommendedError):
        return (
            "keyring found no key ring of the operating system, and does not recommend this one. "
            "If it is to be used, name it in PYTHON_KEYRING_BACKEND."
        )
    if issubclass(kind, (KeyringLocked, InitError)):
        return "it is locked. Log in to the desktop, or unlock it, and try again."
    if issubclass(kind, ImportError):
        return (
            "the backend that PYTHON_KEYRING_BACKEND or keyringrc.cfg names cannot be loaded; "
            "install it, or correct the name."
        )
    return (
        "it refused. Unlock it, and try again; where it takes short values only, give a smaller "
        "longest. `python -m keyring diagnose` tells which one is used."
    )
