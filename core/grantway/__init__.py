"""grantway: a pluggable OAuth grant framework.

::

    import grantway

    provider = grantway.Provider.discover("https://login.example.com")
    client = grantway.Client(provider, client_id="my-client", client_secret="...")
    token = client.create_token(grant_type="refresh_token", refresh_token="...")

Public names are imported on first use, so importing the package is fast.
"""

from ._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._credentials.credential import Credential as Credential
    from ._credentials.pool import CredentialPool as CredentialPool
    from ._credentials.token_format import (
        decode_token as decode_token,
        encode_token as encode_token,
        is_newer_format as is_newer_format,
    )
    from ._exceptions import (
        AccessDeniedException as AccessDeniedException,
        AccountSelectionRequiredError as AccountSelectionRequiredError,
        Attempt as Attempt,
        AuthorizationPendingException as AuthorizationPendingException,
        BrowserUnavailableError as BrowserUnavailableError,
        ConfigurationError as ConfigurationError,
        ConnectionFailedError as ConnectionFailedError,
        ConsentRequiredError as ConsentRequiredError,
        CredentialError as CredentialError,
        Evidence as Evidence,
        ExpiredTokenException as ExpiredTokenException,
        FlowCancelledError as FlowCancelledError,
        FlowError as FlowError,
        FlowTimeoutError as FlowTimeoutError,
        GrantConflictError as GrantConflictError,
        GrantInvalidError as GrantInvalidError,
        GrantwayError as GrantwayError,
        InsecureEndpointError as InsecureEndpointError,
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
        LeaseLostError as LeaseLostError,
        LoginNeededError as LoginNeededError,
        LoginRequiredError as LoginRequiredError,
        OutcomeUnknownError as OutcomeUnknownError,
        PluginError as PluginError,
        PluginIncompatibleError as PluginIncompatibleError,
        PluginLoadError as PluginLoadError,
        ProviderPausedError as ProviderPausedError,
        ProviderUnavailableError as ProviderUnavailableError,
        RedirectMismatchError as RedirectMismatchError,
        RedirectRefusedError as RedirectRefusedError,
        RegistryError as RegistryError,
        RequestInvalidError as RequestInvalidError,
        ResourceMetadataError as ResourceMetadataError,
        ResponseInvalidError as ResponseInvalidError,
        ResponseTooLargeError as ResponseTooLargeError,
        SecretUnavailableError as SecretUnavailableError,
        SlowDownException as SlowDownException,
        StoreError as StoreError,
        StoreLockError as StoreLockError,
        StoreSaveError as StoreSaveError,
        StoreUnreadableError as StoreUnreadableError,
        TemporarilyUnavailableError as TemporarilyUnavailableError,
        TokenError as TokenError,
        TransportError as TransportError,
        UnauthorizedClientException as UnauthorizedClientException,
        UnknownGrantTypeError as UnknownGrantTypeError,
        UnknownTokenError as UnknownTokenError,
        UnsupportedGrantTypeException as UnsupportedGrantTypeException,
        UnsupportedResponseTypeError as UnsupportedResponseTypeError,
        UnsupportedTokenTypeError as UnsupportedTokenTypeError,
        UseDpopNonceError as UseDpopNonceError,
        WaitTimeoutError as WaitTimeoutError,
    )
    from ._plugins.building import build_registry as build_registry
    from ._plugins.default_registry import (
        default_registry as default_registry,
        register as register,
        register_plugin as register_plugin,
        reload as reload,
        unregister as unregister,
    )
    from ._plugins.registry import Registry as Registry
    from ._requests.client import Client as Client
    from ._requests.client_assertion import ClientAssertion as ClientAssertion
    from ._requests.client_auth import (
        ClientAuth as ClientAuth,
        ClientAuthFactory as ClientAuthFactory,
        ClientSecretBasic as ClientSecretBasic,
        ClientSecretPost as ClientSecretPost,
        NoAuth as NoAuth,
    )
    from ._requests.exchange import Exchange as Exchange
    from ._requests.login import (
        LoginContext as LoginContext,
        LoginFlow as LoginFlow,
        LoginScreen as LoginScreen,
    )
    from ._requests.middleware import Middleware as Middleware
    from ._requests.outgoing_request import OutgoingRequest as OutgoingRequest
    from ._requests.provider import Provider as Provider
    from ._requests.retry import RetryPolicy as RetryPolicy
    from ._requests.sourced_auth import SourcedAuth as SourcedAuth
    from ._requests.steps import Wait as Wait
    from ._transport.deadline import Deadline as Deadline
    from ._transport.http import (
        HttpRequest as HttpRequest,
        HttpResponse as HttpResponse,
        Transport as Transport,
        require_secure as require_secure,
    )
    from ._transport.requests_transport import RequestsTransport as RequestsTransport
    from ._transport.transport import HttpTransport as HttpTransport
    from ._types.event import Event as Event
    from ._types.fields import GrantSchema as GrantSchema, Scope as Scope, Text as Text
    from ._types.freshness import Freshness as Freshness
    from ._types.grant import Grant as Grant, Replay as Replay
    from ._types.plugin_status import PluginStatus as PluginStatus
    from ._types.secret_source import (
        Secret as Secret,
        SecretSource as SecretSource,
        SecretSourceFactory as SecretSourceFactory,
    )
    from ._types.store import (
        AsyncStore as AsyncStore,
        Store as Store,
        StoreFactory as StoreFactory,
    )
    from ._types.token import Token as Token
    from ._wire.dialect import Dialect as Dialect
    from ._wire.provider_response import (
        ProviderResponse as ProviderResponse,
        WireError as WireError,
    )
    from ._wire.shapes import (
        ErrorShape as ErrorShape,
        RequestShape as RequestShape,
        ResponseShape as ResponseShape,
    )
    from .hookspecs import hookimpl as hookimpl

