"""The steps of a call, which a driver performs."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_seconds

if TYPE_CHECKING:
    from concurrent.futures import Future

    from grantway._transport.http import HttpRequest

Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class Wait(OneProcess):
    """A wait within a call, which ends at the call's deadline at the latest.

    Middleware yields it instead of sleeping, so that it does not block the event loop of an
    asynchronous caller. It receives True if the caller cancelled the call, which ends the wait.

    Attributes:
        seconds: Its duration.
        until: Ends the wait early when it is done, or None.

    Raises:
        ConfigurationError: ``seconds`` is not a number of seconds, zero or more.
    """

    stays = "it belongs to one request"

    seconds: float
    until: Future[Any] | None = None

    def __post_init__(self) -> None:
        check_seconds("Wait.seconds", self.seconds, least=0, most=math.inf)


#: Yields a request, to receive its ``HttpResponse`` or have its error thrown in, or a ``Wait``, to
#: receive whether the caller cancelled it.
Steps = Generator["HttpRequest | Wait", Any, Result]
