"""Refresh the token of a credential, in a thread or on an event loop."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from grantway._log import logger
from grantway._types.token import Token

from .credential_config import CredentialConfig
from .driver import perform
from .refresh import Refresh, Step, Steps, stored
from .token_state import FailureState, Snapshot, TokenState


class Refresher:
    """Refreshes the token of a credential.

    Args:
        config: The credential's settings.
        key: Name of the token in the store.
        state: The credential's state; updated by the refresh.
        before: The token to replace; one with an empty ``access_token`` if there is none.
    """

    def __init__(
        self, config: CredentialConfig, key: str, state: TokenState, before: Token
    ) -> None:
        self._config = config
        self._key = key
        self._state = state
        self._before = before

    def refresh(self) -> Token:
        """Return the next token, after it was stored and passed to ``on_token``.

        Raises:
            GrantwayError: No token could be obtained. No refresh token is lost.
        """
        started = self._begin()
        if isinstance(started, Token):
            return started
        seen, steps = started
        with self._failures(seen):
            token = perform(self._config, self._key, steps)
        self._state.finish(token, seen.token)
        return token

    async def refresh_async(self) -> Token:
        """Do the same as ``refresh`` on the event loop."""
        from .async_driver import perform_async  # noqa: PLC0415 - not needed without an event loop

        started = self._begin()
        if isinstance(started, Token):
            return started
        seen, steps = started
        with self._failures(seen):
            token = await perform_async(self._config, self._key, steps)
        self._state.finish(token, seen.token)
        return token

    def look(self) -> Token:
        """Use a token that another process has stored; send nothing to the provider."""
        steps = self._look()
        if steps is not None:
            self._adopt(perform(self._config, self._key, steps))
        return self._before

    async def look_async(self) -> Token:
        """Do the same as ``look`` on the event loop."""
        from .async_driver import perform_async  # noqa: PLC0415 - as in refresh_async()

        steps = self._look()
        if steps is not None:
            self._adopt(await perform_async(self._config, self._key, steps))
        return self._before

    def compare(self) -> Token:
        """Compare the token with the stored one, and drop it if another process deleted that.

        Returns:
            The token that was compared.
        """
        with self._unavailable():
            found = perform(self._config, self._key, stored())
            self._state.compare(found, self._before)
        return self._before

    async def compare_async(self) -> Token:
        """Do the same as ``compare`` on the event loop."""
        from .async_driver import perform_async  # noqa: PLC0415 - as in refresh_async()

        with self._unavailable():
            found = await perform_async(self._config, self._key, stored())
            self._state.compare(found, self._before)
        return self._before

    @contextmanager
    def _unavailable(self) -> Iterator[None]:
        """Postpone the comparison if the block cannot read the store."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - stores of programs may raise anything
            self._state.postpone()
            logger.info(
                "the token for %s could not be compared with the stored one (%s); it stays in use",
                self._config.source.provider.host,
                getattr(error, "code", type(error).__name__),
            )

    def _begin(self) -> Token | tuple[Snapshot, Steps]:
        """Return what the refresh starts from and its steps, or a token that is there already."""
        started = self._state.begin(self._before)
        if isinstance(started, Token):
            return started
        seen, failure = started
        if seen.token.refresh_token and self._config.store is None:
            self._warn_after_fork()
        return seen, Refresh(self._config, failure, seen.token).steps()

    @contextmanager
    def _failures(self, seen: Snapshot) -> Iterator[None]:
        """Record an error of the block as a failure of the refresh."""
        try:
            yield
        except Exception as error:
            self._state.fail(error, seen)
            raise

    def _look(self) -> Generator[Step, Any, Token | None] | None:
        failure = self._state.failure or FailureState()
        if self._config.store is None or failure.unsaved is not None:
            return None
        return Refresh(self._config, failure, self._before).look()

    def _adopt(self, found: Token | None) -> None:
        if found is not None:
            self._state.adopt(found, self._before)

    def _warn_after_fork(self) -> None:
        """Log that a refresh token is used in another process than the one that obtained it."""
        if self._state.process != os.getpid():
            logger.warning(
                "the refresh token for %s was obtained before this process was forked and is used "
                "here now; if another process uses it too, many providers revoke the login. Give "
                "the credential a store that the processes share, such as FileStore",
                self._config.source.provider.host,
            )
