"""The database tables. They contain digests, never a token, code or secret."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, Integer, LargeBinary, MetaData, String, Table, Text

#: Schema version, incremented with every change of a table.
SCHEMA_VERSION = 5

metadata = MetaData()

schema = Table("grantway_issuer_schema", metadata, Column("version", Integer, nullable=False))

#: One row: the key from which every issuer on this database derives the keys of its forms.
form_key = Table("form_key", metadata, Column("key", LargeBinary, nullable=False))

clients = Table(
    "clients",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("auth_method", String(64), nullable=False),
    # JSON members of a plugin's authentication method, such as public keys; NULL for other clients.
    Column("auth_metadata", Text),
    Column("secret_digest", LargeBinary),
    Column("grant_types", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("redirect_uris", Text, nullable=False),
    Column("issued_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("anonymous", Integer, nullable=False),
    Column("introspects", Integer, nullable=False),
    # When an anonymous client first received a token; NULL for other clients.
    Column("used_at", Double),
    Column("previous_digest", LargeBinary),
    Column("previous_until", Double),
    # Lets the issuer count anonymous registrations and find the oldest unused one quickly.
    Index("clients_anonymous", "anonymous", "used_at", "issued_at"),
)

#: Token families: one row for each approval.
families = Table(
    "families",
    metadata,
    Column("family_id", String(32), primary_key=True),
    Column("client_id", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("revoked_at", Double, index=True),
    # The login whose token was exchanged for this one. Revoking that login searches for it.
    Column("origin", String(32), index=True),
)

# The digests of both kinds of token begin with the family id, and SQLite stores the rows in this
# order. A refresh therefore changes one page of each table, however large they are. Refresh tokens
# expire with their family, so pruning them needs no separate index.
refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("family_id", String(32), nullable=False),
    Column("used_at", Double),
    sqlite_with_rowid=False,
)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("family_id", String(32), nullable=False),
    Column("scope", Text, nullable=False),
    Column("issued_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("audience", Text),
    sqlite_with_rowid=False,
)

#: Records of plugins, and single-use values such as an assertion's ``jti``. The digest identifies
#: namespace and key; the value is JSON.
plugin_records = Table(
    "plugin_records",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("value", Text, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
)

authorization_codes = Table(
    "authorization_codes",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("client_id", String(64), nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("redirect_uri_given", Integer, nullable=False),
    Column("scope", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("challenge", String(128)),
    Column("expires_at", Double, nullable=False, index=True),
    Column("family_id", String(32)),
)

device_codes = Table(
    "device_codes",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("user_code_digest", LargeBinary, nullable=False, unique=True),
    Column("client_id", String(64), nullable=False),
    Column("scope", Text, nullable=False),
    Column("subject", Text),
    Column("status", String(16), nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("interval", Double, nullable=False),
    Column("polls", Integer, nullable=False),
    Column("polled_at", Double),
)
