"""More scope or another login for a resource, without loops."""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from cachetools import TTLCache

from grantway._exceptions import LoginNeededError
from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway._types.token import Token
from grantway_plugins.auth._step_up import StepUpChallenge, StepUpRequiredError

from .login import UnsatisfiedError
from .login_call import Login
from .need import Need, Reason, requirements_of
from .settings import ResourceSettings
from .tokens import ResourceTokens

#: Seconds during which a login that did not satisfy the resource is not repeated.
_UNSATISFIED = 300.0

_guard = fork_safe_lock()


class ResourceStepUp(OneProcess):
    """Gets tokens for the challenges of a resource; see ``StepUp``.

    Args:
        settings: The program's settings.
        tokens: The tokens of the resource.
        login: The program's login, or None.
    """

    stays = "it holds a session"
    #: See ``StepUp``.
    name = "login"

    def __init__(
        self, settings: ResourceSettings, tokens: ResourceTokens, login: Login | None
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._login = login
        self._unsatisfied: MutableMapping[object, bool] = TTLCache(64, _UNSATISFIED, time.monotonic)

    @property
    def running(self) -> bool:
        """See ``StepUp``."""
        return self._tokens.jobs.running

    def forget_failures(self) -> None:
        """Let the next challenge start a login in any case."""
        with _guard:
            self._unsatisfied.clear()

    def token(
        self, challenge: StepUpChallenge, presented: tuple[Token, ...]
    ) -> tuple[Token | None, bool]:
        """Return a token that meets a challenge, and whether it is that of a login."""
        with self._required(challenge):
            token = self._tokens.jobs.wait(self._need_for(challenge, presented))
        return token, self._is_of_login(token, challenge)

    async def token_async(
        self, challenge: StepUpChallenge, presented: tuple[Token, ...]
    ) -> tuple[Token | None, bool]:
        """Do the same as ``token`` without blocking the event loop."""
        with self._required(challenge):
            token = await self._tokens.jobs.wait_async(self._need_for(challenge, presented))
        return token, self._is_of_login(token, challenge)

    def failed(self, challenge: StepUpChallenge) -> None:
        """Record that the token of a login does not meet a challenge."""
        with _guard:
            self._unsatisfied[requirements_of(challenge)] = True

    def _is_of_login(self, token: Token, challenge: StepUpChallenge) -> bool:
        return self._tokens.sessions.last_login == (
            token.access_token,
            requirements_of(challenge),
        )

    def _need_for(self, challenge: StepUpChallenge, presented: tuple[Token, ...]) -> Need:
        with _guard:
            known = requirements_of(challenge) in self._unsatisfied
        if known and self._login is not None:
            raise UnsatisfiedError("a login a moment ago did not meet this")
        return Need(
            Reason.STEP_UP,
            tuple(each.access_token for each in presented),
            scope=challenge.scope,
            acr_values=challenge.acr_values,
            max_age=challenge.max_age,
        )

    @contextmanager
    def _required(self, challenge: StepUpChallenge) -> Iterator[None]:
        """Turn the error that only a login helps into one about the challenge."""
        try:
            yield
        except LoginNeededError as error:
            if self._login is None:
                remedy = "pass login=, or log in with client() and pass the token to accept()"
            elif isinstance(error, UnsatisfiedError):
                remedy = f"{error}; call log_in(scope=...) to try again"
            else:
                remedy = str(error).rstrip(".")
            raise StepUpRequiredError(
                f"{self._settings.url} requires {challenge} ({challenge.error}): {remedy}.",
                challenge=challenge,
            ) from error
