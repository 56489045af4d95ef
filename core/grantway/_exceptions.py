"""Every error that grantway raises, as one tree.

::

    GrantwayError
    |- RequestInvalidError              the caller's fault; nothing was sent
    |  |- UnknownGrantTypeError         no plugin registered this grant_type
    |  `- ConfigurationError            a provider, dialect or client that cannot work
    |     `- InsecureEndpointError      http:// to another machine
    |- TransportError                   no usable answer
    |  |- ConnectionFailedError         never sent: any grant may be tried again
    |  |- OutcomeUnknownError           sent, and the answer was lost
    |  |- ProviderUnavailableError      refused with 425, 429 or 503: nothing was done
    |  |- RedirectRefusedError          a token request is never redirected
    |  `- ResponseInvalidError          an answer that is not a token answer
    |     `- ResponseTooLargeError      an answer past the cap
    |- TokenError                       the provider said no
    |  |- InvalidRequestException       invalid_request
    |  |- InvalidClientException        invalid_client
    |  |- InvalidGrantException         invalid_grant
    |  |- UnauthorizedClientException   unauthorized_client
    |  |- UnsupportedGrantTypeException unsupported_grant_type
    |  |- InvalidScopeException         invalid_scope
    |  |- AuthorizationPendingException authorization_pending
    |  |- SlowDownException             slow_down
    |  |- AccessDeniedException         access_denied
    |  |- ExpiredTokenException         expired_token
    |  |- InternalServerException       server_error
    |  |- InvalidClientMetadataException  invalid_client_metadata
    |  |- InvalidRedirectUriException   invalid_redirect_uri
    |  |- TemporarilyUnavailableError   temporarily_unavailable
    |  |- UnsupportedResponseTypeError  unsupported_response_type
    |  |- UnsupportedTokenTypeError     unsupported_token_type
    |  |- InvalidTargetError            invalid_target
    |  |- InvalidTokenError             invalid_token
    |  |- InsufficientScopeError        insufficient_scope
    |  |- InteractionRequiredError      interaction_required
    |  |  |- LoginRequiredError         login_required
    |  |  |- ConsentRequiredError       consent_required
    |  |  `- AccountSelectionRequiredError account_selection_required
    |  |- InvalidRequestUriError        invalid_request_uri
    |  |- InvalidRequestObjectError     invalid_request_object
    |  |- InvalidDpopProofError         invalid_dpop_proof
    |  |- UseDpopNonceError             use_dpop_nonce
    |  `- UnknownTokenError             any other code, kept as it came
    |- FlowError                        a login that a person began and that did not end in a code
    |  |- FlowCancelledError
    |  |- FlowTimeoutError
    |  |- BrowserUnavailableError
    |  `- RedirectMismatchError         state or iss is not the one that was sent
    |- CredentialError                  a token that could not be kept fresh
    |  |- LoginNeededError              no token, and none to be had without a person
    |  |- WaitTimeoutError              the refresh under way outlasted this caller's deadline
    |  |- ProviderPausedError           not asked: it failed a moment ago, or said when to return
    |  `- StoreError                    where tokens rest
    |     |- StoreUnreadableError       what is stored cannot be read, or not be reached
    |     |- StoreSaveError             a token that could not be saved; it is in ``token``
    |     |- StoreLockError             the lock was not to be had in time
    |     `- LeaseLostError             a newer holder of the lock has saved since
    |- PluginError                      a plugin's code broke its contract during a call
    `- RegistryError                    plugins
       |- GrantConflictError
       |- GrantInvalidError
       `- PluginLoadError
          `- PluginIncompatibleError    made for another version of the hooks

The eleven names from ``InvalidRequestException`` to ``InternalServerException`` are those of
AWS's ``SSOOIDC.Client.create_token``, and the two of a registration are AWS's as well. A code of
the OAuth registry has a class where a program would act on it; any other is kept in
``UnknownTokenError.error``. No error carries a secret: what a provider says is quoted
only after the values that were sent have been cut out of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ._processes.copies import Value
from ._secrets.error_members import Members

if TYPE_CHECKING:
    from ._types.token import Token


@dataclass(frozen=True, slots=True)
class Attempt:
    """One send of a call.

    Attributes:
        outcome: ``final``, ``never_sent``, ``refused`` or ``unknown``.
        reason: The error's ``code``, or ``status 503``.
        status: HTTP status of the answer, or None when there was none.
        milliseconds: How long it took.
        wait: Seconds that were waited after it, or None when it was the last.
    """

    outcome: str
    reason: str
    status: int | None
    milliseconds: float
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence(Value):
    """What is known about the call that failed. Its repr shows no secret.

    Attributes:
        status: HTTP status of the last answer, or None when there was none.
        request_id: The provider's id of the request, for its support desk.
        provider: The host that was asked.
        grant_type: The grant that was asked for, or None for another endpoint.
        step: Which endpoint: ``token``, ``device_authorization``, ...
        attempts: How many times the request was sent or tried.
        headers: Headers of the answer, lower-case names, without cookies.
        history: Each attempt in order, when there was more than one, or the one failed.
        members: The members of the decoded error response, RFC names at the top, or empty if there
            was none. A value may be a secret; see ``GrantwayError.members``.
    """

    status: int | None = None
    request_id: str | None = None
    provider: str | None = None
    grant_type: str | None = None
    step: str = "token"
    attempts: int = 1
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    history: tuple[Attempt, ...] = ()
    members: Mapping[str, Any] = field(default_factory=Members, repr=False)


class GrantwayError(Exception):
    """The root: ``except GrantwayError`` catches all that grantway raises on purpose.

    Attributes:
        code: A stable word for programs to match; never changes between versions.
        message: What happened and what to do, for a person.
        evidence: What is known about the call.
        token: A token that arrived before the call failed, or None. A credential has stored it;
            any other caller should store it, because its refresh token may be the only valid one.
            Its ``access_token`` is empty if the provider sent a refresh token alone.
    """

    code: str = "grantway_error"
    token: Token | None = None

    @property
    def members(self) -> Mapping[str, Any]:
        """The members of the decoded error response, such as ``mfa_token`` or ``interval``.

        Empty if the error came without a response that could be decoded. Its ``repr`` shows names
        only, because a value may be a secret; secrets that the request sent are cut out. Error
        classes of plugins read it too, in ``__init__`` as ``evidence.members``.
        """
        return self.evidence.members

    def __init__(self, message: str, *, evidence: Evidence | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.evidence = evidence or Evidence()

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions cross process pools; keyword-only arguments need this to survive pickling.
        return (_rebuild, (type(self), self.args, self.__dict__))


def _rebuild(
    kind: type[GrantwayError], args: tuple[Any, ...], state: dict[str, Any]
) -> GrantwayError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


# --- The caller's fault; nothing was sent -------------------------------------------------------


class RequestInvalidError(GrantwayError, ValueError):
    """The request breaks its grant's schema. Nothing was sent.

    Attributes:
        errors: Field name -> the rules it breaks. Never holds the values.
    """

    code = "request_invalid"

    def __init__(
        self,
        message: str,
        *,
        errors: Mapping[str, Sequence[str]] | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.errors: dict[str, list[str]] = {k: list(v) for k, v in (errors or {}).items()}


class UnknownGrantTypeError(RequestInvalidError):
    """No plugin registered this grant_type. The message lists those that are and the nearest.

    Attributes:
        registered: The grant types that can be asked for, sorted.
        nearest: The one that was probably meant, or None.
    """

    code = "unknown_grant_type"

    def __init__(
        self,
        message: str,
        *,
        registered: Sequence[str] = (),
        nearest: str | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, errors={"grant_type": [message]}, evidence=evidence)
        self.registered = tuple(registered)
        self.nearest = nearest


class ConfigurationError(RequestInvalidError):
    """A provider, dialect or client was described in a way that cannot work."""

    code = "configuration_invalid"


class InsecureEndpointError(ConfigurationError):
    """An endpoint is plain http on a host that is not this machine (RFC 6749 section 3.2)."""

    code = "insecure_endpoint"


# --- No usable answer ---------------------------------------------------------------------------


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


# --- The provider said no -----------------------------------------------------------------------


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
    """An error code that has no class of its own; ``error`` keeps it as it came."""

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


# --- A login that did not come to its end -------------------------------------------------------


class FlowError(GrantwayError):
    """A login that needs a person did not end in something to redeem."""

    code = "flow_failed"


class FlowCancelledError(FlowError):
    """The caller cancelled the login while it waited."""

    code = "flow_cancelled"


class FlowTimeoutError(FlowError):
    """Nobody finished the login in time."""

    code = "flow_timeout"


class BrowserUnavailableError(FlowError):
    """No browser could be opened on this machine, and the address was not shown to a person."""

    code = "browser_unavailable"


class RedirectMismatchError(FlowError):
    """The redirect that came back is not the answer to this login (wrong ``state`` or ``iss``)."""

    code = "redirect_mismatch"


# --- Tokens kept fresh ------------------------------------------------------------------------


class CredentialError(GrantwayError):
    """A token that could not be kept fresh."""

    code = "credential_error"


class LoginNeededError(CredentialError):
    """There is no token, and none can be had without a person: log in again."""

    code = "login_needed"


class WaitTimeoutError(CredentialError, TimeoutError):
    """The refresh under way outlasted this caller's deadline; it goes on without the caller."""

    code = "wait_timeout"


