"""A WSGI request body that can be read twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

_PIECE = 65_536


class ReplayableInput:
    """A ``wsgi.input`` that can be read twice if it is not longer than a limit.

    It never reads past the end of the body.

    Args:
        environ: WSGI environ of the request. Without a content length, and without
            ``wsgi.input_terminated``, there is no body.
        limit: Number of bytes to keep.
    """

    def __init__(self, environ: WSGIEnvironment, limit: int) -> None:
        self._input = environ["wsgi.input"]
        self._limit = limit
        length = environ.get("CONTENT_LENGTH", "")
        ends = bool(environ.get("wsgi.input_terminated"))
        self._left = int(length) if length.isdecimal() else None if ends else 0
        self._held = bytearray()
        self._at = 0
        #: Whether everything that was read has been kept.
        self.whole = True

    def rewind(self) -> None:
        """Start again with the kept bytes; the rest of the body is not kept."""
        self._at = 0
        self.whole = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes, like a binary file."""
        wanted = None if size is None or size < 0 else size
        return self._take(wanted, line=False)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line, like a binary file."""
        wanted = None if size is None or size < 0 else size
        return self._take(wanted, line=True)

    def readlines(self, _hint: int | None = None, /) -> list[bytes]:
        """Read all lines, like a binary file."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _take(self, wanted: int | None, *, line: bool) -> bytes:
        held = (
            self._held[self._at :] if wanted is None else self._held[self._at : self._at + wanted]
        )
        if line and (end := held.find(b"\n")) >= 0:
            held = held[: end + 1]
        self._at += len(held)
        rest = None if wanted is None else wanted - len(held)
        if rest == 0 or (line and held.endswith(b"\n")):
            return bytes(held)
        return bytes(held) + self._more(rest, line=line)

    def _more(self, wanted: int | None, *, line: bool) -> bytes:
        """Read from the server."""
        pieces: list[bytes] = []
        while wanted is None or wanted > 0:
            size = min(each for each in (wanted, self._left, _PIECE) if each is not None)
            if size == 0:
                break
            piece = self._input.readline(size) if line else self._input.read(size)
            if not piece:
                break
            pieces.append(piece)
            wanted = None if wanted is None else wanted - len(piece)
            self._left = None if self._left is None else self._left - len(piece)
            if line and piece.endswith(b"\n"):
                break
        read = b"".join(pieces)
        if self.whole:
            self._keep(read)
        return read

    def _keep(self, read: bytes) -> None:
        if len(self._held) + len(read) > self._limit:
            self.whole = False
            self._held.clear()
            self._at = 0
        else:
            self._held += read
            self._at = len(self._held)
