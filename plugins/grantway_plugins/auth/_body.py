"""Whether a request's body can be sent a second time."""

from __future__ import annotations

from typing import Any

from grantway._processes.copies import OneProcess


class Body(OneProcess):
    """A body, looked at before it is sent first.

    Args:
        body: Bytes, a text, nothing, a file, or whatever else the HTTP library takes.

    Attributes:
        start: Where it begins in its file; None where that cannot be known. Nothing, a text and
            bytes begin at 0.
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
        """Go back to where it began; whether that was possible."""
        if self.start is None:
            return False
        if self._file is None:
            return True
        try:
            self._file.seek(self.start)
        except (OSError, ValueError):  # it was closed meanwhile
            return False
        return True


def _position(body: Any) -> int | None:
    try:
        return int(body.tell()) if body.seekable() else None
    except (AttributeError, OSError, TypeError, ValueError):
        return None
