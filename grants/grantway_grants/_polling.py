"""Poll for a token until the user has decided (RFC 8628 section 3.5)."""

from __future__ import annotations

import math
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
from grantway._requests.steps import Wait
from grantway._transport.http import retry_after
from grantway._transport.transient import PORTAL_REDIRECTS, is_failed, is_refused
from grantway._types.token import Token

from ._flow import Callback, Flow, TokenCall

#: Default interval between polls in seconds (RFC 8628 section 3.2).
DEFAULT_INTERVAL = 5.0
#: Minimum interval in seconds, whatever the provider states.
LEAST_INTERVAL = 1.0
#: Seconds by which each ``slow_down`` lengthens the interval (RFC 8628 section 3.5).
SLOWER = 5.0
#: Maximum wait after repeated failures, in seconds.
LONGEST_PAUSE = 60.0
_SUCCESS = range(200, 300)


def poll(
    request: TokenCall,
    *,
    interval: float,
    remaining: Callable[[], float],
    expired: Callable[[], FlowTimeoutError],
    pause: Callable[[float], object] | None = None,
    on_poll: Callable[[str], object] | None = None,
) -> Flow[Token]:
    """Poll until the user has decided, or until the codes expire.

    A transient failure does not end the polling (see ``is_transient``).

    Args:
        request: The token request.
        interval: Minimum seconds between two polls.
        remaining: Returns the seconds until the codes expire.
        expired: Returns the error to raise when the codes have expired.
        pause: Called with the seconds to wait between polls; by default, wait in real time.
        on_poll: Called after each poll without a token, with ``authorization_pending``,
            ``slow_down`` or the code of a failure.

    Raises:
        FlowTimeoutError: the codes expired; includes the failure of the last poll, if any.
        FlowCancelledError: the caller cancelled the flow.
        TokenError: the user or the provider denied the request.
    """
    interval = polling_interval(interval)
    # If the code expires before the first interval, poll once before that.
    wait = interval if interval < remaining() else remaining() / 2
    latest: GrantwayError
    failure: GrantwayError | None = None
    while (left := remaining()) > 0:
        yield from _wait(min(wait, left), pause)
        if remaining() <= 0:
            break
        try:
            token: Token = yield request
        except AuthorizationPendingException as pending:
            latest, failure = pending, None
            interval = max(interval, stated_interval(pending))
            wait = interval
        except SlowDownException as slow_down:
            latest, failure = slow_down, None
            interval = max(interval + SLOWER, stated_interval(slow_down))
            wait = interval
        except GrantwayError as failed:
            if not is_transient(failed):
                raise
            latest = failure = failed
            # RFC 8628 section 3.5: poll less often after a timeout; the code is still good.
            wait = max(interval, min(wait * 2, LONGEST_PAUSE))
        else:
            return token
        wait = max(wait, _retry_after(latest))
        if on_poll is not None:
            yield Callback("on_poll", on_poll, latest.code)
    late = expired()
    if failure is not None:
        text = f"{late} The last poll failed: {failure}"
        late = FlowTimeoutError(text, evidence=failure.evidence)
    raise late from failure


def is_transient(error: GrantwayError) -> bool:
    """Return whether a later poll may succeed after this failure.

    That is the case for a lost connection, a busy or failing provider, and a response that came
    from something else, such as a captive portal.
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
    response = (status, code, error.evidence.headers, error.members)
    return is_refused(*response) or is_failed(*response)


def polling_interval(stated: object) -> float:
    """Return the seconds between two polls.

    Args:
        stated: ``interval`` of the provider. The default is used unless it is a positive number.
    """
    number = seconds(stated)
    return max(LEAST_INTERVAL, number) if number else DEFAULT_INTERVAL


def stated_interval(error: TokenError) -> float:
    """Return the ``interval`` of an error response in seconds, or 0."""
    return seconds(error.members.get("interval")) or 0.0


def _retry_after(error: GrantwayError) -> float:
    return retry_after(error.evidence.headers) or 0.0


def _wait(wait: float, pause: Callable[[float], object] | None) -> Flow[None]:
    if pause is not None:
        yield Callback("pause", pause, wait)
        wait = 0.0
    if (yield Wait(wait)):
        raise FlowCancelledError("The login was cancelled while it waited for the user's approval.")


def seconds(value: object) -> float | None:
    """Return seconds given as a number or a numeric string; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < math.inf else None
