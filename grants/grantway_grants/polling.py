"""Asking for a token again and again until a person has decided (RFC 8628 section 3.5)."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from grantway.deadline import Deadline
from grantway.exceptions import (
    AuthorizationPendingException,
    ConnectionFailedError,
    FlowCancelledError,
    FlowTimeoutError,
    OutcomeUnknownError,
    ProviderUnavailableError,
    SlowDownException,
)
from grantway.token import Token

#: Seconds between polls where the provider states none (RFC 8628 section 3.2).
DEFAULT_INTERVAL = 5.0
#: Seconds that each ``slow_down`` adds for good (RFC 8628 section 3.5).
SLOWER = 5.0
#: Longest pause, in seconds, that repeated network failures lead to.
LONGEST_PAUSE = 60.0


def poll(
    ask: Callable[[], Token],
    *,
    interval: float,
    remaining: Callable[[], float],
    too_late: Callable[[], FlowTimeoutError],
    pause: Callable[[float], None] | None = None,
    cancel: threading.Event | None = None,
    on_poll: Callable[[str], None] | None = None,
) -> Token:
    """Poll until the person has decided.

    Args:
        ask: Asks once.
        interval: Least seconds between two polls.
        remaining: Seconds until it is too late.
        too_late: Makes the error for then.
        pause: Waits so many seconds; by default real time, cut short by ``cancel``.
        cancel: Ends the wait at once when it is set.
        on_poll: Told the outcome of each poll: ``authorization_pending``, ``slow_down``, or the
            code of a network failure.

    Raises:
        FlowTimeoutError: nobody answered in time.
        FlowCancelledError: ``cancel`` was set.
        TokenError: the person or the provider said no.
    """
    wait = interval
    while True:
        left = remaining()
        if left <= 0:
            raise too_late()
        _rest(min(wait, left), pause, cancel)
        try:
            return ask()
        except AuthorizationPendingException as waiting:
            wait, said = interval, waiting.code
        except SlowDownException as slower:
            interval += SLOWER
            wait, said = interval, slower.code
        except (ConnectionFailedError, OutcomeUnknownError) as failed:
            # RFC 8628 section 3.5: poll less often after a timeout; the code is still good.
            wait, said = min(wait * 2 or 1.0, LONGEST_PAUSE), failed.code
        except ProviderUnavailableError as refused:
            wait = min(max(wait * 2 or 1.0, refused.retry_after or 0.0), LONGEST_PAUSE)
            said = refused.code
        if on_poll is not None:
            on_poll(said)


def _rest(
    wait: float, pause: Callable[[float], None] | None, cancel: threading.Event | None
) -> None:
    if pause is not None:
        pause(wait)
    else:
        Deadline(wait, cancel).wait(wait)
    if cancel is not None and cancel.is_set():
        raise FlowCancelledError("The login was cancelled while it waited for approval.")


def seconds(value: object) -> float | None:
    """A number of seconds, or a string of one, as some providers write it."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < math.inf else None
