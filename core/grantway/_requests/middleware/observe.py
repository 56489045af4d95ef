"""Report the events of a call to observers and the log."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from grantway._exceptions import GrantwayError
from grantway._log import logger
from grantway._types.callables import is_unfinished

if TYPE_CHECKING:
    from typing import Self

    from grantway._requests.exchange import Exchange
    from grantway._requests.steps import Steps
    from grantway._types.event import Event
    from grantway._wire.provider_response import ProviderResponse

    from . import Next
_call_ids = itertools.count(1)


class Observe:
    """Emits a ``start`` and an ``end`` event per call; each attempt emits its own.

    Attributes:
        failures: Name of an observer -> number of its exceptions.
    """

    def __init__(self, observers: Sequence[tuple[str, Callable[[Event], None]]]) -> None:
        self._observers = tuple(observers)
        self.failures: Counter[str] = Counter()

    def __call__(self, exchange: Exchange, call_next: Next) -> Steps[ProviderResponse]:
        """Emit the start event, run the call, and emit the end event."""
        with Observation(exchange, self.emit) as observation:
            response = yield from call_next(exchange)
            observation.status = response.status
        return response

    @property
    def active(self) -> bool:
        """Whether events are used."""
        return bool(self._observers) or logger.shows_debug

    def emit(self, event: Event) -> None:
        """Log an event and pass it to each observer. Exceptions of observers are counted."""
        logger.debug(
            "%s %s %s: call %d, attempt %d, %.1f ms, %s %s",
            event.kind,
            event.step,
            event.grant_type or "",
            event.call_id,
            event.attempt,
            event.milliseconds,
            event.outcome,
            event.status or "",
        )
        for name, observer in self._observers:
            try:
                returned: object = observer(event)
                problem = "is asynchronous" if is_unfinished(returned) else ""
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - plugin code must not lose the token
                problem = f"raised {type(error).__name__}"
            if problem:
                self.failures[name] += 1
                if self.failures[name] == 1:
                    logger.warning(
                        "The observer %s %s; further failures are only counted.", name, problem
                    )


class Observation:
    """The observation of one call, as a context manager.

    Args:
        exchange: The call.
        emit: Receives the events.

    Attributes:
        status: The HTTP status of the response, set when the call succeeds.
    """

    def __init__(self, exchange: Exchange, emit: Callable[[Event], None]) -> None:
        self._exchange = exchange
        self._emit = emit
        self.status: int | None = None

    def __enter__(self) -> Self:
        exchange = self._exchange
        self._began = time.perf_counter()
        exchange.call_id, exchange.emit = next(_call_ids), self._emit
        self._emit(exchange.event("start", 0.0))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        outcome, status = "ok", self.status
        if isinstance(error, GrantwayError):
            outcome, status = error.code, error.evidence.status
        elif kind is not None:
            outcome = kind.__name__
        milliseconds = (time.perf_counter() - self._began) * 1000
        self._emit(self._exchange.event("end", milliseconds, outcome=outcome, status=status))
