"""Challenges in ``WWW-Authenticate`` (RFC 9110 section 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_WORD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]++")
_SEPARATORS = re.compile(r"[ \t,]*+")
#: A token68 ends the challenge; anything else after a scheme is a parameter.
_TOKEN68 = re.compile(r"[ \t]++([A-Za-z0-9\-._~+/]++=*+)(?=[ \t]*+(?:,|$))")
#: A closing quotation mark may be missing, and unquoted values may contain any visible character.
_VALUE = re.compile(r'[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*+)"?|([^\s,"]*+))', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_INVALID = re.compile(r"[^,]++")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a response.

    Attributes:
        scheme: The scheme in lower case, such as ``bearer``.
        parameters: The parameters, with names in lower case. Of a repeated one, the first.
        token68: The single value that some schemes have instead of parameters, or an empty string.
    """

    scheme: str
    parameters: Mapping[str, str]
    token68: str = ""


def parse_challenges(header: str) -> list[Challenge]:
    """Return the challenges of a response, in order.

    Invalid text never raises an error, because a resource's header must not break a request: the
    text up to the next comma is skipped.

    Args:
        header: Value of ``WWW-Authenticate``. Repeated headers are joined by commas.
    """
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    at, end = 0, len(header)
    while (at := _end(_SEPARATORS.match(header, at))) < end:
        word = _WORD.match(header, at)
        if word is None:
            at = _end(_INVALID.match(header, at))
            continue
        at = word.end()
        if found and (value := _VALUE.match(header, at)):
            quoted, plain = value.groups()
            text = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
            parameters.setdefault(word[0].lower(), text)
            at = value.end()
            continue
        token68 = _TOKEN68.match(header, at)
        parameters = {}
        found.append(Challenge(word[0].lower(), parameters, token68[1] if token68 else ""))
        at = at if token68 is None else token68.end()
    return found


def _end(match: re.Match[str] | None) -> int:
    assert match is not None  # both patterns match at every position where they are used
    return match.end()
