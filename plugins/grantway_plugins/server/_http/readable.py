"""Whether a socket has something to read, without reading it."""

from __future__ import annotations

import select
from typing import Protocol


class Descriptor(Protocol):
    """A socket, or something else with a file descriptor."""

    def fileno(self) -> int:
        """Return the file descriptor."""
        ...


def is_readable(connection: Descriptor) -> bool:
    """Return whether data has arrived, or the end of the connection."""
    if not hasattr(select, "poll"):  # Windows, where select takes descriptors of any number
        return bool(select.select([connection], [], [], 0)[0])
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
