"""Paths, and the other paths that a server may read them as (RFC 3986 section 6.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

from ._refusal import RequestRefusedError

#: Anything else needs a closer look.
_UNUSUAL = re.compile(r"[^A-Za-z0-9/._~!$&'()*+,=:@-]|//|/\.")
_ALLOWED = re.compile(r"/(?:[A-Za-z0-9/._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
#: Empty and dot segments; some servers drop parameters, a query or a fragment before they look.
_STEP = re.compile(r"//|/\.{1,2}(?=[/;?#]|$)")
#: A backslash some take for a slash, control characters, dot segments that a decoded query would
#: end, and slashes and dots in an overlong UTF-8 form.
_NEVER = re.compile(
    r"[\\\x00-\x1f\x7f]|/\.{1,2}[?#]|\xc0|\xc1|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]"
    r"|\xf8[\x80-\x87]|\xfc[\x80-\x83]"
)
#: Slashes, dots and what is never allowed, encoded twice or more often.
_TWICE = re.compile(r"%25(?:25)*(?:2[EF]|5C|[01][0-9A-F]|7F)", re.IGNORECASE)
#: Parameters of a segment, and what is a query or a fragment once a server has decoded it.
_PARAMETERS = re.compile(r"(?:;|%(?:25)*3B)[^/]*", re.IGNORECASE)
_QUERY = re.compile(r"%(?:25)*(?:3F|23).*", re.IGNORECASE)
_SEVERAL_READINGS = re.compile(f"{_PARAMETERS.pattern}|{_QUERY.pattern}", re.IGNORECASE)
_SLASHES = re.compile(r"//+")
#: Nobody encodes a path more often by intent.
_MOST_DECODINGS = 4


def normal_path(path: str) -> str:
    """Return a path with no escape that it does not need.

    Args:
        path: Percent-encoded, without a query.

    Raises:
        RequestRefusedError: it is no path, or two servers could take it for two paths. It has dot
            segments, empty segments, slashes or control characters, or has them behind escapes.
    """
    if path[:1] == "/" and not _UNUSUAL.search(path):
        return path
    normal = _normal(path)
    slashes = normal.count("/")
    for text in (normal, *_decodings(normal)):
        if text.count("/") != slashes or _STEP.search(text) or _NEVER.search(text):
            raise ambiguous()
    return normal


def has_one_reading(path: str) -> bool:
    """Return whether all servers read a path alike.

    Args:
        path: In its normal form.
    """
    return ("%" not in path and ";" not in path) or not _SEVERAL_READINGS.search(path)


def readings(path: str) -> frozenset[str]:
    """Return every path that a server may read this one as, each percent-encoded.

    Servers differ in what they do to encoded slashes, empty segments, dot segments, parameters, and
    an encoded ``;``, ``?`` or ``#``.

    Args:
        path: Percent-encoded, without a query.

    Raises:
        RequestRefusedError: it is no path, or begins with two slashes, has backslashes or control
            characters, or hides slashes or dot segments by encoding them twice.
    """
    normal = _normal(path)
    plain, *deeper = _decodings(normal) or [normal]
    if _NEVER.search(plain) or "//" in {path[:2], normal[:2], plain[:2]}:
        raise ambiguous()
    for text in deeper:
        steps = [len(_STEP.findall(each)) for each in (text, plain)]
        if _NEVER.search(text) or text.count("/") != plain.count("/") or steps[0] != steps[1]:
            raise ambiguous()
    found = {path, normal, encoded(plain.encode("latin-1"))}
    found |= {_QUERY.sub("", each) for each in found}
    found |= {_PARAMETERS.sub("", each) for each in found}
    found |= {_SLASHES.sub("/", each) for each in found}
    found |= {_without_dots(each) for each in found}
    return frozenset(found | {_SLASHES.sub("/", each) for each in found})


def stays_under(path: str, prefix: str) -> bool:
    """Return whether a path is below a prefix, and no dot segment climbs above it on the way.

    Args:
        path: One of the ``readings``.
        prefix: Without a slash at its end; empty for the root.
    """
    if path != prefix and not path.startswith(f"{prefix}/"):
        return False
    depth = 0
    for segment in path[len(prefix) :].split("/"):
        if segment == "..":
            depth -= 1
        elif segment not in {"", "."}:
            depth += 1
        if depth < 0:
            return False
    return True


def ambiguous() -> RequestRefusedError:
    """Return the error for a path that servers read in two ways."""
    return RequestRefusedError(
        "The path is ambiguous: send it without empty segments, dot segments and encoded slashes"
    )


def encoded(path: str | bytes) -> str:
    """Return a decoded path in the form that ``normal_path`` reads."""
    return quote(path, safe="/~!$&'()*+,;=:@") or "/"


def _normal(path: str) -> str:
    if not _ALLOWED.fullmatch(path):
        raise RequestRefusedError(
            "The path is invalid, or has characters that must be percent-encoded"
        )
    normal = _ESCAPE.sub(_plain, path)
    if _TWICE.search(normal):
        raise ambiguous()
    return normal


def _decodings(path: str) -> list[str]:
    """Return the path decoded once, twice and so on, until nothing changes."""
    return list(_each_decoding(path))


def _each_decoding(path: str) -> Iterator[str]:
    for _ in range(_MOST_DECODINGS):
        decoded = unquote(path, "latin-1")
        if decoded == path:
            return
        yield decoded
        path = decoded
    raise ambiguous()


def _without_dots(path: str) -> str:
    """Remove dot segments (RFC 3986 section 5.2.4)."""
    kept: list[str] = []
    *segments, last = path.split("/")[1:]
    for segment in (*segments, last):
        if segment == "..":
            kept[-1:] = []
        elif segment != ".":
            kept.append(segment)
    if last in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def _plain(escape: re.Match[str]) -> str:
    character = chr(int(escape[0][1:], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()
