"""How a provider does, by the last calls of it: for the health page."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grantway.exceptions import (
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
    from grantway.dialect import Answer
    from grantway.exchange import Exchange
    from grantway.middleware import Next

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
class Standing:
    """How a provider does. Holds no secret.

    Attributes:
        failing: Whether its last call failed by its own fault, or the gateway's.
        code: grantway's word for the last failure, or empty.
        since: Unix time since which it has been so.
    """

    failing: bool
    code: str
    since: float


class Watch:
    """Notes how calls end, as a middleware of all clients of one provider."""

    def __init__(self) -> None:
        self._standing = Standing(failing=False, code="", since=time.time())

    @property
    def standing(self) -> Standing:
        """How the provider does now."""
        return self._standing

    def __call__(self, exchange: Exchange, call_next: Next) -> Answer:
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
        """Note a failure; one that only its request is to blame for says that it works."""
        if isinstance(error, ProviderPausedError):
            return  # nobody was asked
        self._move(error.code if isinstance(error, _FAILING) else "")

    def _move(self, code: str) -> None:
        before = self._standing
        if (before.failing, before.code) != (bool(code), code):
            since = before.since if before.failing and code else time.time()
            self._standing = Standing(failing=bool(code), code=code, since=since)
