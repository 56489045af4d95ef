"""Excerpts of invalid responses, without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .redaction import MASK, scrub, visible

_EXCERPT = 160
_READ = 4096

_JSON_VALUE = re.compile(r'("(?:[^"\\]|\\.)*"\s*:\s*)"(?:[^"\\]|\\.)*+(?:"|\\?$)')
_JSON_STRING = re.compile(r'("(?:[^"\\]|\\.)*+"\s*:)|"(?:[^"\\]|\\.)*+(?:"|\\?$)')
_FORM_VALUE = re.compile(r"([A-Za-z_][\w.-]*)=([^&\s<>\"']+)")
_LAST_RUN = re.compile(r"\S+\Z")
_LONG_RUN = re.compile(r"[A-Za-z0-9_\-.~+/=]{20,}")
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*(?:>|$)", re.IGNORECASE | re.DOTALL)


def excerpt(body: bytes, secrets: Iterable[str] = ()) -> str:
    """Return the start of an invalid response for display, at most 160 characters.

    Removes markup, and masks the values of JSON members and form fields, long words that could be
    tokens, and all secrets that were sent.
    """
    text = scrub(body.decode("utf-8", "replace").lstrip("\ufeff"), secrets)
    if len(text) > _READ:
        # The truncated last word may be the start of a token.
        text = _LAST_RUN.sub("", text[:_READ])
    if "<" in text:
        text = _TAG.sub(" ", text)
    text = _JSON_VALUE.sub(rf'\1"{MASK}"', text)
    if text.lstrip()[:1] in ("[", "{"):
        # Mask the items of lists as well, but keep names.
        text = _JSON_STRING.sub(lambda found: found[1] or f'"{MASK}"', text)
    text = _FORM_VALUE.sub(rf"\1={MASK}", text)
    text = _LONG_RUN.sub(MASK, text)
    text = visible(text)
    return text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 3]}..."
