"""Request bodies that are sent again after a 401."""

from __future__ import annotations

from typing import Any

from grantway._processes.copies import OneProcess


class Body(OneProcess):
    """A request body and the position at which it starts, noted before it is sent.

    Args:
        body: Bytes, a string, None, a file, or another object that the HTTP library accepts.

    Attributes:
        start: Start position in the file, or None if it is unknown. It is 0 for None, strings and
            bytes.
    """

    stays = "it belongs to one request"

    __slots__ = ("_file", "start")

    def __init__(self, body: Any) -> None:
        self._file: Any = None
        self.start: int | None = 0
        if body is None or isinstance(body, (bytes, bytearray, str)):
            return
        self.start = _position(body)
        self._file = body

    def rewind(self) -> bool:
        """Move back to the start of the body, and return whether that was possible."""
        if self.start is None:
            return False
        if self._file is None:
            return True
        try:
            self._file.seek(self.start)
        except (OSError, ValueError):  # the file has been closed
            return False
        return True


def _position(body: Any) -> int | None:
    try:
        return int(body.tell()) if body.seekable() else None
    except (AttributeError, OSError, TypeError, ValueError):
        return None
