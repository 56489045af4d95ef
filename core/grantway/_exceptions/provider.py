"""Error responses of the provider, one class per code (RFC 6749 section 5.2 and its registry)."""

from __future__ import annotations

from typing import Any, ClassVar

from .base import Evidence, GrantwayError


class TokenError(GrantwayError):
    """The provider returned an OAuth error (RFC 6749 section 5.2).

    Attributes:
        error: The error code, such as ``invalid_grant``.
        error_description: The provider's description, or None.
        error_uri: A page about the error, or None.
        reason: AWS's additional ``reason`` code, or None.
        operation_name: The AWS name of the call, for ``str()``, or None.
    """

    code = "token_error"
    #: The error code of this class.
    wire: ClassVar[str] = ""

    def __init__(
        self,
        message: str = "",
        *,
        error: str | None = None,
        error_description: str | None = None,
        error_uri: str | None = None,
        reason: str | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        self.error = error or self.wire
        super().__init__(message or error_description or self.error, evidence=evidence)
        self.error_description = error_description
        self.error_uri = error_uri
        self.reason = reason
        self.operation_name: str | None = None

    @property
    def response(self) -> dict[str, Any]:
        """The error in the format of botocore's ``ClientError.response``."""
        seen = self.evidence
        name = type(self).__name__
        answer: dict[str, Any] = {
            "Error": {
                "Message": self.error_description or "",
                "Code": self.error if isinstance(self, UnknownTokenError) else name,
            },
            "ResponseMetadata": {
                **({"RequestId": seen.request_id} if seen.request_id else {}),
                "HTTPStatusCode": seen.status,
                "HTTPHeaders": dict(seen.headers),
                "RetryAttempts": seen.attempts - 1,
            },
            "error": self.error,
        }
        if self.error_description is not None:
            answer["error_description"] = self.error_description
        if self.reason is not None:
            answer["reason"] = self.reason
        return answer


class InvalidRequestException(TokenError):  # noqa: N818 - these eleven have AWS's names
    """A parameter is missing, malformed or given twice (RFC 6749 section 5.2)."""

    code = wire = "invalid_request"


class InvalidClientException(TokenError):  # noqa: N818
    """The client is unknown or expired, or its authentication failed (RFC 6749 section 5.2)."""

    code = wire = "invalid_client"


class InvalidGrantException(TokenError):  # noqa: N818
    """The code or refresh token is invalid, used, expired, revoked or another client's."""

    code = wire = "invalid_grant"


class UnauthorizedClientException(TokenError):  # noqa: N818
    """This client may not use this grant (RFC 6749 section 5.2)."""

    code = wire = "unauthorized_client"


class UnsupportedGrantTypeException(TokenError):  # noqa: N818
    """The provider does not support this grant_type (RFC 6749 section 5.2)."""

    code = wire = "unsupported_grant_type"


class InvalidScopeException(TokenError):  # noqa: N818
    """The scope is unknown, malformed or wider than what was granted."""

    code = wire = "invalid_scope"


class AuthorizationPendingException(TokenError):  # noqa: N818
    """The user has not decided yet; poll again after the interval (RFC 8628 section 3.5)."""

    code = wire = "authorization_pending"


class SlowDownException(TokenError):  # noqa: N818
    """Polled too fast; add five seconds to the interval permanently (RFC 8628 section 3.5)."""

    code = wire = "slow_down"


class AccessDeniedException(TokenError):  # noqa: N818
    """The user or a policy denied the request."""

    code = wire = "access_denied"


class ExpiredTokenException(TokenError):  # noqa: N818
    """The device code expired before the user approved it (RFC 8628 section 3.5)."""

    code = wire = "expired_token"


class InternalServerException(TokenError):  # noqa: N818
    """The provider failed; it may or may not have processed the request."""

    code = wire = "server_error"


class InvalidClientMetadataException(TokenError):  # noqa: N818
    """The registration has an invalid field (RFC 7591 section 3.2.2)."""

    code = wire = "invalid_client_metadata"


class InvalidRedirectUriException(TokenError):  # noqa: N818
    """The registration has an invalid redirect URI (RFC 7591 section 3.2.2)."""

    code = wire = "invalid_redirect_uri"


class TemporarilyUnavailableError(TokenError):
    """The provider is overloaded or in maintenance; retry later (RFC 6749 section 4.1.2.1)."""

    code = wire = "temporarily_unavailable"


class UnsupportedResponseTypeError(TokenError):
    """The provider does not support this ``response_type`` (RFC 6749 section 4.1.2.1)."""

    code = wire = "unsupported_response_type"


class UnsupportedTokenTypeError(TokenError):
    """The provider cannot revoke this kind of token (RFC 7009 section 2.2.1)."""

    code = wire = "unsupported_token_type"


class InvalidTargetError(TokenError):
    """The ``resource`` or ``audience`` is unknown or not allowed (RFC 8707 section 2, RFC 8693)."""

    code = wire = "invalid_target"


class InvalidTokenError(TokenError):
    """The access token is expired, revoked or malformed (RFC 6750 section 3.1)."""

    code = wire = "invalid_token"


class InsufficientScopeError(TokenError):
    """The access token lacks the required scope (RFC 6750 section 3.1)."""

    code = wire = "insufficient_scope"


class InteractionRequiredError(TokenError):
    """The user must interact with the provider (OpenID Connect Core section 3.1.2.6)."""

    code = wire = "interaction_required"


class LoginRequiredError(InteractionRequiredError):
    """The user must log in (OpenID Connect Core section 3.1.2.6)."""

    code = wire = "login_required"


class ConsentRequiredError(InteractionRequiredError):
    """The user must consent (OpenID Connect Core section 3.1.2.6)."""

    code = wire = "consent_required"


class AccountSelectionRequiredError(InteractionRequiredError):
    """The user must choose an account (OpenID Connect Core section 3.1.2.6)."""

    code = wire = "account_selection_required"


class InvalidRequestUriError(TokenError):
    """The pushed request is expired, used or unknown: push it again (RFC 9101, RFC 9126)."""

    code = wire = "invalid_request_uri"


class InvalidRequestObjectError(TokenError):
    """The signed request cannot be read or verified (RFC 9101 section 6)."""

    code = wire = "invalid_request_object"


class InvalidDpopProofError(TokenError):
    """The DPoP proof is malformed or outdated: check the clock (RFC 9449 section 5)."""

    code = wire = "invalid_dpop_proof"


class UseDpopNonceError(TokenError):
    """The DPoP proof must contain the nonce from the provider (RFC 9449 section 8)."""

    code = wire = "use_dpop_nonce"


class UnknownTokenError(TokenError):
    """An error code without a class; ``error`` has the code unchanged."""

    code = "unknown_token_error"


#: Every class for a standard error code.
TOKEN_ERRORS: tuple[type[TokenError], ...] = (
    InvalidRequestException,
    InvalidClientException,
    InvalidGrantException,
    UnauthorizedClientException,
    UnsupportedGrantTypeException,
    InvalidScopeException,
    AuthorizationPendingException,
    SlowDownException,
    AccessDeniedException,
    ExpiredTokenException,
    InternalServerException,
    InvalidClientMetadataException,
    InvalidRedirectUriException,
    TemporarilyUnavailableError,
    UnsupportedResponseTypeError,
    UnsupportedTokenTypeError,
    InvalidTargetError,
    InvalidTokenError,
    InsufficientScopeError,
    InteractionRequiredError,
    LoginRequiredError,
    ConsentRequiredError,
    AccountSelectionRequiredError,
    InvalidRequestUriError,
    InvalidRequestObjectError,
    InvalidDpopProofError,
    UseDpopNonceError,
)
