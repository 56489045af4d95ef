"""grantway: a pluggable OAuth grant framework.

::

    import grantway

    provider = grantway.Provider.discover("https://login.example.com")
    client = grantway.Client(provider, client_id="my-client", client_secret="...")
    token = client.create_token(grant_type="refresh_token", refresh_token="...")

Importing the package costs next to nothing: a name is loaded when it is first used.
"""

from importlib import import_module

# Type checkers know the name; importing ``typing`` for it would be most of this module's cost.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .client import Client
    from .client_auth import ClientAuth, ClientSecretBasic, ClientSecretPost, NoAuth
    from .credential import Credential
    from .dialect import AnswerShape, Dialect, ErrorShape, RequestShape
    from .event import Event
    from .exceptions import (
        AccessDeniedException,
        AccountSelectionRequiredError,
        Attempt,
        AuthorizationPendingException,
        BrowserUnavailableError,
        ConfigurationError,
        ConnectionFailedError,
        ConsentRequiredError,
        CredentialError,
        Evidence,
        ExpiredTokenException,
        FlowCancelledError,
        FlowError,
        FlowTimeoutError,
        GrantConflictError,
        GrantInvalidError,
        GrantwayError,
        InsecureEndpointError,
        InsufficientScopeError,
        InteractionRequiredError,
        InternalServerException,
        InvalidClientException,
        InvalidClientMetadataException,
        InvalidDpopProofError,
        InvalidGrantException,
        InvalidRedirectUriException,
        InvalidRequestException,
        InvalidRequestObjectError,
        InvalidRequestUriError,
        InvalidScopeException,
        InvalidTargetError,
        InvalidTokenError,
        LeaseLostError,
        LoginNeededError,
        LoginRequiredError,
        OutcomeUnknownError,
        PluginError,
        PluginIncompatibleError,
        PluginLoadError,
        ProviderPausedError,
        ProviderUnavailableError,
        RedirectMismatchError,
        RedirectRefusedError,
        RegistryError,
        RequestInvalidError,
        ResponseInvalidError,
        ResponseTooLargeError,
        SlowDownException,
        StoreError,
        StoreLockError,
        StoreSaveError,
        StoreUnreadableError,
        TemporarilyUnavailableError,
        TokenError,
        TransportError,
        UnauthorizedClientException,
        UnknownGrantTypeError,
        UnknownTokenError,
        UnsupportedGrantTypeException,
        UnsupportedResponseTypeError,
        UnsupportedTokenTypeError,
        UseDpopNonceError,
        WaitTimeoutError,
    )
    from .freshness import Freshness
    from .grant import Grant, GrantSchema, Replay, Scope, Text
    from .hookspecs import hookimpl
    from .middleware.retry import RetryPolicy
    from .plugin import PluginStatus
    from .pool import CredentialPool
    from .process import default_registry, register, register_plugin, reload, unregister
    from .provider import Provider
    from .registry import Registry, build_registry
    from .stores import Store
    from .token import Token
    from .transport import RequestsTransport

__version__ = "0.1.0"

