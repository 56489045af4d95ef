"""Tokens from the callback ``on_step_up``, which concurrent requests share."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from weakref import WeakKeyDictionary

from grantway._exceptions import GrantwayError
from grantway._processes.copies import OneProcess
from grantway._types.callables import is_async, is_unfinished, kind_of
from grantway._types.token import Token

from ._bearer import TokenSource
from ._origin import invalid
from ._step_up import OnStepUp, StepUpChallenge

#: The objects whose callbacks run in this context.
_RUNNING: ContextVar[tuple[StepUpTokens, ...]] = ContextVar("_RUNNING", default=())


class StepUpTokens(OneProcess):
    """Calls ``on_step_up`` for one request at a time.

    A request that waited for the call of another one first uses the token that the source has by
    then, so that many requests that are rejected at once lead to one login.

    Args:
        source: Source of tokens, to which the callback usually passes its token.
        on_step_up: The callback.
        timeout: Maximum seconds to wait for a token of the source, or None for its limit.
    """

    stays = "it holds locks"
    #: See ``StepUp``.
    name = "on_step_up"

    __slots__ = ("_lock", "_locks", "_on_step_up", "_source", "_timeout")

    def __init__(self, source: TokenSource, on_step_up: OnStepUp, timeout: float | None) -> None:
        self._source = source
        self._on_step_up = on_step_up
        self._timeout = timeout
        self._lock = threading.Lock()
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            WeakKeyDictionary()
        )

    @property
    def running(self) -> bool:
        """Whether the callback sends the current request itself, so that it must not be called."""
        return self in _RUNNING.get()

    def token(
        self, challenge: StepUpChallenge, presented: tuple[Token, ...]
    ) -> tuple[Token | None, bool]:
        """Return a token for a retry, or None, and whether it is the callback's.

        Args:
            challenge: The requirements of the resource.
            presented: The tokens that do not meet them.
        """
        if is_async(self._on_step_up):
            raise _async()
        with self._lock:
            with contextlib.suppress(GrantwayError):
                if _is_new(token := self._source.token(self._timeout), presented):
                    return token, False
            with self._run():
                result = self._on_step_up(challenge)
        if is_unfinished(result):
            raise _async()
        return _checked(result), True

    async def token_async(
        self, challenge: StepUpChallenge, presented: tuple[Token, ...]
    ) -> tuple[Token | None, bool]:
        """Do the same as ``token`` without blocking the event loop."""
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            with contextlib.suppress(GrantwayError):
                if _is_new(token := await self._source.token_async(self._timeout), presented):
                    return token, False
            with self._run():
                if is_async(self._on_step_up):
                    result = self._on_step_up(challenge)
                else:
                    result = await asyncio.to_thread(self._on_step_up, challenge)
                result = await result if inspect.isawaitable(result) else result
            return _checked(result), True

    def failed(self, challenge: StepUpChallenge) -> None:
        """See ``StepUp``; the function decides about each challenge itself."""

    @contextlib.contextmanager
    def _run(self) -> Iterator[None]:
        before = _RUNNING.set((*_RUNNING.get(), self))
        try:
            yield
        finally:
            _RUNNING.reset(before)


def _is_new(token: Token, presented: tuple[Token, ...]) -> bool:
    return len(presented) == 1 and token.access_token != presented[0].access_token


def _async() -> Exception:
    return invalid(
        "on_step_up",
        "is async, but this HTTP client is not; use an async client, or pass a function that is "
        "not async.",
    )


def _checked(token: object) -> Token | None:
    if token is None or isinstance(token, Token):
        return token
    raise invalid("on_step_up", f"must return a Token or None, not {kind_of(token)}.")
