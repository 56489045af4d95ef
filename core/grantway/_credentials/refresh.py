"""One refresh of a credential as a generator, without I/O.

The generator decides what to load, send and save, and in which order; a driver does it. A new token
is saved before anything else happens.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from grantway._exceptions import (
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
from grantway._log import logger
from grantway._types.token import Token

from .credential_config import CredentialConfig
from .token_request import TokenRequest
from .token_state import FailureState

#: Error codes after which a refresh token is useless. No other error removes a token.
_GONE = (InvalidGrantException, ExpiredTokenException)


@dataclass(frozen=True, slots=True)
class Load:
    """Load the stored token, and receive it or None."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Hold the key's lock until the refresh ends, and receive its fence."""


@dataclass(frozen=True, slots=True)
class CheckWritable:
    """Raise if a token like this one could not be saved, if the store can check that."""

    token: Token


@dataclass(frozen=True, slots=True)
class Save:
    """Save a token."""

    token: Token
    fence: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the stored token."""

    fence: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request to the provider, and receive its token."""

    request: TokenRequest


@dataclass(frozen=True, slots=True)
class Notify:
    """Call ``on_token``, if there is one."""

    token: Token


Step = Load | Lock | CheckWritable | Save | Delete | Send | Notify
#: Yields steps, and receives their results or has their errors thrown in. Returns the next token.
Steps = Generator[Step, Any, Token]


def stored() -> Generator[Step, Any, Token | None]:
    """Return the stored token; send nothing."""
    found: Token | None = yield Load()
    return found


