"""Read request bodies from file-like objects, with a size limit."""

from __future__ import annotations

from typing import Protocol

from grantway_plugins.server._http.asgi import DRAINED, INCOMPLETE, TOO_LARGE, BodyProblem
from grantway_plugins.server._http.wire import BODY_CAP

_PIECE = 65_536
_MOST_DIGITS = 18


class Readable(Protocol):
    """A binary file-like object."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes; none at the end."""
        ...


def length_of(content_length: str | None) -> int | BodyProblem | None:
    """Parse a Content-Length header; return None if it is missing."""
    if content_length is None:
        return None
    digits = content_length.strip(" \t")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS):
        return BodyProblem(400, "The Content-Length is not a number of bytes")
    return int(digits)


def within_cap(body: bytes) -> bytes | BodyProblem:
    """Return a body, or the problem if it is larger than ``BODY_CAP``."""
    return body if len(body) <= BODY_CAP else TOO_LARGE


def read_stream(stream: Readable, length: int | None) -> bytes | BodyProblem:
    """Read a body of at most ``BODY_CAP`` bytes, and never past its length.

    A larger body is read and discarded up to a limit, so that its sender can read the response.

    Args:
        stream: Stream to read from.
        length: Length of the body in bytes; None to read to the end.
    """
    left = DRAINED if length is None else min(length, DRAINED)
    pieces: list[bytes] = []
    size = 0
    try:
        while left > 0:
            piece = stream.read(min(left, _PIECE))
            if not piece:
                break
            size += len(piece)
            left -= len(piece)
            if size <= BODY_CAP:
                pieces.append(piece)
    except TimeoutError:
        return BodyProblem(408, "The body took too long")
    except OSError:
        return INCOMPLETE
    if size > BODY_CAP:
        return TOO_LARGE
    return b"".join(pieces) if length is None or size == length else INCOMPLETE
