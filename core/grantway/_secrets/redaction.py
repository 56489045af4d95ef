"""Remove secrets from text before it is displayed or logged."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"
#: Names of secret parameters. Names of their types, such as ``token_type``, are excluded.
SECRET_NAME = re.compile(
    "(?!.*(_type|_type_hint|_method)$)(.*(secret|password|token|assertion|code|key)|state$)",
    re.IGNORECASE,
)
_LINE = 500
#: Characters that ``printable`` reads. Finding the end of escape sequences in more would be slow.
_READ = 4000
# Masking shorter values would make text unreadable, and they are hardly secret.
_SHORTEST = 4

# Terminal escape sequences (ECMA-48), with ESC or their 8-bit introducers: control sequences such
# as colours; strings such as window titles and links, up to their terminator; the short ones.
_ESCAPE = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]?"
)


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
    import unicodedata  # noqa: PLC0415 - few texts need it

    kept = (c for c in re.sub(_ESCAPE, "", text) if unicodedata.category(c) != "Cf")
    return "".join(c if c.isprintable() or c == "\n" else " " for c in kept)


def visible(text: str) -> str:
    """Return text as one line without control characters; see ``harmless``."""
    return " ".join(harmless(text).split())


def printable(text: str) -> str:
    """Return a provider's text as one short line for terminals and logs."""
    line = visible(text[:_READ])
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
