"""Error responses of the provider, one class per code (RFC 6749 section 5.2 and its registry)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .base import Evidence, GrantwayError

if TYPE_CHECKING:
    pass


class TokenError(GrantwayError):
    """The provider answered with an OAuth error (RFC 6749 section 5.2).

    Attributes:
        error: The code on the wire, such as ``invalid_grant``.
        error_description: The provider's own words, or None.
        error_uri: A page about the error, or None.
        reason: The finer cause that AWS adds, or None.
        operation_name: The AWS name of the call, for ``str()``, or None.
    """

    code = "token_error"
    #: The code that stands for this class on the wire.
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
        """The error in the shape of botocore's ``ClientError.response``."""
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


class InvalidRequestException(TokenError):  # noqa: N818 - the eleven keep the names AWS gave them
    """A parameter is missing, malformed or given twice (RFC 6749 section 5.2)."""

    code = wire = "invalid_request"


class InvalidClientException(TokenError):  # noqa: N818
    """The client is unknown, expired, or did not prove who it is (RFC 6749 section 5.2)."""

    code = wire = "invalid_client"


class InvalidGrantException(TokenError):  # noqa: N818
    """The code or refresh token is spent, expired, revoked or another client's."""

    code = wire = "invalid_grant"


class UnauthorizedClientException(TokenError):  # noqa: N818
    """This client may not use this grant (RFC 6749 section 5.2)."""

    code = wire = "unauthorized_client"


class UnsupportedGrantTypeException(TokenError):  # noqa: N818
    """The provider does not know this grant_type (RFC 6749 section 5.2)."""

    code = wire = "unsupported_grant_type"


class InvalidScopeException(TokenError):  # noqa: N818
    """The scope is unknown, malformed or wider than what was granted."""

    code = wire = "invalid_scope"


class AuthorizationPendingException(TokenError):  # noqa: N818
    """The person has not decided yet; poll again after the interval (RFC 8628 section 3.5)."""

    code = wire = "authorization_pending"


class SlowDownException(TokenError):  # noqa: N818
    """Polled too fast; add five seconds to the interval for good (RFC 8628 section 3.5)."""

    code = wire = "slow_down"


class AccessDeniedException(TokenError):  # noqa: N818
    """The person, or a policy, said no."""

    code = wire = "access_denied"


class ExpiredTokenException(TokenError):  # noqa: N818
    """The device code ran out before anybody approved it (RFC 8628 section 3.5)."""

    code = wire = "expired_token"


class InternalServerException(TokenError):  # noqa: N818
    """The provider failed; whether the request was carried out is not known."""

    code = wire = "server_error"


class InvalidClientMetadataException(TokenError):  # noqa: N818
    """A registration was refused for one of its fields (RFC 7591 section 3.2.2)."""

    code = wire = "invalid_client_metadata"


class InvalidRedirectUriException(TokenError):  # noqa: N818
    """A registration was refused for its redirect URI (RFC 7591 section 3.2.2)."""

    code = wire = "invalid_redirect_uri"


class TemporarilyUnavailableError(TokenError):
    """The provider is overloaded or being serviced; try again later (RFC 6749 4.1.2.1)."""

    code = wire = "temporarily_unavailable"


class UnsupportedResponseTypeError(TokenError):
    """The provider does not give this kind of authorization response (RFC 6749 section 4.1.2.1)."""

    code = wire = "unsupported_response_type"


class UnsupportedTokenTypeError(TokenError):
    """The provider cannot revoke this kind of token (RFC 7009 section 2.2.1)."""

    code = wire = "unsupported_token_type"


class InvalidTargetError(TokenError):
    """The ``resource`` or ``audience`` is unknown or not allowed (RFC 8707 section 2, RFC 8693)."""

    code = wire = "invalid_target"


class InvalidTokenError(TokenError):
    """The access token is expired, revoked or malformed: get another (RFC 6750 section 3.1)."""

    code = wire = "invalid_token"


class InsufficientScopeError(TokenError):
    """The access token was not granted enough: ask for more scope (RFC 6750 section 3.1)."""

    code = wire = "insufficient_scope"


class InteractionRequiredError(TokenError):
    """Only a person at a browser can go on (OpenID Connect Core section 3.1.2.6)."""

    code = wire = "interaction_required"


class LoginRequiredError(InteractionRequiredError):
    """The person has to log in (OpenID Connect Core section 3.1.2.6)."""

    code = wire = "login_required"


class ConsentRequiredError(InteractionRequiredError):
    """The person has to consent (OpenID Connect Core section 3.1.2.6)."""

    code = wire = "consent_required"


class AccountSelectionRequiredError(InteractionRequiredError):
    """The person has to choose an account (OpenID Connect Core section 3.1.2.6)."""

    code = wire = "account_selection_required"


class InvalidRequestUriError(TokenError):
    """The pushed request is expired, spent or unknown: push it again (RFC 9101, RFC 9126)."""

    code = wire = "invalid_request_uri"


class InvalidRequestObjectError(TokenError):
    """The signed request cannot be read or verified (RFC 9101 section 6)."""

    code = wire = "invalid_request_object"


class InvalidDpopProofError(TokenError):
    """The proof of possession is malformed or out of date: check the clock (RFC 9449 section 5)."""

    code = wire = "invalid_dpop_proof"


class UseDpopNonceError(TokenError):
    """The proof of possession must carry the nonce that the provider gave (RFC 9449 section 8)."""

    code = wire = "use_dpop_nonce"


class UnknownTokenError(TokenError):
    """An error code without a class; ``error`` has the code unchanged."""

    code = "unknown_token_error"


#: Every class that stands for a code on the wire, and nothing else.
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
