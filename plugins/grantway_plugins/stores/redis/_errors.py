"""What a server's refusal, or its silence, means for who runs it."""

from __future__ import annotations

import redis
from redis.exceptions import NoPermissionError

#: The first word of a server's error -> what it means, and what to do.
_WORDS = {
    "CLUSTERDOWN": "its cluster is down; see CLUSTER INFO on that server",
    "MISCONF": "it cannot write to its disk, so it takes no changes; make room, or see its log",
    "MOVED": "it is a node of a cluster, which is not followed; name a single server or a proxy",
    "NOREPLICAS": "fewer replicas are connected than its min-replicas-to-write; start them",
    "WRONGTYPE": "something else lies under the name of this key; give the store another prefix",
}

#: Kind of error -> the same; the first that fits counts.
_KINDS: list[tuple[type[Exception], str]] = [
    (
        redis.AuthenticationError,
        (
            "it refused the user name or password; put the right ones in the URL, like "
            "redis://USER:PASSWORD@HOST:PORT"
        ),
    ),
    (
        NoPermissionError,
        (
            "this user may not do all that the store needs; allow it (ACL SETUSER) the key prefix "
            "and +@read +@write +@scripting +time +wait +waitaof"
        ),
    ),
    (redis.BusyLoadingError, "it is still loading its data; try again in a moment"),
    (redis.ReadOnlyError, "it is a read-only replica; name the primary in the URL"),
    (
        redis.OutOfMemoryError,
        "its memory is full; raise its maxmemory, or give these tokens a server of their own",
    ),
    (redis.TimeoutError, "it did not answer in time, so it may have done it or not; try again"),
    (
        redis.ConnectionError,
        "it cannot be reached; see that it runs, and that the URL names it rightly",
    ),
]


def explain(error: Exception) -> str:
    """What happened and what to do. Quotes nothing but the word that the server began with."""
    said = str(error)
    if "WAITAOF" in said and "appendonly" in said:
        return "on_disk needs a server that keeps an append-only file; set there: appendonly yes"
    word = said.partition(" ")[0]
    if word in _WORDS:
        return _WORDS[word]
    for kind, meaning in _KINDS:
        if isinstance(error, kind):
            return meaning
    named = word if word.isalpha() and word.isupper() else type(error).__name__
    return f"it answered {named}; see its log"
