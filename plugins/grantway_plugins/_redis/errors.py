"""Explanations of Redis errors, with remedies for the operator."""

from __future__ import annotations

import ssl

import redis
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    TryAgainError,
)


class InsecureServerError(Exception):
    """A Sentinel or a cluster names a server on another host, to be reached without TLS."""


class LockMissingError(Exception):
    """A server does not have the lock that this process holds."""


#: First word of the server's error -> its meaning and a remedy.
_WORDS = {
    "MISCONF": "it cannot write to its disk and rejects changes; free disk space, or see its log",
    "NOREPLICAS": "fewer replicas are connected than its min-replicas-to-write; start more",
    "UNBLOCKED": "it became a replica during the command; retry",
    "WRONGTYPE": "another program uses a key of this name; give the store another prefix",
}
#: A part of the server's error -> its meaning and a remedy.
_PHRASES = {
    "appendonly": (
        "on_disk needs a server with an append-only file; configure it with: appendonly yes"
    ),
    "cluster support disabled": (
        "it is not part of a cluster; use redis:// or redis+sentinel:// with its address"
    ),
    "unknown command 'SENTINEL'": (
        "it is not a Sentinel; use redis:// with the address of a server"
    ),
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
    (
        redis.ConnectionError,
        (
            "it cannot be reached; check that it is running, and the URL, which must start with "
            "rediss if it expects TLS"
        ),
    ),
]

#: Codes of OpenSSL for a certificate that is valid for other hosts or addresses.
_OTHER_HOST = (62, 64)

_TEMPORARY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.ReadOnlyError,
    ClusterDownError,
    TryAgainError,
    AskError,  # and MovedError, which is derived from it
    OSError,
    LockMissingError,
)


def explain(error: Exception) -> str:
    """Return the error's meaning and a remedy. Quotes at most the error's first word."""
    message = str(error)
    if isinstance(error, InsecureServerError | LockMissingError):
        return message
    if problem := _connecting_problem(error):
        return problem
    for phrase, meaning in _PHRASES.items():
        if phrase in message:
            return meaning
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
    if isinstance(_cause(error), ssl.SSLCertVerificationError):
        return False
    return isinstance(error, _TEMPORARY) or str(error).startswith(_TEMPORARY_WORDS)


def _connecting_problem(error: Exception) -> str:
    """Return why no connection was made and a remedy, if this is evident."""
    cause = _cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        if cause.verify_code in _OTHER_HOST:
            return (
                "TLS failed: its certificate is not valid for this host or address; issue one that "
                "is, or let the servers announce the names in their certificates"
            )
        return (
            f"TLS failed: its certificate is not trusted ({cause.verify_message}); check it, and "
            "ssl_ca_certs in the URL"
        )
    if isinstance(cause, ssl.SSLError):
        return (
            f"TLS failed ({cause.reason or 'connection closed'}); check that the server expects "
            "TLS, and ssl_ca_certs, ssl_certfile and ssl_keyfile in the URL"
        )
    if isinstance(cause, FileNotFoundError | PermissionError | IsADirectoryError):
        return f"a file that the URL names cannot be opened ({cause.strerror})"
    if isinstance(error, redis.TimeoutError) and "connecting" in str(error):
        return (
            "it accepted no connection in time; check that it is running, its address, and that "
            "it expects TLS if the URL starts with rediss"
        )
    return ""


def _cause(error: BaseException) -> BaseException | None:
    """Return the error of the socket that redis-py's error reports."""
    return error.__cause__ or error.__context__
