"""Retry requests as boto3's standard retry mode does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway._exceptions import TOKEN_ERRORS
from grantway._requests.retry import Outcome, RetryRules
from grantway._transport.http import REFUSED

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._wire.provider_response import ProviderResponse

_TRANSIENT_STATUS = frozenset({500, 502, 503, 504})
_TRANSIENT = frozenset({"RequestTimeout", "RequestTimeoutException"})
#: Error codes of requests that the service rejected because there were too many.
_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_MODELED = frozenset(kind.wire for kind in TOKEN_ERRORS)
_CODE_GRANT = "authorization_code"


class StandardRetries(RetryRules):
    """Retries as botocore's ``retries/standard.py`` does, with one exception.

    A request with an authorization code is not retried after an unknown outcome. If the first
    request succeeded, a second one may revoke the tokens that it issued (RFC 6749 section 4.1.2).
    """

    def judge(self, response: ProviderResponse) -> Outcome:
        """Return the outcome of a request from its response."""
        code = response.error.code if response.error is not None else ""
        if code in _THROTTLED:
            return Outcome.REFUSED
        if response.status in REFUSED and code not in _MODELED:
            return Outcome.REFUSED
        if response.status in _TRANSIENT_STATUS or code in _TRANSIENT:
            return Outcome.UNKNOWN
        return Outcome.FINAL

    def may_repeat(self, exchange: Exchange, elapsed: float) -> bool:
        """Return whether a request may be retried after an unknown outcome."""
        return exchange.grant is None or exchange.grant.grant_type != _CODE_GRANT
