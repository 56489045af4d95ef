"""Fingerprints of settings, used as names of tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

#: Shorter secrets, such as passwords, could be guessed from a plain hash.
_GUESSABLE = 32
_ROUNDS = 100_000


def fingerprint(facts: Mapping[str, Any], secret: frozenset[str] = frozenset()) -> str:
    """Return the SHA-256 of names and values, each with its length, as 64 hex digits.

    Different mappings of texts, numbers, lists and mappings give different input to the hash, so
    two tenants never share a key. The order of names is irrelevant; the order of a list matters.

    Args:
        facts: Names to values.
        secret: Names of secret values, at any depth. Short values are stretched, so that the
            fingerprint does not help to guess passwords.
    """
    return hashlib.sha256(_bytes(facts, secret, "")).hexdigest()


def _bytes(value: Any, secret: frozenset[str], name: str) -> bytes:
    if value is None:
        return _framed(b"n", b"")
    if isinstance(value, Mapping):
        members = sorted(
            _framed(b"k", _bytes(key, frozenset(), "")) + _bytes(each, secret, str(key))
            for key, each in value.items()
        )
        return _framed(b"m", b"".join(members))
    if isinstance(value, (set, frozenset)):
        return _framed(b"l", b"".join(sorted(_bytes(each, secret, name) for each in value)))
    if isinstance(value, (list, tuple)):
        return _framed(b"l", b"".join(_bytes(each, secret, name) for each in value))
    text = str(value).encode("utf-8", "surrogatepass")
    kind = _framed(b"t", type(value).__name__.encode())
    if name in secret and len(text) < _GUESSABLE:
        return _framed(b"h", hashlib.pbkdf2_hmac("sha256", kind + text, b"grantway", _ROUNDS))
    return _framed(b"v", kind + text)


def _framed(kind: bytes, content: bytes) -> bytes:
    return kind + str(len(content)).encode() + b":" + content
