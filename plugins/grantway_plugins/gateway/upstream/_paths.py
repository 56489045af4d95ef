"""Normal form of paths, and the different readings of a path by servers (RFC 3986 section 6.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from grantway_plugins.server._http.raw_path import encoded

from ._rejection import RequestRejectedError

#: Matches a path that needs a closer check.
_UNUSUAL = re.compile(r"[^A-Za-z0-9/._~!$&'()*+,=:@-]|//|/\.")
_ALLOWED = re.compile(r"/(?:[A-Za-z0-9/._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
#: Empty and dot segments. Some servers remove parameters, query and fragment before this check.
_STEP = re.compile(r"//|/\.{1,2}(?=[/;?#]|$)")
#: Backslashes (a slash to some servers), control characters, dot segments before a decoded query,
#: and slashes and dots in an overlong UTF-8 form.
_NEVER = re.compile(
    r"[\\\x00-\x1f\x7f]|/\.{1,2}[?#]|\xc0|\xc1|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]"
    r"|\xf8[\x80-\x87]|\xfc[\x80-\x83]"
)
#: Slashes, dots and forbidden characters that are encoded more than once.
_TWICE = re.compile(r"%25(?:25)*(?:2[EF]|5C|[01][0-9A-F]|7F)", re.IGNORECASE)
#: Parameters of a segment, and a query or fragment whose delimiter is encoded.
_PARAMETERS = re.compile(r"(?:;|%(?:25)*3B)[^/]*", re.IGNORECASE)
_QUERY = re.compile(r"%(?:25)*(?:3F|23).*", re.IGNORECASE)
_SEVERAL_READINGS = re.compile(f"{_PARAMETERS.pattern}|{_QUERY.pattern}", re.IGNORECASE)
_SLASHES = re.compile(r"//+")
#: Paths that are encoded more often are rejected.
_MOST_DECODINGS = 4


def normal_path(path: str) -> str:
    """Return a path without unnecessary percent-encoding.

    Args:
        path: Percent-encoded path without a query.

    Raises:
        RequestRejectedError: It is not a path, or servers may read it differently: it has dot
            segments, empty segments, backslashes or control characters, encoded or not, or
            encoded slashes.
    """
    if path[:1] == "/" and not _UNUSUAL.search(path):
        return path
    normal = _normal(path)
    slashes = normal.count("/")
    for text in (normal, *_decodings(normal)):
        if text.count("/") != slashes or _STEP.search(text) or _NEVER.search(text):
            raise ambiguous_path()
    return normal


def has_one_reading(path: str) -> bool:
    """Return whether all servers read a path alike.

    Args:
        path: A path in its normal form.
    """
    return ("%" not in path and ";" not in path) or not _SEVERAL_READINGS.search(path)


def readings(path: str) -> frozenset[str]:
    """Return every path as which a server may read this one, each percent-encoded.

    Servers handle encoded slashes, empty segments, dot segments, parameters and an encoded ``;``,
    ``?`` or ``#`` differently.

    Args:
        path: Percent-encoded path without a query.

    Raises:
        RequestRejectedError: It is not a path, begins with two slashes, has backslashes or control
            characters, or hides slashes or dot segments by encoding them twice.
    """
    normal = _normal(path)
    plain, *deeper = _decodings(normal) or [normal]
    if _NEVER.search(plain) or "//" in {path[:2], normal[:2], plain[:2]}:
        raise ambiguous_path()
    for text in deeper:
        steps = [len(_STEP.findall(each)) for each in (text, plain)]
        if _NEVER.search(text) or text.count("/") != plain.count("/") or steps[0] != steps[1]:
            raise ambiguous_path()
    found = {path, normal, encoded(plain.encode("latin-1"))}
    found |= {_QUERY.sub("", each) for each in found}
    found |= {_PARAMETERS.sub("", each) for each in found}
    found |= {_SLASHES.sub("/", each) for each in found}
    found |= {_without_dots(each) for each in found}
    return frozenset(found | {_SLASHES.sub("/", each) for each in found})


def stays_under(path: str, prefix: str) -> bool:
    """Return whether a path is below a prefix, and no dot segment leaves it in between.

    Args:
        path: One of the ``readings``.
        prefix: Prefix without a trailing slash; empty for the root.
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


def ambiguous_path() -> RequestRejectedError:
    """Return the error for a path that servers read differently."""
    return RequestRejectedError(
        "The path is ambiguous: send it without empty segments, dot segments and encoded slashes"
    )


def _normal(path: str) -> str:
    if path[:1] != "/":
        raise RequestRejectedError("The path must begin with a slash")
    if not _ALLOWED.fullmatch(path):
        raise RequestRejectedError(
            "The path is invalid, or has characters that must be percent-encoded"
        )
    normal = _ESCAPE.sub(_plain, path)
    if _TWICE.search(normal):
        raise ambiguous_path()
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
    raise ambiguous_path()


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
