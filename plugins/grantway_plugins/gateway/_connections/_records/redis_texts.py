"""Texts of the records in Redis or Valkey."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any

from grantway_plugins.gateway._connections.connection import Connection, ConnectionEvent
from grantway_plugins.gateway._connections.records import Job

from .identifiers import event_ids


def written(connection: Connection) -> bytes:
    """Return the text of a connection without its version."""
    rest = [
        connection.connected_at,
        connection.refreshed_at,
        connection.used_at,
        connection.details,
    ]
    lines = (connection.state, repr(float(connection.due_at)), json.dumps(rest))
    return "\n".join(lines).encode()


def parsed(id_: str, record: str) -> Connection:
    """Return a saved connection.

    Raises:
        TypeError: It cannot be read.
        ValueError: It cannot be read.
    """
    version, state, due_at, rest = record.split("\n", 3)
    user, _, provider = id_.partition(" ")
    connected_at, refreshed_at, used_at, details = json.loads(rest)
    return Connection(
        user,
        provider,
        "broken" if state == "broken" else "connected",
        float(connected_at),
        float(refreshed_at),
        None if used_at is None else float(used_at),
        float(due_at),
        str(details),
        int(version),
    )


def lost(id_: str, record: str) -> Connection:
    """Return a connection whose record cannot be read. A change of it replaces the record."""
    user, _, provider = id_.partition(" ")
    version = re.match(r"([0-9]{1,16})\n", record)
    number = int(version[1]) if version else 0
    return Connection(user, provider, "connected", 0.0, 0.0, None, math.inf, "", number)


def recorded(events: Sequence[ConnectionEvent], jobs: Sequence[Job]) -> list[Any]:
    """Return the arguments of a script that saves events and jobs."""
    words: list[Any] = [len(events)]
    for id_, each in zip(event_ids(), events, strict=False):
        facts = json.dumps([each.provider, each.name, each.at, each.reason, each.count])
        words += [encoded(each.user), repr(float(each.at)), f"{id_}\n{facts}"]
    words.append(len(jobs))
    for job in jobs:
        words += [
            encoded(job.id),
            repr(float(job.due_at)),
            encoded(f"{job.attempts}\n{job.payload}"),
        ]
    return words


def unexpired(record: bytes | None, now: float) -> str | None:
    """Return a short-lived value, or None if it has expired or cannot be read."""
    if record is None:
        return None
    expires_at, _, value = decoded(record).partition("\n")
    with suppress(ValueError):
        return value if now < float(expires_at) else None
    return None


def pairs(found: bytes) -> Iterable[tuple[str, str]]:
    """Return the identifiers and texts in the reply of a script."""
    flat = json.loads(decoded(found)) if found else []
    return zip(flat[::2], flat[1::2], strict=True)


def digest(key: str) -> str:
    """Return the part of a key that stands for any text."""
    return sha256(encoded(key)).hexdigest()


def encoded(text: str) -> bytes:
    """Return a text as the bytes that the server keeps."""
    return text.encode("utf-8", "surrogatepass")


def decoded(data: bytes) -> str:
    """Return bytes of the server as a text, which may be one that cannot be read."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # another program has written it
        return data.decode("utf-8", "replace")
