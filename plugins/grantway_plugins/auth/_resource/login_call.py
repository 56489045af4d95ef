"""Call the login function of the program."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from grantway._exceptions import FlowCancelledError, GrantwayError
from grantway._transport.deadline import Deadline
from grantway._types.callables import is_async, is_unfinished, kind_of
from grantway._types.token import Token
from grantway_plugins.auth._origin import invalid

if TYPE_CHECKING:
    from grantway._requests.client import Client


class LoginInterruptedError(FlowCancelledError):
    """The login ended without a decision of the user or of the provider."""


#: Logs in: called with the client, ``scope`` and ``resource``, and ``extra`` if a resource requires
#: another login. May be asynchronous.
Login = Callable[..., Token | Awaitable[Token]]

#: The objects whose logins run in this context.
RUNNING_LOGINS: ContextVar[tuple[object, ...]] = ContextVar("RUNNING_LOGINS", default=())
#: Parameters of a login that determine the redirect URI.
_REDIRECT_PARAMETERS = frozenset({"listen", "ports", "redirect_uri"})
#: Seconds between checks whether the event loop of a login was closed.
_CHECK_INTERVAL = 1.0


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
        self._takes_ports = "ports" in known and not _given(login) & _REDIRECT_PARAMETERS
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
        before = RUNNING_LOGINS.set((*RUNNING_LOGINS.get(), self._owner))
        try:
            result: object = self._login(client, **arguments)
            if self._loop is not None and inspect.isawaitable(result):
                result = self._on_loop(self._loop, result)
        finally:
            RUNNING_LOGINS.reset(before)
        if is_unfinished(result):
            self.called = False  # it has not begun
            raise asynchronous_login()
        if not isinstance(result, Token):
            raise invalid("login", f"must return a Token, not {kind_of(result)}.")
        return result

    def interrupted_by(self, error: Exception) -> bool:
        """Return whether the login failed without a decision of the user or of the provider."""
        if isinstance(error, GrantwayError) and error.evidence.step == "registration":
            return False  # each attempt may count toward a limit of the provider
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
            if (deadline.wait(_CHECK_INTERVAL, future) or loop.is_closed()) and future.cancel():
                raise _interrupted()
        try:
            return future.result()
        except CancelledError as error:  # the loop was closed
            raise _interrupted() from error


def _interrupted() -> LoginInterruptedError:
    return LoginInterruptedError(
        "The login was cancelled: nothing waits for it any more, or its event loop was closed."
    )


def asynchronous_login() -> Exception:
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
