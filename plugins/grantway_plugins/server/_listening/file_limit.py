"""How many connections a process can have: each is an open file."""

from __future__ import annotations

import contextlib

#: Files that the process keeps for everything but connections.
_SPARE = 128


def connection_limit(connections: int, files_each: int) -> int:
    """Raise the limit of open files as far as allowed, and return the number of connections.

    Args:
        connections: How many are wanted.
        files_each: Files for one: its socket, and perhaps a connection to an upstream.
    """
    try:
        import resource  # noqa: PLC0415 - not on Windows, which has no such limit
    except ModuleNotFoundError:
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files_each * connections + _SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    if soft == resource.RLIM_INFINITY:
        return connections
    spare = min(_SPARE, soft // 2)
    return max(1, min(connections, (soft - spare) // files_each))
