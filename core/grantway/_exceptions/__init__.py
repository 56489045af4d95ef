"""Every error that grantway raises, as one tree.

::

    GrantwayError
    |- RequestInvalidError              an invalid request or setting; nothing was sent
    |  |- UnknownGrantTypeError         no plugin registered this grant_type
    |  `- ConfigurationError            an invalid provider, dialect or client
    |     `- InsecureEndpointError      http:// to another machine
    |- TransportError                   no usable response
    |  |- ConnectionFailedError         never sent: any grant may be tried again
    |  |- OutcomeUnknownError           sent, but the response was lost
    |  |- ProviderUnavailableError      rejected with 425, 429 or 503: nothing was done
    |  |- RedirectRefusedError          a token request is never redirected
    |  `- ResponseInvalidError          not a token response
    |     |- ResourceMetadataError      the metadata of a resource is missing or invalid
    |     `- ResponseTooLargeError      a response above the size limit
    |- TokenError                       the provider rejected the request
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
    |  `- UnknownTokenError             any other code, unchanged
    |- FlowError                        an interactive login failed
    |  |- FlowCancelledError
    |  |- FlowTimeoutError
    |  |- BrowserUnavailableError
    |  `- RedirectMismatchError         state or iss differs from the request
    |- CredentialError                  a credential could not provide a token
    |  |- LoginNeededError              no token; a user has to log in
    |  |- WaitTimeoutError              the refresh took longer than the caller's timeout
    |  |- ProviderPausedError           no request sent: it failed a moment ago, or sent Retry-After
    |  |- SecretUnavailableError        a secret source could not be read; nothing was sent
    |  `- StoreError                    the store failed
    |     |- StoreUnreadableError       a stored token cannot be read, or the store not reached
    |     |- StoreSaveError             a token could not be saved; see ``token``
    |     |- StoreLockError             the lock was not acquired in time
    |     `- LeaseLostError             a later holder of the lock has saved
    |- PluginError                      a plugin's code broke its contract during a call
    `- RegistryError                    plugins
       |- GrantConflictError
       |- GrantInvalidError
       `- PluginLoadError
          `- PluginIncompatibleError    made for another version of the hooks

The eleven names from ``InvalidRequestException`` to ``InternalServerException`` are those of
AWS's ``SSOOIDC.Client.create_token``; the two registration errors are AWS's as well. A code of the
OAuth registry has a class if programs act on it; any other code is in ``UnknownTokenError.error``.
No error carries a secret: the values that were sent are removed from quoted provider texts.
"""

from .base import Attempt as Attempt, Evidence as Evidence, GrantwayError as GrantwayError
from .credential import (
    CredentialError as CredentialError,
    LeaseLostError as LeaseLostError,
    LoginNeededError as LoginNeededError,
    ProviderPausedError as ProviderPausedError,
    SecretUnavailableError as SecretUnavailableError,
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
    ResourceMetadataError as ResourceMetadataError,
    ResponseInvalidError as ResponseInvalidError,
    ResponseTooLargeError as ResponseTooLargeError,
    TransportError as TransportError,
)


def _show_public_names() -> None:
    for each in list(globals().values()):
        if isinstance(each, type):
            each.__module__ = "grantway"  # tracebacks show the public name


_show_public_names()
