"""What is done in one thread, process and machine at a time: bring a token in place of the last."""

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

#: The provider says that what was presented is worth nothing. Nothing less removes a token.
_GONE = (InvalidGrantException, ExpiredTokenException)


class FailureState:
    """What went wrong with a credential, where something did; most have none.

    Attributes:
        failures: How often in a row no token came.
        paused_until: Monotonic time before which the provider is not asked.
        error: The last failure.
        rejected: An access token that did not work where it was used.
        refused: A refresh token that the provider refused.
        refusal: What it said then.
        spent: What the program gave for the first token is used up.
        unsaved: A token that came and could not be stored, and the one in whose place it came.
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
class Renewal:
    """One renewal.

    Attributes:
        recipe: How a token is had.
        key: The token's name in the store.
        held: The token to be replaced, or None.
        trouble: What went wrong before; kept up to date.
    """

    recipe: CredentialConfig
    key: str
    held: Token | None
    trouble: FailureState

    def run(self) -> Token:
        """The next token: stored, told of, and fit to be used.

        Raises:
            GrantwayError: there is none. No refresh token is lost with it.
        """
        store = self.recipe.store
        if store is None:
            kept = self._resume(None, 0)
            return kept if self._fresh(kept) else self._replace(kept or self.held, 0)
        if self.trouble.unsaved is None and self._fresh(found := load_token(store, self.key)):
            return found
        with store.lock(self.key, self.recipe.client.timeout) as fence:
            # Read again: who held the lock before may have done the work.
            found = self._resume(load_token(store, self.key), fence)
            return found if self._fresh(found) else self._replace(found or self.held, fence)

    def stored(self) -> Token | None:
        """A token that others have stored and that can be used, or None."""
        store = self.recipe.store
        found = None if store is None else load_token(store, self.key)
        return found if self._fresh(found) else None

    def _fresh(self, token: Token | None) -> TypeGuard[Token]:
        """Whether this is a token to use, and not the one to be replaced."""
        return (
            token is not None
            and token.access_token != self.trouble.rejected
            and (self.held is None or token.access_token != self.held.access_token)
            and self.recipe.freshness.lives(token)[1] > 0
        )

    def _replace(self, last: Token | None, fence: int) -> Token:
        """Ask the provider: with the refresh token if there is one, else with the grant."""
        store, had = self.recipe.store, last is not None
        refusal: TokenError | None = None
        while last and last.refresh_token and last.refresh_token != self.trouble.refused:
            # What cannot be stored is better not asked for: this process may end before it can.
            check_writable = getattr(store, "check_writable", None)
            if check_writable is not None:
                check_writable(self.key, last)
            try:
                return self._keep(
                    self._ask(partial(self.recipe.next, last), last, fence), last, fence
                )
            except _GONE as error:
                if error.token is not None:
                    raise  # a plugin's word, after the provider had issued a token
                self.trouble.refused = last.refresh_token
                self.trouble.refusal = refusal = error
            # Not all who write to a store take its lock: they may have used it a moment ago.
            last = None if store is None else load_token(store, self.key)
            if self._fresh(last):
                return last
        if refusal is not None:
            self._withdraw(last, fence)
        return self._keep(self._first(had, refusal, fence), None, fence)

    def _first(self, had: bool, refusal: TokenError | None, fence: int) -> Token:
        """Ask with the grant itself, if what it needs is there and not used up."""
        recipe = self.recipe
        if recipe.waits_for_login or (recipe.spent_at_once and (had or self.trouble.spent)):
            refusal = refusal or self.trouble.refusal
            raise self._login_needed(refusal) from refusal
        try:
            return self._ask(recipe.first, None, fence)
        except _GONE as error:
            if error.token is not None or not recipe.spent_at_once:
                raise
            self.trouble.refusal = refusal = error
        except (OutcomeUnknownError, ResponseInvalidError):
            # A code that was sent is not sent again: a provider may take that for theft and
            # revoke what it issued (RFC 6749 section 4.1.2). A refresh token is all there is.
            self.trouble.spent = recipe.grant_type != "refresh_token"
            raise
        self.trouble.spent = True
        raise self._login_needed(refusal) from refusal

    def _ask(self, ask: Callable[[], Token], last: Token | None, fence: int) -> Token:
        """Ask the provider. Store a token that came before an error, then raise the error.

        The next call completes the renewal: it calls ``on_token`` and gives the token out.
        """
        try:
            return ask()
        except BaseException as error:
            token = getattr(error, "token", None)
            if isinstance(token, Token):
                self.trouble.unsaved = (token, last)
                self.trouble.spent = True
                self._save_or_wait(token, fence)
            raise

    def _login_needed(self, refusal: TokenError | None) -> LoginNeededError:
        client = self.recipe.client
        whose = f"client {client.client_id!r} at {client.provider.host}"
        if refusal is None:
            return LoginNeededError(
                f"There is no token for {whose}: log in, and give the token to accept()."
            )
        return LoginNeededError(
            f"There is no token for {whose}, and what it could be had for was refused: "
            f"{refusal} Log in again, and give the token to accept().",
            evidence=refusal.evidence,
        )

    def _keep(self, token: Token, replaced: Token | None, fence: int) -> Token:
        """Store a token and tell of it; until both are done it is not given out, nor lost."""
        self.trouble.unsaved = (token, replaced)
        kept = self._save_or_wait(token, fence)
        if kept is token and self.recipe.on_token is not None:
            told: object = self.recipe.on_token(token)
            if is_unfinished(told):
                raise ConfigurationError("on_token: is asynchronous; give a plain function.")
        self.trouble.unsaved = None
        return kept

    def _save_or_wait(self, token: Token, fence: int) -> Token:
        try:
            return self._save(token, fence)
        except StoreError as error:
            raise StoreSaveError(
                f"{error} The new token waits in this process, and the next call saves it.",
                token=token,
            ) from error

    def _save(self, token: Token, fence: int) -> Token:
        """Save a token, unless a later holder of the lock has saved a newer one: then that."""
        store = self.recipe.store
        if store is None:
            return token
        try:
            store.save(self.key, token, fence=fence)
        except LeaseLostError:
            newer = load_token(store, self.key)
            if self._fresh(newer):
                return newer
            # Who came later got no token that can be used, so ours is the last there is.
            store.save(self.key, token)
        return token

    def _resume(self, stored: Token | None, fence: int) -> Token | None:
        """What is stored, once a token that could not be saved before is saved."""
        if self.trouble.unsaved is None:
            return stored
        token, replaced = self.trouble.unsaved
        # By its tokens: a store may keep a time or a scope in another form. One that has lost its
        # refresh token lost it because ours had taken its place at the provider.
        if (
            stored is None
            or stored.access_token == token.access_token
            or stored.refresh_token is None
            or (replaced is not None and stored.refresh_token == replaced.refresh_token)
        ):
            return self._keep(token, replaced, fence)
        self.trouble.unsaved = None  # another login or refresh came in between, and counts
        return stored

    def _withdraw(self, stored: Token | None, fence: int) -> None:
        """Remove what the provider refused; an access token that still lives stays to the end."""
        store = self.recipe.store
        if store is None or stored is None:
            return
        try:
            if stored.access_token != self.trouble.rejected and not stored.expired():
                store.save(self.key, replace(stored, refresh_token=None), fence=fence)
            else:
                store.delete(self.key, fence=fence)
        except LeaseLostError:
            logger.debug("a newer holder of the lock has written; its token stays")
