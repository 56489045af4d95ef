"""One refresh of a credential: get the next token, and store it before anything else happens."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
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
    StoreUnreadableError,
    TokenError,
)
from grantway._types.callables import is_unfinished, kind_of
from grantway._types.store import Store
from grantway._types.token import Token

from .credential_config import CredentialConfig
from .token_state import FailureState, TokenState

logger = logging.getLogger("grantway")

#: Error codes after which a refresh token is useless. No other error removes a token.
_GONE = (InvalidGrantException, ExpiredTokenException)


class Refresh:
    """One refresh, run by one thread.

    Args:
        config: The credential's settings.
        key: Name of the token in the store.
        state: The credential's state; updated by the refresh.
        before: The token to replace; one with an empty ``access_token`` if there is none.
    """

    def __init__(
        self, config: CredentialConfig, key: str, state: TokenState, before: Token
    ) -> None:
        self._config, self._store, self._key = config, config.store, key
        self._state = state
        self._held = before
        self._failure: FailureState
        self._fence = 0

    def run(self) -> Token:
        """Return the next token, after it was stored and passed to ``on_token``.

        Raises:
            GrantwayError: No token could be obtained. No refresh token is lost.
        """
        started = self._state.begin(self._held)
        if isinstance(started, Token):
            return started
        seen, self._failure = started
        self._held = seen.token
        try:
            token = self._next()
        except Exception as error:
            self._state.fail(error, seen)
            raise
        self._state.finish(token, seen.token)
        return token

    def look(self) -> Token:
        """Use a token that another process has stored; send nothing to the provider."""
        self._failure = self._state.failure or FailureState()
        found = None if self._store is None else load_token(self._store, self._key)
        if self._failure.unsaved is None and self._usable(found):
            self._state.adopt(found, self._held)
        return self._held

    def _next(self) -> Token:
        store, held = self._store, self._held if self._held.access_token else None
        if store is None:
            self._warn_after_fork()
            kept = self._save_unsaved(None)
            return kept if self._usable(kept) else self._request(kept or held)
        if self._failure.unsaved is None and self._usable(found := load_token(store, self._key)):
            return found
        with store.lock(self._key, self._config.timeout) as self._fence:
            # Read again: the previous holder of the lock may have refreshed the token.
            found = self._save_unsaved(load_token(store, self._key))
            return found if self._usable(found) else self._request(found or held)

    def _usable(self, token: Token | None) -> TypeGuard[Token]:
        """Return whether this is a usable token other than the one to replace."""
        unusable = {self._failure.rejected_access_token, self._held.access_token}
        return (
            token is not None
            and token.access_token not in unusable
            and self._config.freshness.time_left(token)[1] > 0
        )

    # --- Requests to the provider -----------------------------------------------------------------

    def _request(self, last: Token | None) -> Token:
        """Request a token: with the refresh token if there is one, otherwise with the grant."""
        store, failure, had_token = self._store, self._failure, last is not None
        rejection: TokenError | None = None
        while last and last.refresh_token and last.refresh_token != failure.rejected_refresh_token:
            # Do not spend the refresh token if the next one could not be stored: this process may
            # end before the store works again.
            check_writable = getattr(store, "check_writable", None)
            if check_writable is not None:
                check_writable(self._key, last)
            try:
                return self._keep(self._send(last), last)
            except _GONE as error:
                if error.token is not None:
                    raise  # a plugin raised this after the provider had issued a token
                failure.rejected_refresh_token = last.refresh_token
                failure.rejection = rejection = error
            # A program that does not take the lock may have used the refresh token a moment ago.
            last = None if store is None else load_token(store, self._key)
            if self._usable(last):
                return last
        if rejection is not None:
            self._withdraw(last)
        return self._keep(self._use_grant(rejection, had_token=had_token), None)

    def _use_grant(self, rejection: TokenError | None, *, had_token: bool) -> Token:
        """Request a token with the grant itself, unless its parameters are missing or spent."""
        config, failure = self._config, self._failure
        if config.waits_for_login or (
            config.spent_at_once and (had_token or failure.single_use_spent)
        ):
            rejection = rejection or failure.rejection
            raise self._login_needed(rejection) from rejection
        try:
            return self._send(None)
        except _GONE as error:
            if error.token is not None or not config.spent_at_once:
                raise
            failure.rejection = rejection = error
        except (OutcomeUnknownError, ResponseInvalidError):
            # Never send a code twice: the provider may treat that as theft and revoke the tokens
            # that it issued (RFC 6749 section 4.1.2).
            failure.single_use_spent = config.grant_type != "refresh_token"
            raise
        failure.single_use_spent = True
        raise self._login_needed(rejection) from rejection

    def _send(self, last: Token | None) -> Token:
        """Send a request. If an error carries a token, store the token before raising.

        The next call completes the refresh: it calls ``on_token`` and returns the token.
        """
        request = self._config.request(last)
        try:
            token = self._config.source.create_token(
                grant_type=request.grant_type, extra=request.extra or None, **request.params
            )
        except BaseException as error:
            issued = getattr(error, "token", None)
            if isinstance(issued, Token):
                vars(error)["token"] = issued = request.complete(issued)
                self._failure.unsaved = (issued, last)
                self._failure.single_use_spent = True
                self._save(issued)
            raise
        return request.complete(token)

    def _login_needed(self, rejection: TokenError | None) -> LoginNeededError:
        source = self._config.source
        whose = f"client {source.client_id!r} at {source.provider.host}"
        if rejection is None:
            return LoginNeededError(
                f"There is no token for {whose}. Log in, and pass the token to accept()."
            )
        return LoginNeededError(
            f"Cannot get a token for {whose}: the provider rejected the refresh token or grant. "
            f"{rejection} Log in again, and pass the token to accept().",
            evidence=rejection.evidence,
        )

    # --- The store --------------------------------------------------------------------------------

    def _keep(self, token: Token, replaced: Token | None) -> Token:
        """Store a token and call ``on_token``. Until both succeed, keep it as unsaved."""
        self._failure.unsaved = (token, replaced)
        kept = self._save(token)
        if kept is token and self._config.on_token is not None:
            result: object = self._config.on_token(token)
            if is_unfinished(result):
                raise ConfigurationError(
                    "on_token: must not be asynchronous; pass a plain function."
                )
        self._failure.unsaved = None
        return kept

    def _save(self, token: Token) -> Token:
        """Save a token, and return it or the newer one that a later holder of the lock saved."""
        store = self._store
        if store is None:
            return token
        try:
            try:
                store.save(self._key, token, fence=self._fence)
            except LeaseLostError:
                newer = load_token(store, self._key)
                if self._usable(newer):
                    return newer
                # The later holder has no usable token, so ours is the newest.
                store.save(self._key, token)
        except StoreError as error:
            raise StoreSaveError(
                f"{error} This process keeps the new token, and the next call saves it.",
                token=token,
            ) from error
        return token

    def _save_unsaved(self, stored: Token | None) -> Token | None:
        """Save a token that could not be saved before, and return the stored token."""
        if self._failure.unsaved is None:
            return stored
        token, replaced = self._failure.unsaved
        # Compare the tokens alone: a store may keep times and scopes in another form. A stored
        # token without a refresh token lost it because ours had replaced it at the provider.
        if (
            stored is None
            or stored.access_token == token.access_token
            or stored.refresh_token is None
            or (replaced is not None and stored.refresh_token == replaced.refresh_token)
        ):
            return self._keep(token, replaced)
        self._failure.unsaved = None  # another login or refresh happened meanwhile and wins
        return stored

    def _withdraw(self, stored: Token | None) -> None:
        """Remove a rejected refresh token; keep an access token that has not expired."""
        store = self._store
        if store is None or stored is None:
            return
        try:
            if stored.access_token != self._failure.rejected_access_token and not stored.expired():
                store.save(self._key, replace(stored, refresh_token=None), fence=self._fence)
            else:
                store.delete(self._key, fence=self._fence)
        except LeaseLostError:
            logger.debug("a newer holder of the lock has saved a token; it stays")

    def _warn_after_fork(self) -> None:
        """Log that a refresh token is used in another process than the one that obtained it."""
        if self._held.refresh_token and self._state.process != os.getpid():
            logger.warning(
                "the refresh token for %s was obtained before this process was forked and is used "
                "here now; if another process uses it too, many providers revoke the login. Give "
                "the credential a store that the processes share, such as FileStore",
                self._config.source.provider.host,
            )


def load_token(store: Store, key: str) -> Token | None:
    """Return the stored token of a key, or None.

    Raises:
        StoreUnreadableError: The store cannot be read, or returned something else.
    """
    found: object = store.load(key)
    if found is None or isinstance(found, Token):
        return found
    name = f"{type(store).__module__}.{type(store).__qualname__}"
    what = "a coroutine" if is_unfinished(found) else kind_of(found)
    raise StoreUnreadableError(
        f"load of the store {name} returned {what}; it must return a grantway.Token or None."
    )
