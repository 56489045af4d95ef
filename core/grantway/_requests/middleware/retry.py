"""When a request may be sent again, by what is known of the first send."""

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
    """What is known of a send."""

    #: An answer that settles it, good or bad.
    FINAL = "final"
    #: Nothing reached the provider.
    NEVER_SENT = "never_sent"
    #: The provider said that it did nothing (425, 429, 503, or a code such as ThrottlingException).
    REFUSED = "refused"
    #: It may or may not have been carried out.
    UNKNOWN = "unknown"


#: Codes with which a provider says "not now" rather than "no".
_NOT_NOW = frozenset(
    {"", "temporarily_unavailable", "server_error", "too_many_requests", "unknown_error"}
)
#: Doublings of a wait; any more would pass every ceiling.
_MOST_DOUBLINGS = 64
#: Steps that may be repeated although something answered with success, because they only begin a
#: login that no person has seen yet.
_BEGINNINGS = frozenset({"device_authorization"})
#: Steps with which a provider asks a person at once; a second send would ask them twice.
_PROMPTS = frozenset({"backchannel_authentication"})
_SUCCESS = range(200, 300)
#: Codes that mean the same with every status: a second send would be answered alike.
_DEFINITE = frozenset(kind.wire for kind in TOKEN_ERRORS) - _NOT_NOW


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long.

    Attributes:
        attempts: Sends at most, the first included.
        base: Seconds; the wait after send n is random between 0 and ``base * 2**(n - 1)``.
        longest: Longest such wait in seconds.
        retry_after_cap: Longest Retry-After, in seconds, that is waited for.

    Raises:
        ConfigurationError: names the attribute that cannot work.
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
    """Sends again where that is safe, and never where it could spend a code twice.

    Args:
        policy: How often and how long.
        definite: Error codes that settle a request with every status, beside the standard ones.
    """

    def __init__(self, policy: RetryPolicy, definite: Iterable[str] = ()) -> None:
        self._policy = policy
        self._definite = _DEFINITE.union(definite)

    def __call__(self, exchange: Exchange, call_next: Next) -> ProviderResponse:
        """Send, and again while the outcome and the grant allow it."""
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
                # A later attempt that never arrived does not settle what the first one did.
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
        """Seconds until the next send, or None when there must be none."""
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
        """Return what an answer says about the send that it answers."""
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
            # Starting a device flow or revoking twice does no harm.
            return exchange.step not in _PROMPTS
        if exchange.grant.replay is Replay.SAFE:
            return True
        return exchange.grant.replay is Replay.WINDOWED and elapsed < exchange.dialect.replay_window

    def _send(
        self, exchange: Exchange, call_next: Next, lost: ProviderResponse | TransportError | None
    ) -> tuple[ProviderResponse | TransportError, Outcome, str]:
        sent_at, begun, before = time.monotonic(), exchange.attempts, exchange.effective_at
        if before is None:
            exchange.effective_at = sent_at  # until it is known that the provider did nothing
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
            # It was not sent again, which does not settle what the first send did.
            result, outcome, why = lost, Outcome.FINAL, type(error).__name__
        if outcome in {Outcome.NEVER_SENT, Outcome.REFUSED}:
            exchange.effective_at = before
        return result, outcome, why


def _came_from_portal(exchange: Exchange, answer: ProviderResponse) -> bool:
    """Return whether something else, such as a captive portal, answered for the provider."""
    if exchange.step not in _BEGINNINGS or answer.status not in _SUCCESS:
        return False
    return answer.error is None and (answer.problem is not None or not answer.payload)


def _outcome_of(exchange: Exchange, error: TransportError) -> Outcome:
    """Return what a failed send says about itself."""
    if isinstance(error, ConnectionFailedError):
        return Outcome.NEVER_SENT
    portal = exchange.step in _BEGINNINGS and error.evidence.status in PORTAL_REDIRECTS
    if isinstance(error, OutcomeUnknownError) or portal:
        return Outcome.UNKNOWN
    # A redirect, or an answer past the cap: it arrived, and the next one would be alike.
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


#: Outcome, reason, what came of it, and milliseconds.
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
