"""How a provider does, by the last calls of it: for the health page and the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grantway._exceptions import (
    GrantwayError,
    InternalServerException,
    InvalidClientException,
    ProviderPausedError,
    TemporarilyUnavailableError,
    TransportError,
    UnauthorizedClientException,
    UnknownTokenError,
)

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._requests.middleware import Next
    from grantway._wire.provider_response import ProviderResponse

#: Seconds between two log lines about the same error code.
_LOG_EVERY = 60.0

_log = logging.getLogger("grantway.gateway")

#: What the provider or the gateway's registration at it is to blame for, and no single request.
_FAILING = (
    InternalServerException,
    InvalidClientException,
    TemporarilyUnavailableError,
    TransportError,
    UnauthorizedClientException,
    UnknownTokenError,
)


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """How a provider does. Holds no secret.

    Attributes:
        failing: Whether its last call failed by its own fault, or the gateway's.
        code: grantway's word for the last failure, or empty.
        since: Unix time since which it has been so.
    """

    failing: bool
    code: str
    since: float


class UpstreamHealth:
    """Notes how calls end, as a middleware of all clients of one provider.

    A failure is logged once per error code and minute, and the recovery once after that.

    Args:
        provider: The provider's name in the file.
        clock: Seconds from a clock that never runs backwards.

    Attributes:
        routes: The names of the routes that need the provider.
    """

    def __init__(self, provider: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.routes: tuple[str, ...] = ()
        self._provider = provider
        self._clock = clock
        self._logged: dict[str, float] = {}
        self._announced = False
        self._standing = ProviderHealth(failing=False, code="", since=time.time())

    @property
    def standing(self) -> ProviderHealth:
        """How the provider does now."""
        return self._standing

    def __call__(self, exchange: Exchange, call_next: Next) -> ProviderResponse:
        """Pass a call on, and note how it ended."""
        try:
            answer = call_next(exchange)
        except GrantwayError as error:
            self.failed(error)
            raise
        self.works()
        return answer

    def works(self) -> None:
        """Note that the provider answered as it should."""
        self._move("")

    def failed(self, error: GrantwayError) -> None:
        """Record a failure; an error of the request alone counts as a success."""
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
        # The class and the code are grantway's own words; the provider's own text is left out.
        _log.warning(
            "Provider %s gives no tokens: %s (%s). Routes that need them: %s. %s",
            self._provider,
            error.code,
            type(error).__name__,
            ", ".join(self.routes) or "none",
            "Check the client's id and secret at the provider."
            if isinstance(error, InvalidClientException | UnauthorizedClientException)
            else "See /readyz of the admin listener.",
        )

    def _move(self, code: str) -> None:
        before = self._standing
        if before.failing and not code and self._announced:
            self._announced = False
            _log.warning(
                "Provider %s works again, after %.0f seconds of %s",
                self._provider,
                max(0.0, time.time() - before.since),
                before.code,
            )
        if (before.failing, before.code) != (bool(code), code):
            since = before.since if before.failing and code else time.time()
            self._standing = ProviderHealth(failing=bool(code), code=code, since=since)
