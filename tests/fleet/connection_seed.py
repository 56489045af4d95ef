"""Many connections of users, written in bulk, whose refresh tokens the issuer accepts once."""

from __future__ import annotations

import asyncio
import hashlib
import math
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa

from grantway import Token
from grantway._credentials.token_format import encode_token
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._connections._records.sql_tables import record_tables
from grantway_plugins.gateway._connections.connection import Connection
from grantway_plugins.gateway._connections.details import Details
from grantway_plugins.gateway._connections.records import ConnectionRecords
from grantway_plugins.gateway._connections.service import Connections
from grantway_plugins.gateway._connections.user import User
from grantway_plugins.gateway._running.building import build_runtime
from grantway_plugins.issuer._decisions.randomness import family_digest, new_family_secret, new_id
from grantway_plugins.stores.encrypted._store import encrypted_with

ISSUER = "https://login.example.com"
PROVIDER = "shop"
_BATCH = 5_000
_DAYS = 30 * 86_400.0


class _Collector:
    """A store that keeps what ``EncryptedStore`` saves."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, bytes]] = []

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        del fence
        self.rows.append((key, encode_token(token)))

    def load(self, _key: str) -> None: ...

    def delete(self, _key: str, *, fence: int = 0) -> None: ...

    def lock(self, _key: str, _timeout: float) -> Any: ...


def users(first: int, last: int) -> list[User]:
    """Return users by number."""
    return [User(ISSUER, f"t{number}") for number in range(first, last)]


def seed(config: Path, database: Path, client_id: str, people: Sequence[User]) -> None:
    """Connect users: log them in at the issuer, and save their tokens and records.

    The access tokens have expired, so that the first use of each refreshes it.

    Args:
        config: The gateway's file.
        database: The issuer's SQLite database.
        client_id: The gateway's client at the issuer.
        people: The users.
    """
    asyncio.run(_seed(ConfigFile(config), database, client_id, people))


async def _seed(config: ConfigFile, database: Path, client_id: str, people: Sequence[User]) -> None:
    runtime = build_runtime(config)
    connections = runtime.connections
    assert connections is not None
    # The first use creates the tables.
    assert not await connections.records.page()
    provider = connections.providers[PROVIDER]
    await provider.credential("nobody").forget_async()
    for start in range(0, len(people), _BATCH):
        some = people[start : start + _BATCH]
        tokens = dict(zip(some, _log_in(database, client_id, some), strict=True))
        collector = _Collector()
        encrypted = encrypted_with(collector, config.connection_keys())
        for user, token in tokens.items():
            encrypted.save(provider._config.key(user.id), token)
        made = [_connection(connections, user, token) for user, token in tokens.items()]
        url = config.gateway["store"]["url"]
        if config.gateway["store"]["kind"] == "sql":
            _write_sql(url, collector.rows, made)
        else:
            _write_redis(url, collector.rows)
            await _put(connections.records, made)
    await runtime.components.close_async()


async def _put(records: ConnectionRecords, made: list[Connection]) -> None:
    waiting = iter(made)

    async def put() -> None:
        for each in waiting:
            await records.put(each)

    await asyncio.gather(*(put() for _ in range(8)))


def _log_in(database: Path, client_id: str, people: Sequence[User]) -> Iterator[Token]:
    """Create logins as the issuer does, and yield their tokens."""
    now = time.time()
    families, refresh_tokens, tokens = [], [], []
    for user in people:
        family = new_id()
        refresh_token = new_family_secret("gwr", family)
        families.append((family, client_id, user.subject, "read", now + _DAYS))
        refresh_tokens.append((family_digest(refresh_token), family))
        tokens.append(
            Token(secrets.token_urlsafe(), expires_at=now - 1, refresh_token=refresh_token)
        )
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.executemany(
            "INSERT INTO families (family_id, client_id, subject, scope, expires_at)"
            " VALUES (?, ?, ?, ?, ?)",
            families,
        )
        connection.executemany(
            "INSERT INTO refresh_tokens (digest, family_id) VALUES (?, ?)", refresh_tokens
        )
    yield from tokens


def _connection(connections: Connections, user: User, token: Token) -> Connection:
    now = time.time()
    details = Details.of(user, token, connections.providers[PROVIDER], now)
    return Connection(
        user.id,
        PROVIDER,
        "connected",
        connected_at=now,
        refreshed_at=now,
        used_at=None,
        due_at=math.inf,
        details=details.sealed(connections.sealed, user.id, PROVIDER),
    )


def _write_sql(url: str, tokens: list[tuple[str, bytes]], made: list[Connection]) -> None:
    engine = sa.create_engine(url)
    tables = record_tables("grantway_store_")
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO grantway_store_tokens (key, record, fence, changed)"
                " VALUES (:key, :record, 0, 0)"
            ),
            [
                {"key": hashlib.sha256(key.encode()).hexdigest(), "record": record}
                for key, record in tokens
            ],
        )
        names = ("provider", "state", "connected_at", "refreshed_at", "used_at", "due_at")
        connection.execute(
            sa.insert(tables.connections),
            [
                {
                    "user_id": each.user,
                    "version": 1,
                    "details": each.details,
                    **{name: getattr(each, name) for name in names},
                }
                for each in made
            ],
        )
    engine.dispose()


def _write_redis(url: str, tokens: list[tuple[str, bytes]]) -> None:
    with redis.Redis.from_url(url, protocol=2) as client:
        pipeline = client.pipeline(transaction=False)
        for key, record in tokens:
            pipeline.hset(f"grantway:{key}", "token", record)  # type: ignore[arg-type]
        pipeline.execute()
