"""Perform a refresh with blocking calls of the store and the token source."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any, TypeVar

from grantway._exceptions import ConfigurationError, StoreUnreadableError
from grantway._types.callables import is_unfinished, kind_of
from grantway._types.token import Token

from .credential_config import CredentialConfig
from .refresh import CheckWritable, Delete, Load, Lock, Notify, Refresh, Save, Send, Step
from .token_state import FailureState, TokenState

logger = logging.getLogger("grantway")

Found = TypeVar("Found")


class Refresher:
    """Refreshes the token of a credential, in the calling thread.

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
        started = self._state.begin(self._before)
        if isinstance(started, Token):
            return started
        seen, failure = started
        if seen.token.refresh_token and self._config.store is None:
            self._warn_after_fork()
        steps = Refresh(self._config, failure, seen.token).steps()
        try:
            token = self._perform(steps)
        except Exception as error:
            self._state.fail(error, seen)
            raise
        self._state.finish(token, seen.token)
        return token

    def look(self) -> Token:
        """Use a token that another process has stored; send nothing to the provider."""
        failure = self._state.failure or FailureState()
        if self._config.store is not None and failure.unsaved is None:
            found = self._perform(Refresh(self._config, failure, self._before).look())
            if found is not None:
                self._state.adopt(found, self._before)
        return self._before

    def _perform(  # noqa: C901, PLR0912 - one case for each step
        self, steps: Generator[Step, Any, Found]
    ) -> Found:
        """Do the steps that a generator yields, and return its result."""
        config, key = self._config, self._key
        store: Any = config.store
        result: Any = None
        error: BaseException | None = None
        with ExitStack() as lock:
            while True:
                try:
                    step = steps.send(result) if error is None else steps.throw(error)
                except StopIteration as done:
                    found: Found = done.value
                    return found
                result = error = None
                try:
                    match step:
                        case Load():
                            result = store.load(key)
                            if not isinstance(result, Token | None):
                                error = _not_a_token(store, result)
                        case Lock():
                            result = lock.enter_context(store.lock(key, config.timeout))
                        case CheckWritable(token):
                            check_writable = getattr(store, "check_writable", None)
                            if check_writable is not None:
                                check_writable(key, token)
                        case Save(token, fence):
                            store.save(key, token, fence=fence)
                        case Delete(fence):
                            store.delete(key, fence=fence)
                        case Send(request):
                            result = config.source.create_token(
                                grant_type=request.grant_type,
                                extra=request.extra or None,
                                **request.params,
                            )
                        case Notify(token):
                            if config.on_token is not None:
                                _notify(config.on_token, token)
                except BaseException as raised:  # noqa: BLE001 - raised again in the generator
                    error = raised

    def _warn_after_fork(self) -> None:
        """Log that a refresh token is used in another process than the one that obtained it."""
        if self._state.process != os.getpid():
            logger.warning(
                "the refresh token for %s was obtained before this process was forked and is used "
                "here now; if another process uses it too, many providers revoke the login. Give "
                "the credential a store that the processes share, such as FileStore",
                self._config.source.provider.host,
            )


def _notify(on_token: Callable[[Token], object], token: Token) -> None:
    if is_unfinished(on_token(token)):
        raise ConfigurationError("on_token: must not be asynchronous; pass a plain function.")


def _not_a_token(store: object, found: object) -> StoreUnreadableError:
    name = f"{type(store).__module__}.{type(store).__qualname__}"
    what = "a coroutine" if is_unfinished(found) else kind_of(found)
    return StoreUnreadableError(
        f"load of the store {name} returned {what}; it must return a grantway.Token or None."
    )
