"""Paths that every reader reads in the same way (RFC 3986 section 6.2)."""

from __future__ import annotations

import re
from urllib.parse import quote

from .refusal import RequestRefusedError

#: All that can make a path mean something else than what it looks like.
_UNUSUAL = re.compile(r"[^A-Za-z0-9/._~!$&'()*+,=:@-]|//|/\.")
#: As ``_UNUSUAL``, after what is harmless was looked at.
_WRONG = re.compile(
    r"//"  # an empty segment: some drop it, and some start a host with it
    r"|/\.{1,2}(?:[/;]|$)"  # some drop parameters before they look for dots
    r"|%(?:2F|5C|[01][0-9A-F]|7F)"  # a slash, or what ends a text somewhere
    r"|%25(?:25)*(?:2[ef]|5c|0[0-9a-f])",  # the same for those who decode twice
    re.IGNORECASE,
)
_ALLOWED = re.compile(r"/(?:[A-Za-z0-9/._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")


def normal_path(path: str) -> str:
    """A path with no escape that it does not need.

    Args:
        path: Percent-encoded, without a query.

    Raises:
        RequestRefusedError: two readers could take it for two paths. It has dot segments, empty
            segments, slashes or control characters behind escapes, or is no path.
    """
    if path[:1] == "/" and not _UNUSUAL.search(path):
        return path
    if not _ALLOWED.fullmatch(path):
        raise RequestRefusedError("The path is not one, or holds what must be percent-encoded")
    path = _ESCAPE.sub(_plain, path)
    if _WRONG.search(path):
        raise RequestRefusedError(
            "The path can be read in two ways: send it without empty segments, dot segments and "
            "encoded slashes"
        )
    return path


def encoded(path: str | bytes) -> str:
    """A decoded path in the form that ``normal_path`` reads; what stood for itself stays so."""
    return quote(path, safe="/~!$&'()*+,;=:@") or "/"


def _plain(escape: re.Match[str]) -> str:
    character = chr(int(escape[0][1:], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()
