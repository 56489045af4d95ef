"""Asking for a token again and again until a person has decided (RFC 8628 section 3.5)."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from grantway._exceptions import (
    AuthorizationPendingException,
    ConnectionFailedError,
    FlowCancelledError,
    FlowTimeoutError,
    GrantwayError,
    InternalServerException,
    OutcomeUnknownError,
    ProviderUnavailableError,
    RedirectRefusedError,
    ResponseInvalidError,
    SlowDownException,
    TemporarilyUnavailableError,
    TokenError,
    UnknownTokenError,
)
from grantway._transport.deadline import Deadline
from grantway._transport.http import retry_after
from grantway._transport.transient import PORTAL_REDIRECTS, is_failed, is_refused
from grantway._types.token import Token

#: Seconds between polls where the provider states none (RFC 8628 section 3.2).
DEFAULT_INTERVAL = 5.0
#: Shortest interval, in seconds: a provider that states a fraction means no flood of requests.
LEAST_INTERVAL = 1.0
#: Seconds that each ``slow_down`` adds for good (RFC 8628 section 3.5).
SLOWER = 5.0
#: Longest pause, in seconds, that repeated failures lead to.
LONGEST_PAUSE = 60.0
_SUCCESS = range(200, 300)


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
    """Poll until the person has decided, or until it is too late.

    A failure that may pass by itself does not end the polling (see ``may_pass``).

    Args:
        ask: Asks once.
        interval: Least seconds between two polls.
        remaining: Seconds until it is too late.
        too_late: Makes the error for then.
        pause: Waits so many seconds; by default real time, cut short by ``cancel``.
        cancel: Ends the wait at once when it is set.
        on_poll: Told the outcome of each poll that brought no token: ``authorization_pending``,
            ``slow_down``, or the code of a failure.

    Raises:
        FlowTimeoutError: no decision came in time; names the failure of the last poll, if any.
        FlowCancelledError: ``cancel`` was set.
        TokenError: the person or the provider said no.
    """
    interval = polling_interval(interval)
    # A code that ends before the first interval is polled with once while it lives.
    wait = interval if interval < remaining() else remaining() / 2
    said: GrantwayError
    failure: GrantwayError | None = None
    while (left := remaining()) > 0:
        _rest(min(wait, left), pause, cancel)
        if remaining() <= 0:
            break
        try:
            return ask()
        except AuthorizationPendingException as waiting:
            said, failure = waiting, None
            interval = max(interval, stated_interval(waiting))
            wait = interval
        except SlowDownException as slower:
            said, failure = slower, None
            interval = max(interval + SLOWER, stated_interval(slower))
            wait = interval
        except GrantwayError as failed:
            if not may_pass(failed):
                raise
            said = failure = failed
            # RFC 8628 section 3.5: poll less often after a timeout; the code is still good.
            wait = max(interval, min(wait * 2, LONGEST_PAUSE))
        wait = max(wait, _asked_to_wait(said))
        if on_poll is not None:
            on_poll(said.code)
    late = too_late()
    if failure is not None:
        text = f"{late} The last poll failed: {failure}"
        late = FlowTimeoutError(text, evidence=failure.evidence)
    raise late from failure


def may_pass(error: GrantwayError) -> bool:
    """Return whether a poll's failure may pass by itself, while the code is still good.

    Args:
        error: A dropped connection, a busy or failing provider, or an answer of something before
            it, such as a captive portal; anything else is final.
    """
    if isinstance(error, (ConnectionFailedError, OutcomeUnknownError, ProviderUnavailableError)):
        return True
    if isinstance(error, (InternalServerException, TemporarilyUnavailableError)):
        return True
    status = error.evidence.status or 0
    if isinstance(error, RedirectRefusedError):
        return status in PORTAL_REDIRECTS
    if isinstance(error, ResponseInvalidError) and status in _SUCCESS:
        return True
    if not isinstance(error, (ResponseInvalidError, UnknownTokenError)):
        return False
    code = error.error if isinstance(error, UnknownTokenError) else ""
    facts = (status, code, error.evidence.headers, error.members)
    return is_refused(*facts) or is_failed(*facts)


def polling_interval(stated: object) -> float:
    """Return the seconds between two polls, of what a provider stated.

    Args:
        stated: ``interval`` of its answer. Anything but a number above zero means five seconds.
    """
    number = seconds(stated)
    return max(LEAST_INTERVAL, number) if number else DEFAULT_INTERVAL


def stated_interval(error: TokenError) -> float:
    """Return the ``interval`` of an error response in seconds, or 0."""
    return seconds(error.members.get("interval")) or 0.0


def _asked_to_wait(error: GrantwayError) -> float:
    return retry_after(error.evidence.headers) or 0.0


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
