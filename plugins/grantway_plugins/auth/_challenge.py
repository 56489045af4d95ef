"""Challenges in ``WWW-Authenticate`` (RFC 9110 section 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.request import parse_http_list

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
#: The text between two commas: a scheme, a parameter, or a scheme and its first parameter.
_PART = re.compile(
    rf"(?:(?P<scheme>{_WORD})(?:[ \t]+(?![ \t=])|$))?(?:(?P<name>{_WORD})[ \t]*=(?P<value>.*))?"
)


def errors_of(challenges: str, schemes: Collection[str]) -> set[str]:
    """Return the ``error`` codes in the challenges of the given schemes (RFC 6750 section 3).

    Args:
        challenges: Value of the header. Repeated headers are joined by commas.
        schemes: Names of schemes in lower case.
    """
    found, ours = set(), False
    for part in parse_http_list(challenges):
        seen = _PART.match(part)
        if seen is None:
            continue
        if seen["scheme"]:
            ours = seen["scheme"].lower() in schemes
        if ours and (seen["name"] or "").lower() == "error":
            found.add(seen["value"].strip().strip('"'))
    return found
