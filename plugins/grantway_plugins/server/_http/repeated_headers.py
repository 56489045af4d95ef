"""Headers that may occur only once: with two values, programs disagree about which one counts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.request import parse_http_list

_ONCE = frozenset({b"authorization", b"content-length", b"content-type"})
#: A scheme and credentials (RFC 9110 section 11.4); a scheme's parameter has a ``=`` instead.
_CREDENTIALS = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]+[^\s=]")


def repeated_header(headers: Iterable[tuple[bytes, str]]) -> str | None:
    """Return the name of a header that is repeated but must not be, or None.

    Args:
        headers: Pairs with lower-case names.
    """
    seen = set()
    for name, value in headers:
        if name in _ONCE:
            if name in seen or (name == b"authorization" and joins_credentials(value)):
                return name.decode()
            seen.add(name)
    return None


def joins_credentials(authorization: str) -> bool:
    """Return whether a server joined several Authorization headers, as WSGI servers do."""
    if "," not in authorization:
        return False
    return any(_CREDENTIALS.match(part) for part in parse_http_list(authorization)[1:])
