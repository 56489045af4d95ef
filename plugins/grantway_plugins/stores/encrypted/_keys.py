"""The keys that stored tokens are encrypted with: made, read, and put in the key ring."""

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

#: Bytes of a key: AES-256.
LENGTH = 32

_ENTRY = "encryption-keys"
_MAKE = (
    "make one with: "
    "python -c 'from grantway_plugins.stores import generate_key; print(generate_key())'"
)

#: Keys, the newest first; asked again when a token is met that none of them opens.
KeySource = Callable[[], Masked[tuple[bytes, ...]]]


def generate_key() -> str:
    """A new random key of 256 bits, as base64url text of 44 characters."""
    return base64.urlsafe_b64encode(secrets.token_bytes(LENGTH)).decode()


def given(
    keys: Masked[bytes | str | Sequence[bytes | str]], field: str = "key", where: str = ""
) -> KeySource:
    """Keys that the caller has at hand.

    Args:
        keys: The keys, the newest first.
        field: The setting that gives them, for errors.
        where: Where that setting reads them, for errors.

    Raises:
        ConfigurationError: one is not a key.
    """
    held = _parsed(keys, field, where)
    return lambda: held


def from_environment(name: str) -> KeySource:
    """Keys in an environment variable, the newest first, with commas between them.

    Raises:
        ConfigurationError: the variable is not set, or holds no key.
    """
    if not os.environ.get(name, "").strip():
        raise ConfigurationError(
            f"key_env: the environment variable {name} is not set; {_MAKE}",
            errors={"key_env": ["must name an environment variable that is set"]},
        )
    held = _parsed(Masked(os.environ[name]), "key_env", f"environment variable {name}")
    return lambda: held


def from_key_ring(service: str) -> KeySource:
    """Keys in the operating system's key ring, where the first one is made when there is none.

    Raises:
        ConfigurationError: the key ring's libraries are not installed.
        StoreUnreadableError: the key ring cannot be used, or holds something else there.
    """
    ring = _ring(service)

    def read() -> Masked[tuple[bytes, ...]]:
        # Within the lock, so that two processes that begin at once agree on one key.
        with ring.alone():
            text = Masked(ring.read(_ENTRY) or "")
            if not text.value:
                text = Masked(generate_key())
                ring.write(_ENTRY, text)
        return _in_ring(text, ring)

    return read


def rotate_key_in_ring(service: str = "grantway") -> None:
    """Put a new key before those in the key ring.

    Programs that begin from now on encrypt with it, each token when it is next saved; those that
    run already take it up when they meet a token of it. The older keys stay, for what they have
    encrypted.

    Raises:
        ConfigurationError: the key ring's libraries are not installed.
        StoreUnreadableError: the key ring cannot be used, or holds something else there.
    """
    ring = _ring(service)
    with ring.alone():
        text = Masked(ring.read(_ENTRY) or "")
        if text.value:
            _in_ring(text, ring)
        ring.write(_ENTRY, Masked(",".join(filter(None, [generate_key(), text.value]))))


def _ring(service: str) -> RingText:
    try:
        from grantway_plugins.stores.keyring._text import (  # noqa: PLC0415 - its libraries are another extra's
            RingText,
        )
    except ModuleNotFoundError as missing:
        raise ConfigurationError(
            f"key_ring: needs {missing.name}; install it with: pip install 'grantway[keyring]'",
            errors={"key_ring": ["needs the extra 'keyring'"]},
        ) from None
    return RingText(service)


def _in_ring(text: Masked[str], ring: RingText) -> Masked[tuple[bytes, ...]]:
    try:
        return _parsed(text, "key_ring")
    except ConfigurationError as error:
        wrong = error.message
    raise StoreUnreadableError(
        f"{ring}, entry {_ENTRY}: {wrong} Nothing was changed; put the right text back, or delete "
        "the entry, and log in again."
    )


def _parsed(keys: Masked[Any], field: str, where: str = "") -> Masked[tuple[bytes, ...]]:
    held = Masked(tuple(_split(keys)))
    if held.value and all(len(key) == LENGTH for key in held.value):
        return held
    raise ConfigurationError(
        f"{where or field}: a key is {LENGTH} bytes, or their base64 text; several stand with "
        f"commas between them. To {_MAKE}",
        errors={field: [f"must be {LENGTH} bytes, or their base64 text"]},
    )


def _split(keys: Masked[Any]) -> list[bytes]:
    """Every key as bytes; what is none is empty."""
    if isinstance(keys.value, bytes):
        return [keys.value]
    if isinstance(keys.value, str):
        return [_decoded(Masked(each.strip())) for each in keys.value.split(",")]
    if isinstance(keys.value, Sequence):
        return [key for each in keys.value for key in _split(Masked(each))]
    return [b""]


def _decoded(text: Masked[str]) -> bytes:
    """Base64 in either alphabet, with or without its padding."""
    bare = Masked(text.value.rstrip("=").translate(str.maketrans("-_", "+/")))
    try:
        return base64.b64decode(bare.value + "=" * (-len(bare.value) % 4), validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return b""
