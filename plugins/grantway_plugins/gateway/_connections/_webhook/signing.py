"""Signatures of webhooks (Standard Webhooks, version 1: HMAC-SHA256)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from grantway._exceptions import ConfigurationError
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._secrets.masked import Masked

#: Prefix of secrets in their usual form; optional, as in the libraries of receivers.
_PREFIX = "whsec_"
#: Lengths of a secret in bytes that the specification allows.
_SHORTEST, _LONGEST = 24, 64
_RULE = (
    f"must be {_SHORTEST} to {_LONGEST} random bytes as base64, with or without {_PREFIX} before "
    "it; create one with: openssl rand -base64 32"
)


@hides_arguments
def parse_secrets(text: str) -> Masked[tuple[bytes, ...]]:
    """Return the keys in a secret.

    Text that is not base64 is rejected, because receivers' libraries decode the secret and would
    compute other signatures.

    Args:
        text: One secret, or several separated by commas. A message is signed with all of them, so
            that receivers can change to a new one at any time.

    Raises:
        ConfigurationError: A secret is not valid.
    """
    keys = Masked(tuple(_decoded(Masked(each.strip())) for each in text.split(",")))
    if all(_SHORTEST <= len(key) <= _LONGEST for key in keys.value):
        return keys
    raise ConfigurationError(f"secret: {_RULE}", errors={"secret": [_RULE]})


def signed_headers(
    message_id: str, at: float, body: bytes, keys: Masked[tuple[bytes, ...]]
) -> dict[str, str]:
    """Return the headers with the id, time and signatures of a message.

    Args:
        message_id: Identifier of the message, the same for each attempt.
        at: Time of the attempt in seconds since the epoch. Receivers reject old times.
        body: The body.
        keys: The keys to sign with.
    """
    timestamp = str(int(at))
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    signatures = (
        base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys.value
    )
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }


def _decoded(text: Masked[str]) -> bytes:
    """Return the bytes of a base64 text, or no bytes if it is not one."""
    bare = Masked(text.value.removeprefix(_PREFIX).rstrip("="))
    try:
        return base64.b64decode(bare.value + "=" * (-len(bare.value) % 4), validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return b""