class ProviderPausedError(CredentialError):
    """The provider was not asked: it failed a moment ago, or said when to come back.

    Attributes:
        retry_after: Seconds until it is asked again.
    """

    code = "provider_paused"

    def __init__(
        self, message: str, *, retry_after: float = 0.0, evidence: Evidence | None = None
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.retry_after = retry_after


class StoreError(CredentialError):
    """Where tokens rest did not do its work."""

    code = "store_failed"


class StoreUnreadableError(StoreError):
    """What is stored cannot be read, or the store cannot be reached. Nothing was removed."""

    code = "store_unreadable"


class StoreSaveError(StoreError):
    """A token could not be saved.

    Attributes:
        token: The token, which would else be lost with the error; None where a store raises it,
            which is given the token by its caller.
    """

    code = "store_save_failed"

    def __init__(
        self, message: str, *, token: Token | None = None, evidence: Evidence | None = None
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.token = token


class StoreLockError(StoreError, TimeoutError):
    """The lock of a key was not to be had in time. Nothing was sent."""

    code = "store_locked"


class LeaseLostError(StoreError):
    """A newer holder of the lock has saved since; what is stored is newer than what was given."""

    code = "lease_lost"


# --- Plugins ------------------------------------------------------------------------------------


class PluginError(GrantwayError):
    """A plugin's code broke its contract during a call. The message names the plugin.

    Attributes:
        plugin: The plugin and the distribution that owns it.
        token: The token that the provider had issued by then, or None.
    """

    code = "plugin_failed"

    def __init__(
        self,
        message: str,
        *,
        plugin: str = "",
        token: Token | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.plugin = plugin
        self.token = token


class RegistryError(GrantwayError):
    """The plugins cannot be made into one registry."""

    code = "registry_error"


class GrantConflictError(RegistryError):
    """Two owners bring the same name. The message names both, with their versions."""

    code = "grant_conflict"


class GrantInvalidError(RegistryError):
    """A plugin's grant cannot be used: no schema, an empty grant_type, ..."""

    code = "grant_invalid"


class PluginLoadError(RegistryError):
    """A plugin could not be loaded. The message names it, the distribution and the reason."""

    code = "plugin_load_failed"


class PluginIncompatibleError(PluginLoadError):
    """A plugin was made for another version of the hooks. The message names both versions."""

    code = "plugin_incompatible"
