"""Version 6: details of logins, keys of tokens, signing keys, sessions, users and consents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Column, Double, LargeBinary, String, Text

if TYPE_CHECKING:
    from alembic.operations import Operations


def upgrade(operations: Operations) -> None:
    """Upgrade a database of version 5."""
    if operations.get_bind().dialect.name == "postgresql":  # SQLite ignores the length
        for table in ("clients", "families", "authorization_codes", "device_codes"):
            operations.alter_column(table, "client_id", type_=Text)
    operations.add_column("clients", Column("registration_token_digest", LargeBinary))
    operations.add_column("families", Column("details", Text))
    operations.add_column("access_tokens", Column("confirmation", Text))
    operations.add_column("authorization_codes", Column("details", Text))
    operations.add_column("device_codes", Column("details", Text))
    operations.create_table(
        "signing_keys",
        Column("kid", String(64), primary_key=True),
        Column("algorithm", String(16), nullable=False),
        Column("key", LargeBinary, nullable=False),
        Column("created_at", Double, nullable=False),
        Column("signs_from", Double, nullable=False),
        Column("expires_at", Double, index=True),
    )
    operations.create_table(
        "sessions",
        Column("digest", LargeBinary, primary_key=True),
        Column("session_id", String(32), nullable=False, unique=True),
        Column("subject", Text, nullable=False, index=True),
        Column("auth_time", Double, nullable=False),
        Column("used_at", Double, nullable=False),
        Column("expires_at", Double, nullable=False, index=True),
        Column("details", Text),
    )
    operations.create_table(
        "users",
        Column("subject", Text, primary_key=True),
        Column("claims", Text, nullable=False),
        Column("updated_at", Double, nullable=False),
    )
    operations.create_table(
        "consents",
        Column("subject", Text, primary_key=True),
        Column(
            "client_id",
            Text().with_variant(String(64), "sqlite"),
            primary_key=True,
            index=True,
        ),
        Column("scope", Text, nullable=False),
        Column("resources", Text),
        Column("expires_at", Double, nullable=False, index=True),
    )
