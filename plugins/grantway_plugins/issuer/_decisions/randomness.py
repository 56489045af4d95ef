"""Generate and hash tokens, codes and identifiers."""

from __future__ import annotations

import hashlib
import re
import secrets

#: No vowels, so no words; no letters that look alike (RFC 8628 section 6.1).
USER_CODE_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
USER_CODE_LENGTH = 8

_FAMILY = re.compile(r"gw[a-z]_([0-9a-f]{32})_")
_DIGEST_SIZE = hashlib.sha256().digest_size


def new_secret(prefix: str) -> str:
    """Make a token, code or client secret of 256 random bits.

    Args:
        prefix: Says what it is, so that a scanner for leaked secrets can find it.
    """
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def new_family_secret(prefix: str, family_id: str) -> str:
    """Make a token of 256 random bits that names its family.

    The name is no secret. By it the rows of a family lie side by side, so that a refresh touches
    one place of a large table and not three.

    Args:
        prefix: Says what it is, in three letters.
        family_id: Made by ``new_id``.
    """
    return f"{prefix}_{family_id}_{secrets.token_urlsafe(32)}"


def new_id() -> str:
    """Make an identifier that is no secret: 128 random bits."""
    return secrets.token_hex(16)


def digest(secret: str) -> bytes:
    """Return the SHA-256 digest under which a secret is stored.

    Every secret here has at least 128 random bits of our own, so a slow hash would protect
    nothing; the short-lived user code is guarded by throttling.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def family_digest(token: str) -> bytes:
    """The digest of a token, behind the family that the token names.

    What was not made by ``new_family_secret`` gets a digest that no row has.
    """
    named = _FAMILY.match(token)
    return (bytes.fromhex(named[1]) if named else b"") + digest(token)


def digests_of_family(family_id: str) -> tuple[bytes, bytes]:
    """The lowest and the highest digest that a token of this family can have."""
    family = bytes.fromhex(family_id)
    return family + b"\x00" * _DIGEST_SIZE, family + b"\xff" * _DIGEST_SIZE


def new_user_code() -> str:
    """Make a user code, without its hyphen."""
    return "".join(secrets.choice(USER_CODE_ALPHABET) for _ in range(USER_CODE_LENGTH))


def plain_user_code(typed: str) -> str:
    """Drop what a person may add or leave out: case, hyphens, spaces and other punctuation."""
    return "".join(each for each in typed.upper() if "A" <= each <= "Z" or "0" <= each <= "9")


def shown_user_code(plain: str) -> str:
    """Format a user code for display: ``WDJB-MJHT``."""
    return f"{plain[:4]}-{plain[4:]}"
