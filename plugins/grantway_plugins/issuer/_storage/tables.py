"""The database tables. They contain digests, never a token, code or secret."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, Integer, LargeBinary, MetaData, String, Table, Text

#: Schema version, incremented with every change of a table, together with a new migration.
SCHEMA_VERSION = 6

metadata = MetaData()

#: A client id, which may be the URL of a Client ID Metadata Document. SQLite ignores the length.
_CLIENT_ID = Text().with_variant(String(64), "sqlite")

schema = Table("grantway_issuer_schema", metadata, Column("version", Integer, nullable=False))

#: One row: the key from which every issuer on this database derives the keys of its forms.
form_key = Table("form_key", metadata, Column("key", LargeBinary, nullable=False))

clients = Table(
    "clients",
    metadata,
    Column("client_id", _CLIENT_ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("auth_method", String(64), nullable=False),
    # JSON members without a separate column, such as public keys; NULL if there are none.
    # Issuers of version 5 know the column by this name, and may still run during an upgrade.
    Column("auth_metadata", Text),
    # Digest of the token with which the client manages its registration (RFC 7592), or NULL.
    Column("registration_token_digest", LargeBinary),
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
    Column("client_id", _CLIENT_ID, nullable=False),
    Column("subject", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("revoked_at", Double, index=True),
    # The login whose token was exchanged for this one. Revoking that login searches for it.
    Column("origin", String(32), index=True),
    # JSON of ``LoginDetails``; NULL for a login without any.
    Column("details", Text),
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
    # JSON of the ``cnf`` claim (RFC 7800); NULL for a bearer token.
    Column("confirmation", Text),
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
    Column("client_id", _CLIENT_ID, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("redirect_uri_given", Integer, nullable=False),
    Column("scope", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("challenge", String(128)),
    Column("expires_at", Double, nullable=False, index=True),
    Column("family_id", String(32)),
    Column("details", Text),
)

device_codes = Table(
    "device_codes",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("user_code_digest", LargeBinary, nullable=False, unique=True),
    Column("client_id", _CLIENT_ID, nullable=False),
    Column("scope", Text, nullable=False),
    Column("subject", Text),
    Column("status", String(16), nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("interval", Double, nullable=False),
    Column("polls", Integer, nullable=False),
    Column("polled_at", Double),
    Column("details", Text),
)

#: Private keys that sign JWTs. ``key`` may be encrypted; see ``_keys``.
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("algorithm", String(16), nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    # When the key begins to sign, after every reader of the published keys knows it.
    Column("signs_from", Double, nullable=False),
    # When the key is no longer published; NULL while it signs.
    Column("expires_at", Double, index=True),
)

#: Sessions of logged-in users, by digest of the cookie.
sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    # The ``sid`` claim of ID tokens; not secret.
    Column("session_id", String(32), nullable=False, unique=True),
    Column("subject", Text, nullable=False, index=True),
    Column("auth_time", Double, nullable=False),
    Column("used_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    # JSON about the login at the upstream provider; without its tokens.
    Column("details", Text),
)

#: Users of an upstream provider or of a login plugin: their claims at the last login.
users = Table(
    "users",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("claims", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
)

#: Remembered consent of a user to a client's request.
consents = Table(
    "consents",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("client_id", _CLIENT_ID, primary_key=True, index=True),
    Column("scope", Text, nullable=False),
    Column("resources", Text),
    Column("expires_at", Double, nullable=False, index=True),
)
