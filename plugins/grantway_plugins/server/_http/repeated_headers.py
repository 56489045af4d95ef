"""Detect duplicate headers, of which different programs would use different values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.request import parse_http_list

_ONCE = frozenset({b"authorization", b"content-length", b"content-type"})
#: An authentication scheme followed by credentials (RFC 9110 section 11.4).
_CREDENTIALS = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]+[^\s=]")


def repeated_header(headers: Iterable[tuple[bytes, str]]) -> str | None:
    """Return the name of a duplicate header that must not be repeated, or None.

    Args:
        headers: Headers with lower-case names.
    """
    seen = set()
    for name, value in headers:
        if name in _ONCE:
            if name in seen or (name == b"authorization" and joins_credentials(value)):
                return name.decode()
            seen.add(name)
    return None


def joins_credentials(authorization: str) -> bool:
    """Return whether the value was joined from several headers, as WSGI servers do."""
    if "," not in authorization:
        return False
    return any(_CREDENTIALS.match(part) for part in parse_http_list(authorization)[1:])
