"""Run the steps of logins in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

from grantway._exceptions import PluginError
from grantway._processes.copies import OneProcess

from .interface import LoginFailure, LoginOutcome, LoginRequest
from .method import LoginMethod

T = TypeVar("T")

#: Time limit for one step of a login, in seconds.
STEP_SECONDS = 20.0
#: Maximum number of steps at the same time; others wait.
_THREADS = 32
_FAILED = "The login of this site failed. Try again; if it still fails, tell its operator."
_SLOW = LoginFailure(
    "The login took too long. Try again in a few minutes. If it still fails, tell the operator of "
    "this site.",
    f"it did not finish within {STEP_SECONDS:g} seconds",
    504,
)


class LoginSteps(OneProcess):
    """Runs the steps of logins in threads, so that a slow provider delays only its users.

    Args:
        method: How users log in.
    """

    def __init__(self, method: LoginMethod) -> None:
        self._method = method
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="grantway-login")

    async def run(self, step: Literal["begin", "finish"], request: LoginRequest) -> LoginOutcome:
        """Return the outcome of a step. An exception becomes a failure without its text."""
        method = self._method.begin if step == "begin" else self._method.finish
        try:
            return await self._run(lambda: method(request))
        except TimeoutError:
            return _SLOW
        except Exception as error:  # noqa: BLE001 - it may contain a secret
            return failure_of(error)

    async def end_session_url(self, url: str, state: str) -> str | None:
        """Return where to log out of the provider, or None; see ``LoginMethod``."""
        try:
            return await self._run(lambda: self._method.end_session_url(url, state))
        except Exception:  # noqa: BLE001 - the user is logged out here in any case
            return None

    async def _run(self, work: Callable[[], T]) -> T:
        async with asyncio.timeout(STEP_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def failure_of(error: Exception) -> LoginFailure:
    """Return the failure for an exception. ``PluginError``'s message contains no secret."""
    reason = (
        error.message if isinstance(error, PluginError) else f"it raised {type(error).__name__}"
    )
    return LoginFailure(_FAILED, reason, 500)
