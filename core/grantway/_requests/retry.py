"""Decide whether and when to send a request again."""

from __future__ import annotations

import enum
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grantway._exceptions import (
    TOKEN_ERRORS,
    ConnectionFailedError,
    OutcomeUnknownError,
    TransportError,
)
from grantway._processes.copies import Value
from grantway._transport.transient import PORTAL_REDIRECTS, is_failed, is_refused
from grantway._types.grant import Replay
from grantway._types.quantity import check_count, check_seconds

if TYPE_CHECKING:
    from grantway._wire.provider_response import ProviderResponse

    from .exchange import Exchange


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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RetryPolicy(Value):
    """The retry policy of a client.

    Attributes:
        attempts: Maximum number of sends, including the first.
        base: Seconds; the wait after send n is random between 0 and ``base * 2**(n - 1)``.
        longest: Maximum of this wait in seconds.
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


class RetryRules:
    """Decides on retries, so that no code is used twice.

    Args:
        policy: The retry policy.
        definite: Additional error codes that are final with every status.
    """

    def __init__(self, policy: RetryPolicy, definite: Iterable[str] = ()) -> None:
        self._policy = policy
        self._definite = _DEFINITE.union(definite)

    def outcome(self, exchange: Exchange, response: ProviderResponse) -> Outcome:
        """Return the outcome of a send that got a response."""
        if exchange.step in _BEGINNINGS and _is_from_portal(response):
            return Outcome.UNKNOWN
        return self.judge(response)

    def judge(self, response: ProviderResponse) -> Outcome:
        """Return the outcome that a response implies."""
        code = response.error.code if response.error is not None else ""
        if response.token is not None or code in self._definite:
            return Outcome.FINAL
        if is_refused(response.status, code, response.headers, response.members):
            return Outcome.REFUSED
        failed = is_failed(response.status, code, response.headers, response.members)
        return Outcome.UNKNOWN if failed else Outcome.FINAL

    def outcome_of_failure(self, exchange: Exchange, error: TransportError) -> Outcome:
        """Return the outcome of a send without a response."""
        if isinstance(error, ConnectionFailedError):
            return Outcome.NEVER_SENT
        portal = exchange.step in _BEGINNINGS and error.evidence.status in PORTAL_REDIRECTS
        if isinstance(error, OutcomeUnknownError) or portal:
            return Outcome.UNKNOWN
        # A redirect or an oversized response: a retry would return the same.
        return Outcome.FINAL

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

    def delay(
        self,
        exchange: Exchange,
        outcome: Outcome,
        retry_after: float | None,
        elapsed: float,
        *,
        unknown: bool,
    ) -> float | None:
        """Return the seconds until the next send, or None if there must be none.

        Args:
            exchange: The request.
            outcome: The outcome of the latest send.
            retry_after: The Retry-After of its response in seconds, or None.
            elapsed: Seconds since the first send.
            unknown: Whether the outcome of any send is unknown.
        """
        policy, deadline = self._policy, exchange.deadline
        if outcome is Outcome.FINAL or self.exhausted(exchange) or deadline.cancelled:
            return None
        doublings = min(max(0, exchange.attempts - 1), _MOST_DOUBLINGS)
        ceiling = min(policy.longest, policy.base * 2**doublings)
        wait = random.uniform(0, ceiling)  # noqa: S311 - jitter, not a secret
        if outcome is Outcome.REFUSED and retry_after is not None:
            if retry_after > policy.retry_after_cap:
                return None
            wait = max(wait, retry_after)
        if unknown and not self.may_repeat(exchange, elapsed + wait):
            return None
        return wait if wait < deadline.remaining() else None

    def exhausted(self, exchange: Exchange) -> bool:
        """Return whether no further attempt is allowed."""
        return exchange.attempts >= (exchange.most_attempts or self._policy.attempts)


def _is_from_portal(response: ProviderResponse) -> bool:
    """Return whether a success came from something else, such as a captive portal."""
    return (
        response.status in _SUCCESS
        and response.error is None
        and (response.problem is not None or not response.payload)
    )
