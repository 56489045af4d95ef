"""The health of a provider according to recent requests, for ``/readyz`` and the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grantway._exceptions import (
    GrantwayError,
    InternalServerException,
    InvalidClientException,
    ProviderPausedError,
    SecretUnavailableError,
    TemporarilyUnavailableError,
    TransportError,
    UnauthorizedClientException,
    UnknownTokenError,
)

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._wire.provider_response import ProviderResponse

#: Seconds between two log lines about the same error code.
_LOG_EVERY = 60.0

_log = logging.getLogger("grantway.gateway")

#: Errors caused by the provider or the gateway's registration, not by a single request.
_FAILING = (
    InternalServerException,
    InvalidClientException,
    SecretUnavailableError,
    TemporarilyUnavailableError,
    TransportError,
    UnauthorizedClientException,
    UnknownTokenError,
)


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """The health of a provider, without secrets.

    Attributes:
        failing: Whether the last request failed because of the provider or the registration.
        code: grantway's error code of the last failure, or an empty string.
        since: Start of this state as Unix time.
        last: Unix time of the last outcome, or 0 if there is none.
    """

    failing: bool
    code: str
    since: float
    last: float = 0.0


class UpstreamHealth:
    """Records the outcome of requests, as a middleware of all clients of one provider.

    A failure is logged at most once per minute and error code, and a recovery once.

    Args:
        provider: Name of the provider in the file.
        clock: Returns seconds of a monotonic clock.

    Attributes:
        routes: Names of the routes that need the provider.
    """

    def __init__(self, provider: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.routes: tuple[str, ...] = ()
        self._provider = provider
        self._clock = clock
        self._logged: dict[str, float] = {}
        self._announced = False
        self._health = ProviderHealth(failing=False, code="", since=time.time())

    @property
    def health(self) -> ProviderHealth:
        """The current health of the provider."""
        return self._health

    def __call__(
        self, exchange: Exchange
    ) -> Generator[Exchange, ProviderResponse, ProviderResponse]:
        """Forward a request and record its outcome."""
        try:
            response = yield exchange
        except GrantwayError as error:
            self.failed(error)
            raise
        self.works()
        return response

    def works(self) -> None:
        """Record a success."""
        self._move("")

    def failed(self, error: GrantwayError) -> None:
        """Record a failure. An error caused by the request alone counts as a success."""
        if isinstance(error, ProviderPausedError):
            return  # no request was sent
        failing = isinstance(error, _FAILING)
        if failing:
            self._log_failure(error)
        self._move(error.code if failing else "")

    def _log_failure(self, error: GrantwayError) -> None:
        now = self._clock()
        if now - self._logged.get(error.code, -_LOG_EVERY) < _LOG_EVERY:
            return
        self._logged[error.code] = now
        self._announced = True
        advice = "See /readyz of the admin listener."
        if isinstance(error, InvalidClientException | UnauthorizedClientException):
            advice = "Check the client ID and secret at the provider."
        elif isinstance(error, SecretUnavailableError):
            advice = f"{error.message}."
        # Of other errors, log grantway's class and code only, not text received from the provider.
        _log.warning(
            "Provider %s issues no tokens: %s (%s). Affected routes: %s. %s",
            self._provider,
            error.code,
            type(error).__name__,
            ", ".join(self.routes) or "none",
            advice,
        )

    def _move(self, code: str) -> None:
        before = self._health
        if before.failing and not code and self._announced:
            self._announced = False
            _log.warning(
                "Provider %s works again, after %.0f seconds of %s",
                self._provider,
                max(0.0, time.time() - before.since),
                before.code,
            )
        now = time.time()
        since = before.since if before.failing == bool(code) else now
        self._health = ProviderHealth(failing=bool(code), code=code, since=since, last=now)
