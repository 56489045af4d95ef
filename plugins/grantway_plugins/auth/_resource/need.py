"""Why a token is needed, and the login that gets it."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import inspect
import math
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grantway._exceptions import FlowCancelledError
from grantway._transport.deadline import Deadline
from grantway._types.callables import is_async, is_unfinished, kind_of
from grantway._types.token import Token
from grantway_plugins.auth._origin import invalid

if TYPE_CHECKING:
    from grantway._requests.client import Client
    from grantway_plugins.auth._step_up import StepUpChallenge


class LoginInterruptedError(FlowCancelledError):
    """The login ended without a decision of the user or of the provider."""


#: Logs in: called with the client, ``scope`` and ``resource``, and ``extra`` if a resource requires
#: another login. May be asynchronous.
Login = Callable[..., Token | Awaitable[Token]]

#: The objects whose logins run in this context.
RUNNING: ContextVar[tuple[object, ...]] = ContextVar("RUNNING", default=())
#: Parameters of a login that determine the redirect URI.
_ADDRESS = frozenset({"listen", "ports", "redirect_uri"})
#: Seconds between checks whether the event loop of a login was closed.
_CHECK = 1.0


@dataclass(frozen=True, slots=True)
class Need:
    """Why a token is needed.

    Attributes:
        presented: Access tokens that the resource rejected.
        scope: The scope that the resource requires.
        acr_values: The authentication context classes that the resource requires.
        max_age: The maximum age of the login in seconds, or None.
        step_up: Whether the resource requires more scope or another login.
        forced: Whether to log in even if there is a token.
        reconsider: Whether the resource rejected a token and its replacement, so that its issuer
            may have changed.
        first: Whether to return without a login if there has never been one.
        failure: Error of the last request to the provider, or None.
        failed_client: The ``client_id`` of that request, or None.
    """

    presented: tuple[str, ...] = field(default=(), repr=False)
    scope: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    step_up: bool = False
    forced: bool = False
    reconsider: bool = False
    first: bool = False
    failure: Exception | None = None
    failed_client: str | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for needs that one login meets."""
        return (
            self.step_up,
            self.forced,
            self.reconsider,
            self.first,
            wanted(self),
        )

    @property
    def own_key(self) -> tuple[object, ...]:
        """Equal for needs with the same rejected tokens. It does not show them in tracebacks."""
        digests = (hashlib.sha256(each.encode()).digest() for each in self.presented)
        return *self.key, frozenset(digests)

    def met_by(self, token: Token) -> bool:
        """Return whether a token may meet the need."""
        if self.forced or token.access_token in self.presented:
            return False
        if not self.step_up:
            return True
        # After a second challenge only a login helps, unless the token says that it has the scope.
        if token.scope is None or not self.scope:
            return len(self.presented) <= 1
        return set(self.scope) <= set(token.scope)

    @property
    def extra(self) -> dict[str, Any]:
        """Parameters of the login (RFC 9470 section 4)."""
        given: dict[str, Any] = {}
        if self.acr_values:
            given["acr_values"] = " ".join(self.acr_values)
        if self.max_age is not None:
            given["max_age"] = self.max_age
        return given


def wanted(need: Need | StepUpChallenge) -> object:
    """Return what a resource requires of a login."""
    return frozenset(need.scope), need.acr_values, need.max_age


class LoginCall:
    """Calls the program's login function in a thread.

    Args:
        owner: The object that needs the token.
        login: The function.
        redirect_uri: The redirect URI that the program gave, or None.
        loop: The event loop of the caller, which runs asynchronous functions; None for callers
            without one.
        cancel: Set when no caller waits any more.
    """

    def __init__(
        self,
        owner: object,
        login: Login,
        redirect_uri: str | None,
        loop: asyncio.AbstractEventLoop | None,
        cancel: threading.Event,
    ) -> None:
        self._owner = owner
        self._login = login
        self._loop = loop
        self.cancel = cancel
        #: Whether the function was called.
        self.called = False
        known, any_name = _parameters(login)
        self._takes_extra = any_name or "extra" in known
        self._takes_ports = "ports" in known and not _given(login) & _ADDRESS
        self._options: dict[str, Any] = {}
        if redirect_uri is not None and "redirect_uri" in known:
            self._options["redirect_uri"] = redirect_uri
        if "cancel" in known and not is_async(login):
            self._options["cancel"] = cancel

    def __call__(
        self,
        client: Client,
        scope: tuple[str, ...],
        extra: dict[str, Any],
        ports: tuple[int, ...] | None = None,
    ) -> Token:
        """Log in, and return the token."""
        arguments = {"scope": scope or None, "resource": client.provider.resource, **self._options}
        if ports is not None and self._takes_ports:
            arguments["ports"] = ports
        if extra:
            if not self._takes_extra:
                raise invalid(
                    "login",
                    "must have the parameter extra, because the resource requires another login "
                    f"({', '.join(extra)}).",
                )
            arguments["extra"] = extra
        self.called = True
        before = RUNNING.set((*RUNNING.get(), self._owner))
        try:
            result: object = self._login(client, **arguments)
            if self._loop is not None and inspect.isawaitable(result):
                result = self._on_loop(self._loop, result)
        finally:
            RUNNING.reset(before)
        if is_unfinished(result):
            self.called = False  # it has not begun
            raise is_asynchronous()
        if not isinstance(result, Token):
            raise invalid("login", f"must return a Token, not {kind_of(result)}.")
        return result

    def interrupted_by(self, error: Exception) -> bool:
        """Return whether the login failed without a decision of the user or of the provider."""
        interrupted = isinstance(error, LoginInterruptedError)
        return interrupted or not self.called or self.cancel.is_set()

    def _on_loop(self, loop: asyncio.AbstractEventLoop, login: Awaitable[object]) -> object:
        async def log_in() -> object:
            return await login

        coroutine = log_in()
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError as error:  # the loop is closed
            coroutine.close()
            if inspect.iscoroutine(login):
                login.close()
            raise _interrupted() from error
        deadline = Deadline(math.inf, self.cancel)
        while not future.done():
            # A login that has ended meanwhile is not cancelled, so that its token is stored.
            if (deadline.wait(_CHECK, future) or loop.is_closed()) and future.cancel():
                raise _interrupted()
        try:
            return future.result()
        except CancelledError as error:  # the loop was closed
            raise _interrupted() from error


def _interrupted() -> LoginInterruptedError:
    return LoginInterruptedError(
        "The login was cancelled: nothing waits for it any more, or its event loop was closed."
    )


def is_asynchronous() -> Exception:
    """Return the error for an asynchronous login without an event loop."""
    return invalid(
        "login",
        "is async, but this call is not; use an async client or token_async(), or pass a function "
        "that is not async.",
    )


def _given(function: object) -> frozenset[str]:
    """Return the names of the parameters for which a partial function has values."""
    given: set[str] = set()
    while isinstance(function, functools.partial):
        given |= function.keywords.keys()
        function = function.func
    return frozenset(given)


def _parameters(function: object) -> tuple[frozenset[str], bool]:
    """Return the names of the parameters, and whether any name is accepted."""
    while isinstance(function, functools.partial):
        function = function.func
    try:
        found = inspect.signature(function).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return frozenset(), True
    return frozenset(found), any(each.kind is each.VAR_KEYWORD for each in found.values())
