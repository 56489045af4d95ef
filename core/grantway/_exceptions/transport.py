"""Errors without a usable response from the provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Evidence, GrantwayError

if TYPE_CHECKING:
    pass


class TransportError(GrantwayError):
    """The provider gave no usable answer.

    Attributes:
        excerpt: The beginning of the answer, printable and with sent values cut out; often empty.
        failed: What failed below HTTP: ``timeout``, ``tls``, ``proxy``, ``connection``, or empty
            where an answer arrived or the transport does not say.
    """

    code = "transport_error"

    def __init__(
        self,
        message: str,
        *,
        excerpt: str = "",
        failed: str = "",
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.excerpt = excerpt
        self.failed = failed


class ConnectionFailedError(TransportError):
    """The request never left: name lookup, connect or TLS failed. Any grant may try again."""

    code = "connection_failed"


class OutcomeUnknownError(TransportError):
    """The request was sent and the answer was lost, so it may or may not have been carried out.

    A single-use code or a rotated refresh token may already be spent. The refresh token that the
    caller holds is untouched: keep it, and try again once; ``invalid_grant`` then means that the
    lost answer held its successor.
    """

    code = "outcome_unknown"


class ProviderUnavailableError(TransportError):
    """The provider refused to work on the request now (425, 429 or 503). Nothing was done.

    Attributes:
        retry_after: Seconds the provider asked to wait, or None when it did not say.
    """

    code = "provider_unavailable"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        excerpt: str = "",
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, excerpt=excerpt, evidence=evidence)
        self.retry_after = retry_after


class RedirectRefusedError(TransportError):
    """The endpoint answered with a redirect. Credentials are never sent on to another address."""

    code = "redirect_refused"


class ResponseInvalidError(TransportError):
    """The answer is not a token answer: HTML, empty, cut short, a list, no access token."""

    code = "response_invalid"


class ResponseTooLargeError(ResponseInvalidError):
    """The answer is larger than the cap; the rest was not read."""

    code = "response_too_large"
