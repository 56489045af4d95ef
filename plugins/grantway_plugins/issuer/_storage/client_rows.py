"""Client registrations in the database."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql

from .prepared import Cursor, Prepared
from .records import Authentication, RegisteredClient
from .tables import clients, families

_BY_ID = clients.c.client_id == bindparam("id")
_UNUSED = sa.and_(clients.c.anonymous == 1, clients.c.used_at.is_(None))
_COLUMNS = (
    clients.c.client_id,
    clients.c.name,
    clients.c.kind,
    clients.c.auth_method,
    clients.c.auth_metadata,
    clients.c.registration_token_digest,
    clients.c.secret_digest,
    clients.c.previous_digest,
    clients.c.previous_until,
    clients.c.grant_types,
    clients.c.scope,
    clients.c.redirect_uris,
    clients.c.issued_at,
    clients.c.expires_at,
    clients.c.anonymous,
    clients.c.introspects,
)
_FIND = Prepared(sa.select(*_COLUMNS).where(_BY_ID))
_LOCK = Prepared(sa.select(*_COLUMNS).where(_BY_ID).with_for_update())
_ALL = Prepared(sa.select(*_COLUMNS).order_by(clients.c.issued_at))
_WRITTEN = [each.name for each in _COLUMNS if "previous" not in each.name]
# SQLite uses the same syntax as PostgreSQL.
_INSERT = postgresql.insert(clients).values({name: bindparam(name) for name in _WRITTEN})
_ADD = Prepared(_INSERT)
_ADD_OR_REPLACE = Prepared(
    _INSERT.on_conflict_do_update(
        index_elements=["client_id"],
        set_={name: _INSERT.excluded[name] for name in _WRITTEN if name != "client_id"},
    )
)
_REPLACE = Prepared(
    sa.update(clients)
    .where(clients.c.client_id == bindparam("client_id"))
    .values({name: bindparam(name) for name in _WRITTEN if name != "client_id"})
)
_USE = Prepared(
    sa.update(clients)
    .where(_BY_ID, clients.c.used_at.is_(None))
    .values(used_at=bindparam("now", type_=sa.Double()))
)
_COUNT_ANONYMOUS = Prepared(
    sa.select(sa.func.count()).select_from(clients).where(clients.c.anonymous == 1)
)
_DROP_OLDEST_UNUSED = Prepared(
    sa.delete(clients).where(
        clients.c.client_id.in_(
            sa.select(clients.c.client_id)
            .where(_UNUSED)
            .order_by(clients.c.issued_at)
            .limit(bindparam("limit", type_=sa.Integer()))
        )
    )
)
_DROP_UNUSED = Prepared(
    sa.delete(clients).where(
        clients.c.client_id.in_(
            sa.select(clients.c.client_id)
            .where(_UNUSED, clients.c.issued_at < bindparam("before"))
            .limit(bindparam("limit", type_=sa.Integer()))
        )
    )
)
_ROTATE = Prepared(
    sa.update(clients)
    .where(_BY_ID, clients.c.secret_digest.is_not(None))
    .values(
        previous_digest=clients.c.secret_digest,
        previous_until=bindparam("until", type_=sa.Double()),
        secret_digest=bindparam("new", type_=sa.LargeBinary()),
    )
)
_REMOVE = Prepared(sa.delete(clients).where(_BY_ID))
_LOGINS = families.alias("logins")
_REVOKE_ALL = Prepared(
    sa.update(families)
    .where(
        sa.or_(
            families.c.client_id == bindparam("id"),
            families.c.origin.in_(
                sa.select(_LOGINS.c.family_id).where(_LOGINS.c.client_id == bindparam("id"))
            ),
        ),
        families.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now", type_=sa.Double()))
)


class ClientRows:
    """Database operations on client registrations.

    Args:
        cursor: The transaction's cursor.
        known: Cache of recently read registrations.
    """

    def __init__(self, cursor: Cursor, known: MutableMapping[str, RegisteredClient]) -> None:
        self._cursor = cursor
        self._known = known

    def find(self, client_id: str, *, known: bool = True) -> RegisteredClient | None:
        """Return the registration with this client id, even if it has expired.

        Args:
            client_id: The client id.
            known: Whether the cache may be used.
        """
        if not client_id.isprintable():
            return None  # PostgreSQL rejects NUL characters, and the health check would report that
        if known and (found := self._known.get(client_id)) is not None:
            return found
        return self._read(_FIND, client_id)

    def lock(self, client_id: str) -> RegisteredClient | None:
        """Return the current registration, locked until the transaction ends."""
        return self._read(_LOCK, client_id) if client_id.isprintable() else None

    def _read(self, query: Prepared, client_id: str) -> RegisteredClient | None:
        row = self._cursor.row(query, {"id": client_id})
        if row is None:
            return None
        self._known[client_id] = client = _client(row)
        return client

    def all(self) -> list[RegisteredClient]:
        """Return all registrations, oldest first."""
        return [_client(row) for row in self._cursor.rows(_ALL, {})]

    def add(self, client: RegisteredClient) -> None:
        """Store a registration."""
        self._cursor.change(_ADD, _values(client))

    def put(self, client: RegisteredClient, limit: int) -> bool:
        """Store an anonymous client, or replace its registration.

        Args:
            client: The client.
            limit: Maximum number of anonymous registrations.

        Returns:
            False if the client is new and the maximum is reached.
        """
        if self.replace(client):
            return True
        if not self.make_room(limit):
            return False
        # Another issuer on the database may have added it meanwhile.
        self._cursor.change(_ADD_OR_REPLACE, _values(client))
        return True

    def replace(self, client: RegisteredClient) -> bool:
        """Replace a registration, also its secret; return False if there is none.

        Call ``lock`` first if the new registration contains parts of the old one.
        """
        self._known.pop(client.client_id, None)
        return self._cursor.change(_REPLACE, _values(client)) == 1

    def make_room(self, limit: int) -> bool:
        """Delete the oldest unused anonymous registrations until another one can be added.

        Args:
            limit: Maximum number of anonymous registrations.

        Returns:
            False if the maximum is reached and all of them have received tokens.
        """
        surplus = self._cursor.row(_COUNT_ANONYMOUS, {})[0] + 1 - limit
        return surplus <= 0 or self._cursor.change(_DROP_OLDEST_UNUSED, {"limit": surplus}) > 0

    def use(self, client_id: str, now: float) -> None:
        """Record that a client has received a token."""
        self._cursor.change(_USE, {"id": client_id, "now": now})

    def rotate(self, client_id: str, secret_digest: bytes, previous_until: float) -> bool:
        """Replace a client's secret.

        Args:
            client_id: The client id.
            secret_digest: Digest of the new secret.
            previous_until: Expiry of the current secret, in seconds since the epoch.

        Returns:
            False if there is no such client, or if it has no secret.
        """
        self._known.pop(client_id, None)
        values = {"id": client_id, "new": secret_digest, "until": previous_until}
        return self._cursor.change(_ROTATE, values) == 1

    def remove(self, client_id: str, now: float) -> bool:
        """Delete a registration and revoke the client's tokens, including exchanged ones.

        Returns:
            False if there is no such client.
        """
        self._known.pop(client_id, None)
        self._cursor.change(_REVOKE_ALL, {"id": client_id, "now": now})
        return self._cursor.change(_REMOVE, {"id": client_id}) == 1

    def prune_unused(self, before: float, limit: int) -> int:
        """Delete anonymous registrations older than a time that never received a token.

        Returns:
            Number of deleted registrations, at most ``limit``.
        """
        return self._cursor.change(_DROP_UNUSED, {"before": before, "limit": limit})


def _values(client: RegisteredClient) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "name": client.name,
        "kind": client.kind,
        "auth_method": client.authentication.method,
        "auth_metadata": json.dumps(dict(client.metadata)) if client.metadata else None,
        "registration_token_digest": client.registration_token_digest,
        "secret_digest": client.authentication.secret_digest,
        "grant_types": json.dumps(sorted(client.grant_types)),
        "scope": " ".join(client.scope),
        "redirect_uris": json.dumps(client.redirect_uris),
        "issued_at": client.issued_at,
        "expires_at": client.expires_at,
        "anonymous": int(client.anonymous),
        "introspects": int(client.introspects),
    }


def _client(row: Any) -> RegisteredClient:
    (
        client_id,
        name,
        kind,
        method,
        metadata,
        registration_token,
        secret,
        previous,
        previous_until,
        grant_types,
        scope,
        redirect_uris,
        issued_at,
        expires_at,
        anonymous,
        introspects,
    ) = row
    return RegisteredClient(
        client_id=client_id,
        name=name,
        kind=kind,
        authentication=Authentication(
            method,
            None if secret is None else bytes(secret),
            None if previous is None else bytes(previous),
            previous_until or 0.0,
        ),
        grant_types=frozenset(json.loads(grant_types)),
        scope=tuple(scope.split()),
        redirect_uris=tuple(json.loads(redirect_uris)),
        issued_at=issued_at,
        expires_at=expires_at,
        anonymous=bool(anonymous),
        introspects=bool(introspects),
        metadata=MappingProxyType(json.loads(metadata) if metadata else {}),
        registration_token_digest=None if registration_token is None else bytes(registration_token),
    )