_HOMES = {
    "client": ("Client",),
    "client_auth": ("ClientAuth", "ClientSecretBasic", "ClientSecretPost", "NoAuth"),
    "credential": ("Credential",),
    "dialect": ("AnswerShape", "Dialect", "ErrorShape", "RequestShape"),
    "event": ("Event",),
    "exceptions": (
        "AccessDeniedException",
        "AccountSelectionRequiredError",
        "Attempt",
        "AuthorizationPendingException",
        "BrowserUnavailableError",
        "ConfigurationError",
        "ConnectionFailedError",
        "ConsentRequiredError",
        "CredentialError",
        "Evidence",
        "ExpiredTokenException",
        "FlowCancelledError",
        "FlowError",
        "FlowTimeoutError",
        "GrantConflictError",
        "GrantInvalidError",
        "GrantwayError",
        "InsecureEndpointError",
        "InsufficientScopeError",
        "InteractionRequiredError",
        "InternalServerException",
        "InvalidClientException",
        "InvalidClientMetadataException",
        "InvalidDpopProofError",
        "InvalidGrantException",
        "InvalidRedirectUriException",
        "InvalidRequestException",
        "InvalidRequestObjectError",
        "InvalidRequestUriError",
        "InvalidScopeException",
        "InvalidTargetError",
        "InvalidTokenError",
        "LeaseLostError",
        "LoginNeededError",
        "LoginRequiredError",
        "OutcomeUnknownError",
        "PluginError",
        "PluginIncompatibleError",
        "PluginLoadError",
        "ProviderPausedError",
        "ProviderUnavailableError",
        "RedirectMismatchError",
        "RedirectRefusedError",
        "RegistryError",
        "RequestInvalidError",
        "ResponseInvalidError",
        "ResponseTooLargeError",
        "SlowDownException",
        "StoreError",
        "StoreLockError",
        "StoreSaveError",
        "StoreUnreadableError",
        "TemporarilyUnavailableError",
        "TokenError",
        "TransportError",
        "UnauthorizedClientException",
        "UnknownGrantTypeError",
        "UnknownTokenError",
        "UnsupportedGrantTypeException",
        "UnsupportedResponseTypeError",
        "UnsupportedTokenTypeError",
        "UseDpopNonceError",
        "WaitTimeoutError",
    ),
    "freshness": ("Freshness",),
    "grant": ("Grant", "GrantSchema", "Replay", "Scope", "Text"),
    "hookspecs": ("hookimpl",),
    "middleware.retry": ("RetryPolicy",),
    "provider": ("Provider",),
    "plugin": ("PluginStatus",),
    "pool": ("CredentialPool",),
    "process": ("default_registry", "register", "register_plugin", "reload", "unregister"),
    "registry": ("Registry", "build_registry"),
    "stores": ("Store",),
    "token": ("Token",),
    "transport": ("RequestsTransport",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AccessDeniedException",
    "AccountSelectionRequiredError",
    "AnswerShape",
    "Attempt",
    "AuthorizationPendingException",
    "BrowserUnavailableError",
    "Client",
    "ClientAuth",
    "ClientSecretBasic",
    "ClientSecretPost",
    "ConfigurationError",
    "ConnectionFailedError",
    "ConsentRequiredError",
    "Credential",
    "CredentialError",
    "CredentialPool",
    "Dialect",
    "ErrorShape",
    "Event",
    "Evidence",
    "ExpiredTokenException",
    "FlowCancelledError",
    "FlowError",
    "FlowTimeoutError",
    "Freshness",
    "Grant",
    "GrantConflictError",
    "GrantInvalidError",
    "GrantSchema",
    "GrantwayError",
    "InsecureEndpointError",
    "InsufficientScopeError",
    "InteractionRequiredError",
    "InternalServerException",
    "InvalidClientException",
    "InvalidClientMetadataException",
    "InvalidDpopProofError",
    "InvalidGrantException",
    "InvalidRedirectUriException",
    "InvalidRequestException",
    "InvalidRequestObjectError",
    "InvalidRequestUriError",
    "InvalidScopeException",
    "InvalidTargetError",
    "InvalidTokenError",
    "LeaseLostError",
    "LoginNeededError",
    "LoginRequiredError",
    "NoAuth",
    "OutcomeUnknownError",
    "PluginError",
    "PluginIncompatibleError",
    "PluginLoadError",
    "PluginStatus",
    "Provider",
    "ProviderPausedError",
    "ProviderUnavailableError",
    "RedirectMismatchError",
    "RedirectRefusedError",
    "Registry",
    "RegistryError",
    "Replay",
    "RequestInvalidError",
    "RequestShape",
    "RequestsTransport",
    "ResponseInvalidError",
    "ResponseTooLargeError",
    "RetryPolicy",
    "Scope",
    "SlowDownException",
    "Store",
    "StoreError",
    "StoreLockError",
    "StoreSaveError",
    "StoreUnreadableError",
    "TemporarilyUnavailableError",
    "Text",
    "Token",
    "TokenError",
    "TransportError",
    "UnauthorizedClientException",
    "UnknownGrantTypeError",
    "UnknownTokenError",
    "UnsupportedGrantTypeException",
    "UnsupportedResponseTypeError",
    "UnsupportedTokenTypeError",
    "UseDpopNonceError",
    "WaitTimeoutError",
    "build_registry",
    "default_registry",
    "hookimpl",
    "register",
    "register_plugin",
    "reload",
    "unregister",
]


def __getattr__(name: str) -> "Any":
    """Load a public name when it is first used."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
