"""Errors of a protected resource, and why a token is not accepted."""

from __future__ import annotations

from grantway._exceptions import Evidence, GrantwayError

#: ``Retry-After`` in seconds while tokens cannot be verified.
RETRY_AFTER = 10.0


class AccessDeniedError(GrantwayError):
    """The caller must not use the resource with these credentials.

    Attributes:
        status: Status of the response: 400 for an invalid request, 401 or 403.
        error: The error code (RFC 6750 section 3.1, RFC 9449, RFC 9470); empty if the request has
            no credentials.
        challenge: ``WWW-Authenticate`` header of the response.
        nonce: ``DPoP-Nonce`` header of the response (RFC 9449 section 9); empty for none.
    """

    code = "access_denied"

    def __init__(
        self,
        message: str,
        *,
        status: int = 401,
        error: str = "",
        challenge: str = "",
        nonce: str = "",
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.status = status
        self.error = error
        self.challenge = challenge
        self.nonce = nonce


class VerificationUnavailableError(GrantwayError):
    """Tokens cannot be verified now: keys cannot be read, or introspection fails.

    Attributes:
        retry_after: Delay in seconds after which the caller may try again.
        issuer: The issuer that is not available; empty if there is another reason.
    """

    code = "verification_unavailable"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float = RETRY_AFTER,
        issuer: str = "",
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.retry_after = retry_after
        self.issuer = issuer


class InvalidRequestError(Exception):
    """Raised for a repeated or invalid header; the message describes the problem."""


class InvalidTokenError(Exception):
    """Raised for a token that is not accepted; the message continues "The access token ...".

    Attributes:
        passing: Whether the same token may be accepted soon, so that the result is not kept.
        issuer: The accepted issuer that the token names; empty if it names none.
    """

    def __init__(self, problem: str, *, passing: bool = False, issuer: str = "") -> None:
        super().__init__(problem)
        self.passing, self.issuer = passing, issuer