__version__ = "0.1.0"

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._credentials.credential": "Credential",
            "._credentials.pool": "CredentialPool",
            "._credentials.token_format": "decode_token encode_token is_newer_format",
            "._exceptions": """
                AccessDeniedException
                AccountSelectionRequiredError
                Attempt
                AuthorizationPendingException
                BrowserUnavailableError
                ConfigurationError
                ConnectionFailedError
                ConsentRequiredError
                CredentialError
                Evidence
                ExpiredTokenException
                FlowCancelledError
                FlowError
                FlowTimeoutError
                GrantConflictError
                GrantInvalidError
                GrantwayError
                InsecureEndpointError
                InsufficientScopeError
                InteractionRequiredError
                InternalServerException
                InvalidClientException
                InvalidClientMetadataException
                InvalidDpopProofError
                InvalidGrantException
                InvalidRedirectUriException
                InvalidRequestException
                InvalidRequestObjectError
                InvalidRequestUriError
                InvalidScopeException
                InvalidTargetError
                InvalidTokenError
                LeaseLostError
                LoginNeededError
                LoginRequiredError
                OutcomeUnknownError
                PluginError
                PluginIncompatibleError
                PluginLoadError
                ProviderPausedError
                ProviderUnavailableError
                RedirectMismatchError
                RedirectRefusedError
                RegistryError
                RequestInvalidError
                ResourceMetadataError
                ResponseInvalidError
                ResponseTooLargeError
                SecretUnavailableError
                SlowDownException
                StoreError
                StoreLockError
                StoreSaveError
                StoreUnreadableError
                TemporarilyUnavailableError
                TokenError
                TransportError
                UnauthorizedClientException
                UnknownGrantTypeError
                UnknownTokenError
                UnsupportedGrantTypeException
                UnsupportedResponseTypeError
                UnsupportedTokenTypeError
                UseDpopNonceError
                WaitTimeoutError
            """,
            "._plugins.default_registry": """
                default_registry
                register
                register_plugin
                reload
                unregister
            """,
            "._plugins.building": "build_registry",
            "._plugins.registry": "Registry",
            "._requests.client": "Client",
            "._requests.client_assertion": "ClientAssertion",
            "._requests.client_auth": """
                ClientAuth
                ClientAuthFactory
                ClientSecretBasic
                ClientSecretPost
                NoAuth
            """,
            "._requests.exchange": "Exchange",
            "._requests.login": "LoginContext LoginFlow LoginScreen",
            "._requests.middleware": "Middleware",
            "._requests.outgoing_request": "OutgoingRequest",
            "._requests.retry": "RetryPolicy",
            "._requests.sourced_auth": "SourcedAuth",
            "._requests.steps": "Wait",
            "._requests.provider": "Provider",
            "._transport.deadline": "Deadline",
            "._transport.http": "HttpRequest HttpResponse Transport require_secure",
            "._transport.requests_transport": "RequestsTransport",
            "._transport.transport": "HttpTransport",
            "._types.event": "Event",
            "._types.freshness": "Freshness",
            "._types.fields": "GrantSchema Scope Text",
            "._types.grant": "Grant Replay",
            "._types.plugin_status": "PluginStatus",
            "._types.secret_source": "Secret SecretSource SecretSourceFactory",
            "._types.store": "AsyncStore Store StoreFactory",
            "._types.token": "Token",
            "._wire.dialect": "Dialect",
            "._wire.provider_response": "ProviderResponse WireError",
            "._wire.shapes": "ResponseShape ErrorShape RequestShape",
            ".hookspecs": "hookimpl",
        },
    )
