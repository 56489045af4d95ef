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

from .base import Attempt as Attempt, Evidence as Evidence, GrantwayError as GrantwayError
from .credential import (
    CredentialError as CredentialError,
    LeaseLostError as LeaseLostError,
    LoginNeededError as LoginNeededError,
    ProviderPausedError as ProviderPausedError,
    StoreError as StoreError,
    StoreLockError as StoreLockError,
    StoreSaveError as StoreSaveError,
    StoreUnreadableError as StoreUnreadableError,
    WaitTimeoutError as WaitTimeoutError,
)
from .flow import (
    BrowserUnavailableError as BrowserUnavailableError,
    FlowCancelledError as FlowCancelledError,
    FlowError as FlowError,
    FlowTimeoutError as FlowTimeoutError,
    RedirectMismatchError as RedirectMismatchError,
)
from .plugin import (
    GrantConflictError as GrantConflictError,
    GrantInvalidError as GrantInvalidError,
    PluginError as PluginError,
    PluginIncompatibleError as PluginIncompatibleError,
    PluginLoadError as PluginLoadError,
    RegistryError as RegistryError,
)
from .provider import (
    TOKEN_ERRORS as TOKEN_ERRORS,
    AccessDeniedException as AccessDeniedException,
    AccountSelectionRequiredError as AccountSelectionRequiredError,
    AuthorizationPendingException as AuthorizationPendingException,
    ConsentRequiredError as ConsentRequiredError,
    ExpiredTokenException as ExpiredTokenException,
    InsufficientScopeError as InsufficientScopeError,
    InteractionRequiredError as InteractionRequiredError,
    InternalServerException as InternalServerException,
    InvalidClientException as InvalidClientException,
    InvalidClientMetadataException as InvalidClientMetadataException,
    InvalidDpopProofError as InvalidDpopProofError,
    InvalidGrantException as InvalidGrantException,
    InvalidRedirectUriException as InvalidRedirectUriException,
    InvalidRequestException as InvalidRequestException,
    InvalidRequestObjectError as InvalidRequestObjectError,
    InvalidRequestUriError as InvalidRequestUriError,
    InvalidScopeException as InvalidScopeException,
    InvalidTargetError as InvalidTargetError,
    InvalidTokenError as InvalidTokenError,
    LoginRequiredError as LoginRequiredError,
    SlowDownException as SlowDownException,
    TemporarilyUnavailableError as TemporarilyUnavailableError,
    TokenError as TokenError,
    UnauthorizedClientException as UnauthorizedClientException,
    UnknownTokenError as UnknownTokenError,
    UnsupportedGrantTypeException as UnsupportedGrantTypeException,
    UnsupportedResponseTypeError as UnsupportedResponseTypeError,
    UnsupportedTokenTypeError as UnsupportedTokenTypeError,
    UseDpopNonceError as UseDpopNonceError,
)
from .request import (
    ConfigurationError as ConfigurationError,
    InsecureEndpointError as InsecureEndpointError,
    RequestInvalidError as RequestInvalidError,
    UnknownGrantTypeError as UnknownGrantTypeError,
)
from .transport import (
    ConnectionFailedError as ConnectionFailedError,
    OutcomeUnknownError as OutcomeUnknownError,
    ProviderUnavailableError as ProviderUnavailableError,
    RedirectRefusedError as RedirectRefusedError,
    ResponseInvalidError as ResponseInvalidError,
    ResponseTooLargeError as ResponseTooLargeError,
    TransportError as TransportError,
)

for _each in list(globals().values()):
    if isinstance(_each, type):
        _each.__module__ = "grantway"  # tracebacks show the public name
del _each
