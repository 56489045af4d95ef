"""Database operations of one transaction.

A change that must happen at most once is an UPDATE with a condition; its row count shows whether
it was applied.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from grantway._processes.copies import OneProcess

from . import statements as sql
from .client_rows import ClientRows
from .consents import Consents
from .device_code_rows import DeviceCodeRows
from .plugin_records import Records
from .prepared import Cursor, Prepared
from .pruning import MOST, RETENTION, Pruning, prune_rows
from .records import (
    AccessTokenRecord,
    AuthorizationCodeRecord,
    LoginDetails,
    Redirect,
    RefreshTokenRecord,
    RegisteredClient,
    TokenFamily,
)
from .refresh_token_rows import RefreshTokenRows, family_of
from .sessions import Sessions
from .signing_key_rows import SigningKeyRows
from .users import Users


class Transaction(OneProcess):
    """Database operations of one transaction.

    New and replaced tokens are collected and written together by ``flush``. Nobody can use a token
    before the transaction is committed, so no query needs to find it earlier.

    Args:
        cursor: Runs the statements of the transaction.
        known_clients: Cache of recently read registrations. Callers must still compare their
            expiry with the clock.
        clock: Seconds since the epoch, for the expiry of records.
    """

    stays = "it belongs to one connection of the database"

    def __init__(
        self,
        cursor: Cursor,
        known_clients: MutableMapping[str, RegisteredClient],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cursor = cursor
        self._clock = clock
        #: Client registrations.
        self.clients = ClientRows(self._cursor, known_clients)
        self._refresh_tokens = RefreshTokenRows(cursor)
        self._new_access_tokens: list[dict[str, Any]] = []

    def probe(self) -> None:
        """Rewrite a row unchanged, to check that the database is writable."""
        self._cursor.change(sql.PROBE, {})

    # --- families and their tokens ---

    def add_family(self, family: TokenFamily) -> None:
        """Store a token family."""
        self._cursor.change(
            sql.ADD_FAMILY,
            {
                "family_id": family.family_id,
                "client_id": family.client_id,
                "subject": family.subject,
                "scope": " ".join(family.scope),
                "expires_at": family.expires_at,
                "origin": family.origin,
                "details": family.details.to_json(),
            },
        )

    def family(self, family_id: str) -> TokenFamily | None:
        """Return a token family, even if it has been revoked."""
        row = self._cursor.row(sql.FAMILY, {"id": family_id})
        return None if row is None else family_of(row)

    def revoke_family(self, family_id: str, now: float) -> None:
        """Revoke a family, and every family whose tokens were exchanged for one of its tokens."""
        self._cursor.change(sql.REVOKE_FAMILY, {"id": family_id, "now": now})
        self._refresh_tokens.forget()

    def lock_family(self, family_id: str) -> bool:
        """Lock a family against revocation until the end of the transaction.

        Returns:
            False if the family has been revoked.
        """
        row = self._cursor.row(sql.LOCK_FAMILY, {"id": family_id})
        return row is not None and row[0] is None

    def add_refresh_token(self, digest: bytes, family: TokenFamily) -> None:
        """Add a refresh token to the tokens to store."""
        self._refresh_tokens.add(digest, family)

    def add_access_token(self, digest: bytes, token: AccessTokenRecord) -> None:
        """Add an access token to the tokens to store."""
        self._new_access_tokens.append(
            {
                "digest": digest,
                "family_id": token.family.family_id,
                "scope": " ".join(token.scope),
                "issued_at": token.issued_at,
                "expires_at": token.expires_at,
                "audience": json.dumps(token.audience) if token.audience else None,
                "confirmation": json.dumps(dict(token.confirmation))
                if token.confirmation
                else None,
            }
        )

    def flush(self) -> None:
        """Write the tokens added and replaced so far."""
        self._refresh_tokens.flush()
        if self._new_access_tokens:
            self._cursor.change_all(sql.ADD_ACCESS_TOKEN, self._new_access_tokens)
            self._new_access_tokens = []

    def refresh_token(self, digest: bytes) -> RefreshTokenRecord | None:
        """Return the refresh token with this digest, even if it has been replaced."""
        return self._refresh_tokens.find(digest)

    def prefetch(self, digests: Iterable[bytes]) -> None:
        """Read several refresh tokens, which may not exist, with one query."""
        self._refresh_tokens.prefetch(digests)

    def spend_refresh_token(self, digest: bytes, now: float) -> bool:
        """Mark a refresh token that this transaction has read as replaced.

        Returns:
            False if it has been replaced already.
        """
        return self._refresh_tokens.spend(digest, now)

    def last_spent(self, family_id: str) -> float:
        """Return the latest time at which a refresh token of the family was replaced, or 0."""
        return self._refresh_tokens.last_spent(family_id)

    def access_token(self, digest: bytes) -> AccessTokenRecord | None:
        """Return the access token with this digest."""
        row = self._cursor.row(sql.ACCESS_TOKEN, {"key": digest})
        if row is None:
            return None
        scope, issued_at, expires_at, audience, confirmation, *family = row
        return AccessTokenRecord(
            scope=tuple(scope.split()),
            issued_at=issued_at,
            expires_at=expires_at,
            family=family_of(family),
            audience=tuple(json.loads(audience)) if audience else (),
            confirmation=json.loads(confirmation) if confirmation else {},
        )

    def delete_access_token(self, digest: bytes) -> None:
        """Delete an access token, which revokes it."""
        self._cursor.change(sql.DELETE_ACCESS_TOKEN, {"key": digest})

    @property
    def device_codes(self) -> DeviceCodeRows:
        """Device codes."""
        return DeviceCodeRows(self._cursor)

    @property
    def sessions(self) -> Sessions:
        """Sessions of logged-in users."""
        return Sessions(self._cursor)

    @property
    def users(self) -> Users:
        """Users who logged in, with their claims."""
        return Users(self._cursor)

    @property
    def consents(self) -> Consents:
        """Remembered consent of users to clients."""
        return Consents(self._cursor)

    @property
    def signing_keys(self) -> SigningKeyRows:
        """Keys that sign JWTs."""
        return SigningKeyRows(self._cursor)

    @property
    def failed(self) -> bool:
        """Whether a statement failed, so that the transaction will be rolled back."""
        return self._cursor.failed

    # --- single-use values and records of plugins ---

    def spend(self, digest: bytes, until: float) -> bool:
        """Record the use of a single-use value; return False if it has been used before.

        Args:
            digest: Digest of the value, unique across all grants. Hash the grant type together
                with the value.
            until: Expiry of the value, in seconds since the epoch. The record is kept for one
                more day.
        """
        return self.records("grantway").add(digest.hex(), {}, until=until + RETENTION)

    def records(self, namespace: str) -> Records:
        """Return the records of a plugin.

        Args:
            namespace: Name of the plugin's distribution, such as ``acme-coupons``. Its grants,
                extensions and client authentication can share the records.
        """
        return Records(self._cursor, namespace, self._clock)

    # --- authorization codes ---

    def add_authorization_code(self, code: AuthorizationCodeRecord) -> None:
        """Store an authorization code."""
        self._cursor.change(
            sql.ADD_AUTHORIZATION_CODE,
            {
                "digest": code.digest,
                "client_id": code.client_id,
                "redirect_uri": code.redirect.uri,
                "redirect_uri_given": int(code.redirect.given),
                "scope": " ".join(code.scope),
                "subject": code.subject,
                "challenge": code.challenge,
                "expires_at": code.expires_at,
                "details": code.details.to_json(),
            },
        )

    def authorization_code(self, digest: bytes) -> AuthorizationCodeRecord | None:
        """Return the authorization code with this digest, even if it has been redeemed."""
        row = self._cursor.row(sql.AUTHORIZATION_CODE, {"key": digest})
        if row is None:
            return None
        (
            _,
            client_id,
            redirect_uri,
            given,
            scope,
            subject,
            challenge,
            expires_at,
            family_id,
            details,
        ) = row
        return AuthorizationCodeRecord(
            digest=digest,
            client_id=client_id,
            redirect=Redirect(redirect_uri, bool(given)),
            scope=tuple(scope.split()),
            subject=subject,
            challenge=challenge,
            expires_at=expires_at,
            family_id=family_id,
            details=LoginDetails.from_json(details),
        )

    def spend_authorization_code(self, digest: bytes, family_id: str) -> bool:
        """Redeem a code for this family; return False if it has been redeemed already."""
        return self._changed(sql.SPEND_AUTHORIZATION_CODE, {"key": digest, "family": family_id})

    # --- housekeeping ---

    def prune(
        self,
        now: float,
        unused_registration: float = math.inf,
        pruning: Pruning | None = None,
    ) -> int:
        """Delete rows that are no longer needed; see ``prune_rows``.

        Args:
            now: Seconds since the epoch.
            unused_registration: Lifetime of an anonymous registration without a token, in seconds.
            pruning: The state of several steps; None for one step of the maximum size.

        Returns:
            Number of deleted rows.
        """
        pruning = pruning or Pruning(MOST)
        deleted = prune_rows(self._cursor, now, pruning)
        if not pruning.left:
            deleted += self.clients.prune_unused(now - unused_registration, MOST)
        return deleted

    def _changed(self, statement: Prepared, values: dict[str, Any]) -> bool:
        return self._cursor.change(statement, values) == 1
