"""Remove secrets from text before it is displayed or logged."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"
#: Names of secret parameters. Names of their types, such as ``token_type``, are excluded.
SECRET_NAME = re.compile(
    "(?!.*(_type|_type_hint|_method)$)(.*(secret|password|token|assertion|code|key)|state$)",
    re.IGNORECASE,
)
_EXCERPT = 160
_LINE = 500
_READ = 4096
# Masking shorter values would make text unreadable, and they are hardly secret.
_SHORTEST = 4

_JSON_VALUE = re.compile(r'("(?:[^"\\]|\\.)*"\s*:\s*)"(?:[^"\\]|\\.)*+(?:"|\\?$)')
_JSON_STRING = re.compile(r'("(?:[^"\\]|\\.)*+"\s*:)|"(?:[^"\\]|\\.)*+(?:"|\\?$)')
_FORM_VALUE = re.compile(r"([A-Za-z_][\w.-]*)=([^&\s<>\"']+)")
_LAST_RUN = re.compile(r"\S+\Z")
_LONG_RUN = re.compile(r"[A-Za-z0-9_\-.~+/=]{20,}")
# Terminal escape sequences (ECMA-48), with ESC or their 8-bit introducers: control sequences such
# as colours; strings such as window titles and links, up to their terminator; the short ones.
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]?"
)
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*(?:>|$)", re.IGNORECASE | re.DOTALL)


def texts(value: object) -> list[str]:
    """Return a parameter's value as a list of strings."""
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)]


def harmless(text: str) -> str:
    """Return text without characters that control a terminal; lines and spaces are kept.

    Removes escape sequences, and characters that are invisible or change the direction of text
    (Unicode category Cf). Other control characters become spaces.
    """
    if text.isascii() and text.isprintable():
        return text
    kept = (c for c in _ESCAPE.sub("", text) if unicodedata.category(c) != "Cf")
    return "".join(c if c.isprintable() or c == "\n" else " " for c in kept)


def visible(text: str) -> str:
    """Return text as one line without control characters; see ``harmless``."""
    return " ".join(harmless(text).split())


def printable(text: str) -> str:
    """Return a provider's text as one short line for terminals and logs."""
    line = visible(text)
    return line if len(line) <= _LINE else f"{line[: _LINE - 3]}..."


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Return text with all secrets masked: plain, form- or percent-encoded, or escaped in JSON."""
    forms = {form for value in secrets for form in forms_of(value)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


def forms_of(value: str) -> list[str]:
    """Return the encodings of a secret in a response; none if it is too short to mask."""
    forms = (
        value,
        quote_plus(value, errors="replace"),
        quote(value, errors="replace"),
        quote(value, safe="", errors="replace"),
        value.replace("/", "\\/"),
    )
    return [form for form in forms if len(form) >= _SHORTEST]


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
