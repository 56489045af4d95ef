"""Sends again what boto3's standard retry mode sends again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway._exceptions import TOKEN_ERRORS
from grantway._requests.middleware.retry import Outcome, RetrySends
from grantway._transport.http import REFUSED

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._wire.dialect import ProviderResponse

_TRANSIENT_STATUS = frozenset({500, 502, 503, 504})
_TRANSIENT = frozenset({"RequestTimeout", "RequestTimeoutException"})
#: The service did nothing, because there were too many requests.
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


class StandardRetries(RetrySends):
    """Decides as botocore's ``retries/standard.py``, with one exception.

    An authorization code is not sent again after an unknown outcome. If the first request was
    carried out, the code is spent, and a server should answer its second use by revoking the
    tokens that it issued for the first (RFC 6749 section 4.1.2).
    """

    def judge(self, answer: ProviderResponse) -> Outcome:
        """Return what an answer says about the send that it answers."""
        code = answer.error.code if answer.error is not None else ""
        if code in _THROTTLED:
            return Outcome.REFUSED
        if answer.status in REFUSED and code not in _MODELED:
            return Outcome.REFUSED
        if answer.status in _TRANSIENT_STATUS or code in _TRANSIENT:
            return Outcome.UNKNOWN
        return Outcome.FINAL

    def may_repeat(self, exchange: Exchange, elapsed: float) -> bool:
        """Return whether a request may be sent again after an unknown outcome."""
        return exchange.grant is None or exchange.grant.grant_type != _CODE_GRANT
