"""Retry requests if it is safe."""

from __future__ import annotations

import enum
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from grantway._exceptions import (
    TOKEN_ERRORS,
    Attempt,
    ConnectionFailedError,
    FlowCancelledError,
    GrantwayError,
    OutcomeUnknownError,
    TransportError,
)
from grantway._transport.transient import PORTAL_REDIRECTS, is_failed, is_refused
from grantway._types.event import Event
from grantway._types.grant import Replay
from grantway._types.quantity import check_count, check_seconds

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._wire.dialect import ProviderResponse

    from . import Next


class Outcome(enum.Enum):
    """The outcome of a send."""

    #: A definite response, success or error.
    FINAL = "final"
    #: Nothing reached the provider.
    NEVER_SENT = "never_sent"
    #: The provider did not process it (425, 429, 503, or a code such as ThrottlingException).
    REFUSED = "refused"
    #: The provider may or may not have processed it.
    UNKNOWN = "unknown"


#: Codes of temporary errors.
_NOT_NOW = frozenset(
    {"", "temporarily_unavailable", "server_error", "too_many_requests", "unknown_error"}
)
#: Maximum doublings of a wait, to avoid huge numbers.
_MOST_DOUBLINGS = 64
#: Steps that may be retried even after an unusable success, because they only start a login that
#: no user has seen yet.
_BEGINNINGS = frozenset({"device_authorization"})
#: Steps that prompt the user immediately; a retry would prompt twice.
_PROMPTS = frozenset({"backchannel_authentication"})
_SUCCESS = range(200, 300)
#: Codes that are final with every status: a retry would return the same error.
_DEFINITE = frozenset(kind.wire for kind in TOKEN_ERRORS) - _NOT_NOW


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The retry policy of a client.

    Attributes:
        attempts: Maximum number of sends, including the first.
        base: Seconds; the wait after send n is random between 0 and ``base * 2**(n - 1)``.
        longest: Maximum of such a wait in seconds.
        retry_after_cap: Maximum Retry-After in seconds; a longer one is not retried.

    Raises:
        ConfigurationError: an attribute is invalid. The message names it.
    """

    attempts: int = 3
    base: float = 0.2
    longest: float = 5.0
    retry_after_cap: float = 30.0

    def __post_init__(self) -> None:
        check_count("RetryPolicy.attempts", self.attempts)
        for name in ("base", "longest", "retry_after_cap"):
            check_seconds(f"RetryPolicy.{name}", getattr(self, name), least=0)


class RetrySends:
    """Retries requests if it is safe, and never if a code could be used twice.

    Args:
        policy: The retry policy.
        definite: Additional error codes that are final with every status.
    """

    def __init__(self, policy: RetryPolicy, definite: Iterable[str] = ()) -> None:
        self._policy = policy
        self._definite = _DEFINITE.union(definite)

    def __call__(self, exchange: Exchange, call_next: Next) -> ProviderResponse:
        """Send the request, and retry while the outcome and the grant allow it."""
        if exchange.deadline.cancelled:
            raise _cancelled(exchange)
        began = time.monotonic()
        lost: ProviderResponse | TransportError | None = None
        while True:
            sent_at = time.monotonic()
            result, outcome, why = self._send(exchange, call_next, lost)
            now = time.monotonic()
            if outcome is Outcome.UNKNOWN and lost is None:
                lost = result
            _tell_refusal(exchange, outcome, result)
            wait = self._wait(exchange, outcome, result, now - began, lost=lost is not None)
            attempt = (outcome, why, result, (now - sent_at) * 1000)
            if exchange.emit is not None:
                _announce(exchange, "attempt", attempt, None)
            if outcome is not Outcome.FINAL or exchange.history:
                exchange.history.append(_attempt(attempt, wait))
            if wait is None:
                # A later attempt that was not processed does not reveal the outcome of the first.
                return _given(result if outcome is Outcome.FINAL else lost or result)
            if exchange.emit is not None:
                _announce(exchange, "retry", attempt, wait)
            if exchange.deadline.wait(wait):
                return _given(lost or _cancelled(exchange))
            if exchange.attempts >= self._most(exchange):  # lowered while this call waited
                return _given(lost or result)

    def _most(self, exchange: Exchange) -> int:
        return exchange.most_attempts or self._policy.attempts

    def _wait(
        self,
        exchange: Exchange,
        outcome: Outcome,
        result: ProviderResponse | TransportError,
        elapsed: float,
        *,
        lost: bool,
    ) -> float | None:
        """Return the seconds until the next send, or None if there must be none."""
        policy, deadline = self._policy, exchange.deadline
        enough = exchange.attempts >= self._most(exchange)
        if outcome is Outcome.FINAL or enough or deadline.cancelled:
            return None
        doublings = min(max(0, exchange.attempts - 1), _MOST_DOUBLINGS)
        ceiling = min(policy.longest, policy.base * 2**doublings)
        wait = random.uniform(0, ceiling)  # noqa: S311 - jitter, not a secret
        if outcome is Outcome.REFUSED and not isinstance(result, TransportError):
            asked = result.retry_after
            if asked is not None:
                if asked > policy.retry_after_cap:
                    return None
                wait = max(wait, asked)
        if lost and not self.may_repeat(exchange, elapsed + wait):
            return None
        return wait if wait < deadline.remaining() else None

    def judge(self, answer: ProviderResponse) -> Outcome:
        """Return the outcome that a response implies."""
        code = answer.error.code if answer.error is not None else ""
        if code in self._definite:
            return Outcome.FINAL
        if answer.token is not None:
            return Outcome.FINAL
        if is_refused(answer.status, code, answer.headers, answer.members):
            return Outcome.REFUSED
        failed = is_failed(answer.status, code, answer.headers, answer.members)
        return Outcome.UNKNOWN if failed else Outcome.FINAL

    def may_repeat(self, exchange: Exchange, elapsed: float) -> bool:
        """Return whether a request may be sent again after an unknown outcome.

        Args:
            exchange: The request.
            elapsed: Seconds between the first send and the next one.
        """
        if exchange.grant is None:
            # Starting a device flow or revoking a token twice is safe.
            return exchange.step not in _PROMPTS
        if exchange.grant.replay is Replay.SAFE:
            return True
        return exchange.grant.replay is Replay.WINDOWED and elapsed < exchange.dialect.replay_window

    def _send(
        self, exchange: Exchange, call_next: Next, lost: ProviderResponse | TransportError | None
    ) -> tuple[ProviderResponse | TransportError, Outcome, str]:
        sent_at, begun, before = time.monotonic(), exchange.attempts, exchange.effective_at
        if before is None:
            exchange.effective_at = sent_at  # reset if the provider did not process it
        result: ProviderResponse | TransportError
        try:
            result = call_next(exchange)
            outcome, why = self.judge(result), f"status {result.status}"
            if _came_from_portal(exchange, result):
                outcome = Outcome.UNKNOWN
        except TransportError as error:
            result, outcome, why = error, _outcome_of(exchange, error), error.code
        except BaseException as error:
            if exchange.attempts > begun:
                raise
            exchange.effective_at = before
            if lost is None or not isinstance(error, Exception):
                raise
            # The retry was not sent, so the outcome of the first send stays unknown.
            result, outcome, why = lost, Outcome.FINAL, type(error).__name__
        if outcome in {Outcome.NEVER_SENT, Outcome.REFUSED}:
            exchange.effective_at = before
        return result, outcome, why


def _came_from_portal(exchange: Exchange, answer: ProviderResponse) -> bool:
    """Return whether the response came from something else, such as a captive portal."""
    if exchange.step not in _BEGINNINGS or answer.status not in _SUCCESS:
        return False
    return answer.error is None and (answer.problem is not None or not answer.payload)


def _outcome_of(exchange: Exchange, error: TransportError) -> Outcome:
    """Return the outcome of a failed send."""
    if isinstance(error, ConnectionFailedError):
        return Outcome.NEVER_SENT
    portal = exchange.step in _BEGINNINGS and error.evidence.status in PORTAL_REDIRECTS
    if isinstance(error, OutcomeUnknownError) or portal:
        return Outcome.UNKNOWN
    # A redirect or an oversized response: a retry would return the same.
    return Outcome.FINAL


def _tell_refusal(
    exchange: Exchange, outcome: Outcome, result: ProviderResponse | TransportError
) -> None:
    if outcome is Outcome.REFUSED and not isinstance(result, TransportError):
        told = exchange.on_refusal
        if told is not None:
            told(result.retry_after)


def _given(result: ProviderResponse | GrantwayError) -> ProviderResponse:
    if isinstance(result, GrantwayError):
        raise result
    return result


def _cancelled(exchange: Exchange) -> FlowCancelledError:
    return FlowCancelledError(
        "Cancelled by the caller before another attempt; the ones before it did nothing."
        if exchange.attempts
        else "Cancelled by the caller; nothing was sent.",
        evidence=exchange.evidence(),
    )


#: Outcome, reason, result, and duration in milliseconds.
_Sent = tuple[Outcome, str, "ProviderResponse | TransportError", float]


def _status(result: ProviderResponse | TransportError) -> int | None:
    return result.evidence.status if isinstance(result, TransportError) else result.status


def _attempt(sent: _Sent, wait: float | None) -> Attempt:
    outcome, why, result, milliseconds = sent
    return Attempt(outcome.value, why, _status(result), milliseconds, wait)


def _announce(
    exchange: Exchange, kind: Literal["attempt", "retry"], sent: _Sent, wait: float | None
) -> None:
    assert exchange.emit is not None
    outcome, why, result, milliseconds = sent
    exchange.emit(
        Event(
            kind=kind,
            call_id=exchange.call_id,
            step=exchange.step,
            provider=exchange.host,
            grant_type=exchange.grant_type,
            attempt=exchange.attempts,
            milliseconds=milliseconds,
            outcome=why if outcome is not Outcome.FINAL else outcome.value,
            wait=wait or 0.0,
            status=_status(result),
        )
    )
