"""One refresh of a credential: get the next token, and store it before anything else happens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeGuard

from grantway._exceptions import (
    ConfigurationError,
    ExpiredTokenException,
    InvalidGrantException,
    LeaseLostError,
    LoginNeededError,
    OutcomeUnknownError,
    ResponseInvalidError,
    StoreError,
    StoreSaveError,
    TokenError,
)
from grantway._types.callables import is_unfinished
from grantway._types.store import load_token
from grantway._types.token import Token

from .credential_config import CredentialConfig

logger = logging.getLogger("grantway")

#: Error codes after which a refresh token is useless. No other error removes a token.
_GONE = (InvalidGrantException, ExpiredTokenException)


class FailureState:
    """The failures of a credential. Most credentials have none.

    Attributes:
        failures: Number of consecutive failed refreshes.
        paused_until: Monotonic time before which no request is sent to the provider.
        error: The last failure.
        rejected: An access token that a resource server rejected.
        refused: A refresh token that the provider rejected.
        refusal: The provider's error for ``refused``.
        spent: Whether the single-use parameters of the grant, such as a code, are used up.
        unsaved: A token that could not be stored, and the token that it replaces.
    """

    __slots__ = (
        "error",
        "failures",
        "paused_until",
        "refusal",
        "refused",
        "rejected",
        "spent",
        "unsaved",
    )

    def __init__(self) -> None:
        self.failures = 0
        self.paused_until = 0.0
        self.error: Exception | None = None
        self.rejected: str | None = None
        self.refused: str | None = None
        self.refusal: TokenError | None = None
        self.spent = False
        self.unsaved: tuple[Token, Token | None] | None = None


@dataclass(frozen=True, slots=True)
class Refresh:
    """One refresh.

    Attributes:
        config: The credential's settings.
        key: Name of the token in the store.
        held: The token to replace, or None.
        state: The credential's failures; updated by the refresh.
    """

    config: CredentialConfig
    key: str
    held: Token | None
    state: FailureState

    def run(self) -> Token:
        """Return the next token, after it was stored and passed to ``on_token``.

        Raises:
            GrantwayError: No token could be obtained. No refresh token is lost.
        """
        store = self.config.store
        if store is None:
            kept = self._resume(None, 0)
            return kept if self._fresh(kept) else self._replace(kept or self.held, 0)
        if self.state.unsaved is None and self._fresh(found := load_token(store, self.key)):
            return found
        with store.lock(self.key, self.config.client.timeout) as fence:
            # Read again: the previous holder of the lock may have refreshed the token.
            found = self._resume(load_token(store, self.key), fence)
            return found if self._fresh(found) else self._replace(found or self.held, fence)

    def stored(self) -> Token | None:
        """Return a usable token that another process has stored, or None."""
        store = self.config.store
        found = None if store is None else load_token(store, self.key)
        return found if self._fresh(found) else None

    def _fresh(self, token: Token | None) -> TypeGuard[Token]:
        """Return whether this is a usable token other than the one to replace."""
        return (
            token is not None
            and token.access_token != self.state.rejected
            and (self.held is None or token.access_token != self.held.access_token)
            and self.config.freshness.time_left(token)[1] > 0
        )

    def _replace(self, last: Token | None, fence: int) -> Token:
        """Request a token: with the refresh token if there is one, otherwise with the grant."""
        store, had = self.config.store, last is not None
        refusal: TokenError | None = None
        while last and last.refresh_token and last.refresh_token != self.state.refused:
            # Do not spend the refresh token if the next one could not be stored: this process may
            # end before the store works again.
            check_writable = getattr(store, "check_writable", None)
            if check_writable is not None:
                check_writable(self.key, last)
            try:
                return self._keep(
                    self._ask(partial(self.config.next, last), last, fence), last, fence
                )
            except _GONE as error:
                if error.token is not None:
                    raise  # a plugin raised this after the provider had issued a token
                self.state.refused = last.refresh_token
                self.state.refusal = refusal = error
            # A program that does not take the lock may have used the refresh token a moment ago.
            last = None if store is None else load_token(store, self.key)
            if self._fresh(last):
                return last
        if refusal is not None:
            self._withdraw(last, fence)
        return self._keep(self._first(had, refusal, fence), None, fence)

    def _first(self, had: bool, refusal: TokenError | None, fence: int) -> Token:
        """Request a token with the grant itself, unless its parameters are missing or spent."""
        config = self.config
        if config.waits_for_login or (config.spent_at_once and (had or self.state.spent)):
            refusal = refusal or self.state.refusal
            raise self._login_needed(refusal) from refusal
        try:
            return self._ask(config.first, None, fence)
        except _GONE as error:
            if error.token is not None or not config.spent_at_once:
                raise
            self.state.refusal = refusal = error
        except (OutcomeUnknownError, ResponseInvalidError):
            # Never send a code twice: the provider may treat that as theft and revoke the tokens
            # that it issued (RFC 6749 section 4.1.2).
            self.state.spent = config.grant_type != "refresh_token"
            raise
        self.state.spent = True
        raise self._login_needed(refusal) from refusal

    def _ask(self, ask: Callable[[], Token], last: Token | None, fence: int) -> Token:
        """Send a request. If an error carries a token, store the token before raising.

        The next call completes the refresh: it calls ``on_token`` and returns the token.
        """
        try:
            return ask()
        except BaseException as error:
            token = getattr(error, "token", None)
            if isinstance(token, Token):
                self.state.unsaved = (token, last)
                self.state.spent = True
                self._save_or_wait(token, fence)
            raise

    def _login_needed(self, refusal: TokenError | None) -> LoginNeededError:
        client = self.config.client
        whose = f"client {client.client_id!r} at {client.provider.host}"
        if refusal is None:
            return LoginNeededError(
                f"There is no token for {whose}. Log in, and pass the token to accept()."
            )
        return LoginNeededError(
            f"Cannot get a token for {whose}: the provider rejected the refresh token or grant. "
            f"{refusal} Log in again, and pass the token to accept().",
            evidence=refusal.evidence,
        )

    def _keep(self, token: Token, replaced: Token | None, fence: int) -> Token:
        """Store a token and call ``on_token``. Until both succeed, keep it as unsaved."""
        self.state.unsaved = (token, replaced)
        kept = self._save_or_wait(token, fence)
        if kept is token and self.config.on_token is not None:
            result: object = self.config.on_token(token)
            if is_unfinished(result):
                raise ConfigurationError(
                    "on_token: must not be asynchronous; pass a plain function."
                )
        self.state.unsaved = None
        return kept

    def _save_or_wait(self, token: Token, fence: int) -> Token:
        try:
            return self._save(token, fence)
        except StoreError as error:
            raise StoreSaveError(
                f"{error} This process keeps the new token, and the next call saves it.",
                token=token,
            ) from error

    def _save(self, token: Token, fence: int) -> Token:
        """Save a token, and return it or the newer one that a later holder of the lock saved."""
        store = self.config.store
        if store is None:
            return token
        try:
            store.save(self.key, token, fence=fence)
        except LeaseLostError:
            newer = load_token(store, self.key)
            if self._fresh(newer):
                return newer
            # The later holder has no usable token, so ours is the newest.
            store.save(self.key, token)
        return token

    def _resume(self, stored: Token | None, fence: int) -> Token | None:
        """Save a token that could not be saved before, and return the stored token."""
        if self.state.unsaved is None:
            return stored
        token, replaced = self.state.unsaved
        # Compare the tokens alone: a store may keep times and scopes in another form. A stored
        # token without a refresh token lost it because ours had replaced it at the provider.
        if (
            stored is None
            or stored.access_token == token.access_token
            or stored.refresh_token is None
            or (replaced is not None and stored.refresh_token == replaced.refresh_token)
        ):
            return self._keep(token, replaced, fence)
        self.state.unsaved = None  # another login or refresh happened meanwhile and wins
        return stored

    def _withdraw(self, stored: Token | None, fence: int) -> None:
        """Remove a rejected refresh token; keep an access token that has not expired."""
        store = self.config.store
        if store is None or stored is None:
            return
        try:
            if stored.access_token != self.state.rejected and not stored.expired():
                store.save(self.key, replace(stored, refresh_token=None), fence=fence)
            else:
                store.delete(self.key, fence=fence)
        except LeaseLostError:
            logger.debug("a newer holder of the lock has saved a token; it stays")
