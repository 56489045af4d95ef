"""Encryption keys for stored tokens: generating, reading and rotating them."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError, StoreUnreadableError
from grantway._secrets.masked import Masked

if TYPE_CHECKING:
    from grantway_plugins.stores.keyring._text import RingText

#: Length of a key in bytes (AES-256).
LENGTH = 32

_ENTRY = "encryption-keys"
_GENERATE = (
    "generate one with: "
    "python -c 'from grantway_plugins.stores import generate_key; print(generate_key())'"
)

#: Returns the keys, newest first. Called again for a token that no known key decrypts.
KeySource = Callable[[], Masked[tuple[bytes, ...]]]


def generate_key() -> str:
    """Return a new random 256-bit key as 44 characters of base64url text."""
    return base64.urlsafe_b64encode(secrets.token_bytes(LENGTH)).decode()


def from_value(
    keys: Masked[bytes | str | Sequence[bytes | str]], field: str = "key", where: str = ""
) -> KeySource:
    """Return a source of the keys that the caller passes.

    Args:
        keys: The keys, newest first.
        field: The setting that contains them, for errors.
        where: The place that the setting reads them from, for errors.

    Raises:
        ConfigurationError: A value is not a key.
    """
    parsed = _parse(keys, field, where)
    return lambda: parsed


def from_environment(name: str) -> KeySource:
    """Return a source of the comma-separated keys in an environment variable, newest first.

    Raises:
        ConfigurationError: The variable is not set, or a value in it is not a key.
    """
    if not os.environ.get(name, "").strip():
        raise ConfigurationError(
            f"key_env: the environment variable {name} is not set; {_GENERATE}",
            errors={"key_env": ["must name an environment variable that is set"]},
        )
    return from_value(Masked(os.environ[name]), "key_env", f"environment variable {name}")


def from_key_ring(service: str) -> KeySource:
    """Return a source of the keys in the operating system's key ring.

    The source generates and stores a first key if there is none.

    Raises:
        ConfigurationError: The key ring's libraries are not installed.
        StoreUnreadableError: The key ring cannot be used, or its entry is not a list of keys.
    """
    ring = _ring(service)

    def read() -> Masked[tuple[bytes, ...]]:
        # Locked, so that two processes that start at once agree on one key.
        with ring.exclusive():
            text = Masked(ring.read(_ENTRY) or "")
            if not text.value:
                text = Masked(generate_key())
                ring.write(_ENTRY, text)
        return _parse_entry(text, ring)

    return read


def rotate_key_in_ring(service: str = "grantway") -> None:
    """Generate a key and put it before the existing keys in the key ring.

    Programs started from now on encrypt with the new key, each token when it is next saved.
    Running programs start to use it when they load a token encrypted with it. The older keys stay
    in the key ring to decrypt the tokens encrypted with them.

    Raises:
        ConfigurationError: The key ring's libraries are not installed.
        StoreUnreadableError: The key ring cannot be used, or its entry is not a list of keys.
    """
    ring = _ring(service)
    with ring.exclusive():
        text = Masked(ring.read(_ENTRY) or "")
        if text.value:
            _parse_entry(text, ring)
        ring.write(_ENTRY, Masked(",".join(filter(None, [generate_key(), text.value]))))


def _ring(service: str) -> RingText:
    try:
        from grantway_plugins.stores.keyring._text import (  # noqa: PLC0415 - needs another extra
            RingText,
        )
    except ModuleNotFoundError as missing:
        raise ConfigurationError(
            f"key_ring: needs {missing.name}; install it with: pip install 'grantway[keyring]'",
            errors={"key_ring": ["needs the extra 'keyring'"]},
        ) from None
    return RingText(service)


def _parse_entry(text: Masked[str], ring: RingText) -> Masked[tuple[bytes, ...]]:
    try:
        return _parse(text, "key_ring")
    except ConfigurationError as error:
        problem = error.message
    raise StoreUnreadableError(
        f"{ring}, entry {_ENTRY}: {problem} Nothing was changed; restore the entry, or delete it "
        "and log in again."
    )


def _parse(keys: Masked[Any], field: str, where: str = "") -> Masked[tuple[bytes, ...]]:
    parsed = Masked(tuple(_split(keys)))
    if parsed.value and all(len(key) == LENGTH for key in parsed.value):
        return parsed
    length = f"must be {LENGTH} bytes, or their base64 text"
    raise ConfigurationError(
        f"{where or field}: a key {length}; separate several keys with commas. If you have no "
        f"key, {_GENERATE}",
        errors={field: [f"{length}; create one with: openssl rand -base64 {LENGTH}"]},
    )


def _split(keys: Masked[Any]) -> list[bytes]:
    """Return every key as bytes, and empty bytes for each value that is not a key."""
    if isinstance(keys.value, bytes):
        return [keys.value]
    if isinstance(keys.value, str):
        return [_decoded(Masked(each.strip())) for each in keys.value.split(",")]
    if isinstance(keys.value, Sequence):
        return [key for each in keys.value for key in _split(Masked(each))]
    return [b""]


def _decoded(text: Masked[str]) -> bytes:
    """Decode base64 in either alphabet, with or without padding; empty bytes if invalid."""
    bare = Masked(text.value.rstrip("=").translate(str.maketrans("-_", "+/")))
    try:
        return base64.b64decode(bare.value + "=" * (-len(bare.value) % 4), validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return b""
