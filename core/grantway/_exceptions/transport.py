"""Errors without a usable response from the provider."""

from __future__ import annotations

from .base import Evidence, GrantwayError


class TransportError(GrantwayError):
    """The provider returned no usable response.

    Attributes:
        excerpt: The start of the response, printable and without sent values; often empty.
        failed: What failed below HTTP: ``timeout``, ``tls``, ``proxy``, ``connection``, or empty if
            a response arrived or the transport does not say.
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
    """The request was not sent: name lookup, connect or TLS failed. Retrying is safe."""

    code = "connection_failed"


class OutcomeUnknownError(TransportError):
    """The request was sent and the response was lost, so the outcome is unknown.

    A single-use code or a rotated refresh token may already be used. Keep the refresh token and
    retry once; ``invalid_grant`` then means that the lost response contained its successor.
    """

    code = "outcome_unknown"


class ProviderUnavailableError(TransportError):
    """The provider did not process the request because it is busy (425, 429 or 503).

    Attributes:
        retry_after: Seconds of the Retry-After header, or None without one.
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
    """The endpoint returned a redirect. Credentials are never sent to another URL.

    Attributes:
        location: Target of the redirect; empty if it is invalid or has a query, which may contain
            a secret.
    """

    code = "redirect_refused"

    def __init__(
        self, message: str, *, location: str = "", evidence: Evidence | None = None
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.location = location


class ResponseInvalidError(TransportError):
    """The response is not a token response: HTML, empty, truncated, a list, no access token."""

    code = "response_invalid"


class ResourceMetadataError(ResponseInvalidError):
    """The metadata that leads from a protected resource to its tokens is missing or invalid.

    Attributes:
        document: URL of the document, or of the resource if it has none.
        rule: The rule that it breaks.
        missing: Whether there is no document, perhaps only at the moment.
    """

    code = "resource_metadata_invalid"

    def __init__(
        self,
        message: str,
        *,
        document: str = "",
        rule: str = "",
        missing: bool = False,
        excerpt: str = "",
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, excerpt=excerpt, evidence=evidence)
        self.document = document
        self.rule = rule
        self.missing = missing


class ResponseTooLargeError(ResponseInvalidError):
    """The response is larger than the limit; the rest was not read."""

    code = "response_too_large"
