"""Explanations of Redis errors, with remedies for the operator."""

from __future__ import annotations

import redis
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    TryAgainError,
)

#: First word of the server's error -> its meaning and a remedy.
_WORDS = {
    "MISCONF": "it cannot write to its disk and rejects changes; free disk space, or see its log",
    "NOREPLICAS": "fewer replicas are connected than its min-replicas-to-write; start more",
    "UNBLOCKED": "it became a replica during the command; retry",
    "WRONGTYPE": "another program uses a key of this name; give the store another prefix",
}
#: First words of errors that end when a failover does.
_TEMPORARY_WORDS = ("NOREPLICAS", "UNBLOCKED")

#: Class of the error -> its meaning and a remedy; the first match wins.
_KINDS: list[tuple[type[Exception], str]] = [
    (
        redis.AuthenticationError,
        (
            "it rejected the user name or password; correct them in the URL, like "
            "redis://USER:PASSWORD@HOST:PORT"
        ),
    ),
    (
        NoPermissionError,
        (
            "this user lacks permissions that the store needs; grant it (ACL SETUSER) the key "
            "prefix and +@read +@write +@scripting +time +wait +waitaof +role +cluster|slots "
            "+asking"
        ),
    ),
    (redis.BusyLoadingError, "it is still loading its data; retry in a moment"),
    (
        redis.ReadOnlyError,
        "it is a read-only replica; use the URL of the primary, or redis+sentinel://",
    ),
    (
        redis.OutOfMemoryError,
        "its memory is full; raise its maxmemory, or use a separate server for tokens",
    ),
    (MovedError, "it is a node of a cluster; use redis+cluster://HOST:PORT"),
    (
        ClusterDownError,
        "its cluster is down, or it has lost its primary; run CLUSTER INFO on that server",
    ),
    (
        redis.TimeoutError,
        "it did not respond in time, so the command may have been executed or not; retry",
    ),
    (redis.ConnectionError, "it cannot be reached; check that it is running, and the URL"),
]

_TEMPORARY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.ReadOnlyError,
    ClusterDownError,
    TryAgainError,
    AskError,  # and MovedError, which is derived from it
    OSError,
)


class InsecureServerError(Exception):
    """A Sentinel or a cluster names a server on another host, to be reached without TLS."""


def explain(error: Exception) -> str:
    """Return the error's meaning and a remedy. Quotes at most the error's first word."""
    if isinstance(error, InsecureServerError):
        return str(error)
    message = str(error)
    if "WAITAOF" in message and "appendonly" in message:
        return "on_disk needs a server with an append-only file; configure it with: appendonly yes"
    if isinstance(error, redis.ConnectionError) and "SSL" in message:
        return "TLS failed; check its certificate, and ssl_ca_certs in the URL"
    word = message.partition(" ")[0]
    if word in _WORDS:
        return _WORDS[word]
    for kind, meaning in _KINDS:
        if isinstance(error, kind):
            return meaning
    code = word if word.isalpha() and word.isupper() else type(error).__name__
    return f"it responded with {code}; see its log"


def is_temporary(error: Exception) -> bool:
    """Return whether the command may succeed in a moment, at this server or at another one."""
    if isinstance(error, redis.AuthenticationError):
        return False
    return isinstance(error, _TEMPORARY) or str(error).startswith(_TEMPORARY_WORDS)