class Refresh:
    """The steps of one refresh.

    Args:
        config: The credential's settings.
        failure: The credential's failures; updated by the refresh.
        held: The token to replace; one with an empty ``access_token`` if there is none.
    """

    def __init__(self, config: CredentialConfig, failure: FailureState, held: Token) -> None:
        self._config = config
        self._stored = config.store is not None
        self._failure = failure
        self._held = held
        self._fence = 0

    def steps(self) -> Steps:
        """Get the next token, unless another thread, process or machine has stored one.

        Raises:
            GrantwayError: No token could be obtained. No refresh token is lost.
        """
        found: Token | None = None
        if self._stored:
            if self._failure.unsaved is None:
                found = yield Load()
                if self._is_usable(found):
                    return found
            self._fence = yield Lock()
            # Load again: the previous holder of the lock may have refreshed the token.
            found = yield Load()
        found = yield from self._save_unsaved(found)
        if self._is_usable(found):
            return found
        last = found
        if found is None and self._config.recheck is None and self._held.access_token:
            # The store may have lost the token. With ``recheck``, it was deleted at a logout.
            last = self._held
        return (yield from self._request(last))

    def look(self) -> Generator[Step, Any, Token | None]:
        """Return a usable token that another process has stored, or None; send nothing."""
        found = yield Load()
        return found if self._is_usable(found) else None

    def _is_usable(self, token: Token | None) -> TypeGuard[Token]:
        """Return whether this is a usable token other than the one to replace."""
        unusable = {self._failure.rejected_access_token, self._held.access_token}
        return (
            token is not None
            and token.access_token not in unusable
            and self._config.freshness.time_left(token)[1] > 0
        )

    # --- Requests to the provider -----------------------------------------------------------------

    def _request(self, last: Token | None) -> Steps:
        """Request a token: with the refresh token if there is one, otherwise with the grant."""
        failure, had_token = self._failure, last is not None
        rejection: TokenError | None = None
        while last and last.refresh_token and last.refresh_token != failure.rejected_refresh_token:
            # Do not spend the refresh token if the next one could not be stored: this process may
            # end before the store works again.
            if self._stored:
                yield CheckWritable(last)
            try:
                token = yield from self._send(last)
            except _GONE as error:
                if error.token is not None:
                    raise  # a plugin raised this after the provider had issued a token
                failure.rejected_refresh_token = last.refresh_token
                failure.rejection = rejection = error
            else:
                # Not in the try block: on_token may raise the same errors for another reason.
                return (yield from self._keep(token, last))
            # A program that does not take the lock may have used the refresh token a moment ago.
            last = (yield Load()) if self._stored else None
            if self._is_usable(last):
                return last
        if rejection is not None:
            yield from self._withdraw(last)
        token = yield from self._use_grant(rejection, had_token=had_token)
        return (yield from self._keep(token, None))

    def _use_grant(self, rejection: TokenError | None, *, had_token: bool) -> Steps:
        """Request a token with the grant itself, unless its parameters are missing or spent."""
        config, failure = self._config, self._failure
        if config.waits_for_login or (
            config.spent_at_once and (had_token or failure.single_use_spent)
        ):
            rejection = rejection or failure.rejection
            raise self._login_needed(rejection) from rejection
        try:
            return (yield from self._send(None))
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

    def _send(self, last: Token | None) -> Steps:
        """Send a request. If an error carries a token, store the token before raising.

        The next call completes the refresh: it calls ``on_token`` and returns the token.
        """
        request = self._config.request(last)
        try:
            token: Token = yield Send(request)
        except BaseException as error:
            issued = getattr(error, "token", None)
            if isinstance(issued, Token):
                vars(error)["token"] = issued = request.complete(issued)
                self._failure.unsaved = (issued, last)
                self._failure.single_use_spent = True
                try:
                    yield from self._save(issued, last)
                except StoreSaveError as unsaved:
                    # Python sets no context for errors that are thrown into a generator.
                    if unsaved.__cause__ is not None:
                        unsaved.__cause__.__context__ = error
                    raise
            raise
        return token if last is None else request.complete(token)

    def _login_needed(self, rejection: TokenError | None) -> LoginNeededError:
        source = self._config.source
        whose = f"client {source.client_id!r} at {source.provider.host}"
        again = "" if rejection is None else " again"
        remedy = self._config.login or f"Log in{again}, and pass the token to accept()."
        if rejection is None:
            return LoginNeededError(f"There is no token for {whose}. {remedy}")
        return LoginNeededError(
            f"Cannot get a token for {whose}: the provider rejected the refresh token or grant. "
            f"{rejection} {remedy}",
            evidence=rejection.evidence,
        )

    # --- The store --------------------------------------------------------------------------------

    def _keep(self, token: Token, replaced: Token | None) -> Steps:
        """Store a token and call ``on_token``. Until both succeed, keep it as unsaved."""
        self._failure.unsaved = (token, replaced)
        kept = yield from self._save(token, replaced)
        if kept is None:
            return (yield from self._request(None))
        if kept is token:
            yield Notify(token)
        self._failure.unsaved = None
        return kept

    def _save(self, token: Token, replaced: Token | None) -> Generator[Step, Any, Token | None]:
        """Save a token, and return it or the newer one that a later holder of the lock saved.

        Returns:
            None if a later holder has logged out, so that the token was discarded.
        """
        if not self._stored:
            return token
        try:
            try:
                yield Save(token, self._fence)
            except LeaseLostError:
                newer = yield Load()
                if self._is_usable(newer):
                    return newer
                if self._logged_out(newer, replaced):
                    self._failure.unsaved = None
                    return None
                # The later holder has no usable token, so ours is the newest.
                yield Save(token, 0)
        except StoreError as error:
            raise StoreSaveError(
                f"{error} This process keeps the new token, and the next call saves it.",
                token=token,
            ) from error
        return token

    def _save_unsaved(self, stored: Token | None) -> Generator[Step, Any, Token | None]:
        """Save a token that could not be saved before, and return the stored token."""
        if self._failure.unsaved is None:
            return stored
        token, replaced = self._failure.unsaved
        if self._logged_out(stored, replaced):
            self._failure.unsaved = None
            return None
        # Compare only the tokens, because a store may change the form of times and scopes. If the
        # stored token has no refresh token, another process removed it after the provider had
        # rejected it, because ours replaced it.
        if (
            stored is None
            or stored.access_token == token.access_token
            or stored.refresh_token is None
            or (replaced is not None and stored.refresh_token == replaced.refresh_token)
        ):
            return (yield from self._keep(token, replaced))
        self._failure.unsaved = None  # a newer login or refresh takes precedence
        return stored

    def _logged_out(self, stored: Token | None, replaced: Token | None) -> bool:
        """Return whether another process deleted the token that an unsaved one replaces."""
        return stored is None and replaced is not None and self._config.recheck is not None

    def _withdraw(self, stored: Token | None) -> Generator[Step, Any, None]:
        """Remove a rejected refresh token; keep an access token that has not expired.

        With ``recheck``, a missing token means a logout, so one that has expired is kept as well.
        Otherwise a process that holds an unsaved successor would discard it.
        """
        if stored is None:
            return
        left = replace(stored, refresh_token=None)
        useless = stored.access_token == self._failure.rejected_access_token or stored.expired()
        try:
            if not useless:
                yield Save(left, self._fence)
            elif self._config.recheck is not None:
                yield Save(replace(left, expires_at=0.0), self._fence)
            else:
                yield Delete(self._fence)
        except LeaseLostError:
            logger.debug("a newer holder of the lock has saved a token; it stays")
