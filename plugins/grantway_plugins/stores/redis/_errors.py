"""Explanations of Redis errors, with remedies for the operator."""

from __future__ import annotations

import redis
from redis.exceptions import NoPermissionError

#: First word of the server's error -> its meaning and a remedy.
_WORDS = {
    "CLUSTERDOWN": "its cluster is down; run CLUSTER INFO on that server",
    "MISCONF": "it cannot write to its disk and rejects changes; free disk space, or see its log",
    "MOVED": "it is a cluster node, which is not supported; use a single server or a proxy",
    "NOREPLICAS": "fewer replicas are connected than its min-replicas-to-write; start more",
    "WRONGTYPE": "another program uses a key of this name; give the store another prefix",
}

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
            "prefix and +@read +@write +@scripting +time +wait +waitaof"
        ),
    ),
    (redis.BusyLoadingError, "it is still loading its data; retry in a moment"),
    (redis.ReadOnlyError, "it is a read-only replica; use the URL of the primary"),
    (
        redis.OutOfMemoryError,
        "its memory is full; raise its maxmemory, or use a separate server for tokens",
    ),
    (
        redis.TimeoutError,
        "it did not respond in time, so the command may have been executed or not; retry",
    ),
    (redis.ConnectionError, "it cannot be reached; check that it is running, and the URL"),
]


def explain(error: Exception) -> str:
    """Return the error's meaning and a remedy. Quotes at most the error's first word."""
    message = str(error)
    if "WAITAOF" in message and "appendonly" in message:
        return "on_disk needs a server with an append-only file; configure it with: appendonly yes"
    word = message.partition(" ")[0]
    if word in _WORDS:
        return _WORDS[word]
    for kind, meaning in _KINDS:
        if isinstance(error, kind):
            return meaning
    code = word if word.isalpha() and word.isupper() else type(error).__name__
    return f"it responded with {code}; see its log"
