"""Generate and hash tokens, codes and identifiers."""

from __future__ import annotations

import hashlib
import re
import secrets

#: Consonants only, so that codes form no words and are easy to read (RFC 8628 section 6.1).
USER_CODE_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
USER_CODE_LENGTH = 8

_FAMILY = re.compile(r"gw[a-z]_([0-9a-f]{32})_")
_DIGEST_SIZE = hashlib.sha256().digest_size


def new_secret(prefix: str) -> str:
    """Return a new token, code or client secret with 256 random bits.

    Args:
        prefix: Identifies the kind of secret, so that secret scanners recognise it.
    """
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def new_family_secret(prefix: str, family_id: str) -> str:
    """Return a new token with 256 random bits that contains its family id.

    The family id is not secret. It keeps the rows of a family next to each other in the database,
    so that a refresh changes one page of a large table.

    Args:
        prefix: Identifies the kind of token, in three letters.
        family_id: An identifier from ``new_id``.
    """
    return f"{prefix}_{family_id}_{secrets.token_urlsafe(32)}"


def new_id() -> str:
    """Return a new identifier with 128 random bits, which is not secret."""
    return secrets.token_hex(16)


def digest(secret: str) -> bytes:
    """Return the SHA-256 digest under which a secret is stored.

    A slow hash is not needed: secrets have at least 128 random bits, and guesses of the short-lived
    user codes are limited.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def family_digest(token: str) -> bytes:
    """Return the digest of a token, prefixed with its family id.

    A token that ``new_family_secret`` did not generate gets a digest that matches no row.
    """
    named = _FAMILY.match(token)
    return (bytes.fromhex(named[1]) if named else b"") + digest(token)


def digests_of_family(family_id: str) -> tuple[bytes, bytes]:
    """Return the lowest and the highest possible digest of the family's tokens."""
    family = bytes.fromhex(family_id)
    return family + b"\x00" * _DIGEST_SIZE, family + b"\xff" * _DIGEST_SIZE


def new_user_code() -> str:
    """Return a new user code without its hyphen."""
    return "".join(secrets.choice(USER_CODE_ALPHABET) for _ in range(USER_CODE_LENGTH))


def plain_user_code(typed: str) -> str:
    """Normalise a typed user code: ignore case, hyphens, spaces and other punctuation."""
    return "".join(each for each in typed.upper() if "A" <= each <= "Z" or "0" <= each <= "9")


def shown_user_code(plain: str) -> str:
    """Format a user code for display: ``WDJB-MJHT``."""
    return f"{plain[:4]}-{plain[4:]}"
