"""Report events to observers and the log."""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from grantway._exceptions import GrantwayError
from grantway._types.callables import is_unfinished
from grantway._types.event import Event

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._wire.dialect import ProviderResponse

    from . import Next

logger = logging.getLogger("grantway")
_call_ids = itertools.count(1)


class Observe:
    """Emits a ``start`` and an ``end`` event per call; ``RetrySends`` emits the others.

    Attributes:
        failures: Name of an observer -> number of its exceptions.
    """

    def __init__(self, observers: Sequence[tuple[str, Callable[[Event], None]]]) -> None:
        self._observers = tuple(observers)
        self.failures: Counter[str] = Counter()

    def __call__(self, exchange: Exchange, call_next: Next) -> ProviderResponse:
        """Emit the start event, run the call, and emit the end event."""
        if not self._observers and not logger.isEnabledFor(logging.DEBUG):
            return call_next(exchange)
        call_id, began = next(_call_ids), time.perf_counter()

        def event(
            kind: Literal["start", "end"], outcome: str = "", status: int | None = None
        ) -> Event:
            return Event(
                kind=kind,
                call_id=call_id,
                step=exchange.step,
                provider=exchange.host,
                grant_type=exchange.grant_type,
                attempt=exchange.attempts,
                milliseconds=(time.perf_counter() - began) * 1000,
                outcome=outcome,
                status=status,
            )

        emit = exchange.emit = self._tell
        exchange.call_id = call_id
        emit(event("start"))
        try:
            answer = call_next(exchange)
        except GrantwayError as error:
            emit(event("end", error.code, error.evidence.status))
            raise
        except BaseException as error:
            emit(event("end", type(error).__name__))
            raise
        emit(event("end", "ok", answer.status))
        return answer

    def _tell(self, event: Event) -> None:
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
                told: object = observer(event)
                what = "is asynchronous" if told is not None and is_unfinished(told) else ""
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - a plugin's code; the token must arrive
                what = f"raised {type(error).__name__}"
            if what:
                self.failures[name] += 1
                if self.failures[name] == 1:
                    logger.warning(
                        "The observer %s %s; further failures are only counted.", name, what
                    )
