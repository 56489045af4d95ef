"""Check whether a socket is readable."""

from __future__ import annotations

import select
from typing import Protocol


class Descriptor(Protocol):
    """An object with a file descriptor, such as a socket."""

    def fileno(self) -> int:
        """Return the file descriptor."""
        ...


def is_readable(connection: Descriptor) -> bool:
    """Return whether data has arrived or the peer has closed the connection."""
    if not hasattr(select, "poll"):  # Windows, where select has no limit on file descriptors
        return bool(select.select([connection], [], [], 0)[0])
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
