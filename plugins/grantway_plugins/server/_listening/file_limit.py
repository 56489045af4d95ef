"""The limit of open files, which also limits connections."""

from __future__ import annotations

import contextlib

#: Number of files reserved for purposes other than connections.
_SPARE = 128


def connection_limit(connections: int, files_each: int) -> int:
    """Raise the limit of open files as needed, and return the possible number of connections.

    Args:
        connections: Desired number of connections.
        files_each: Files per connection: its socket, and any connection to an upstream.
    """
    try:
        import resource  # noqa: PLC0415 - missing on Windows, which has no such limit
    except ModuleNotFoundError:
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files_each * connections + _SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        maximum = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, hard))
            soft = maximum
    if soft == resource.RLIM_INFINITY:
        return connections
    spare = min(_SPARE, soft // 2)
    return max(1, min(connections, (soft - spare) // files_each))
