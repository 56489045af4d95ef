"""Identify the program's client at the authorization server of a resource."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from grantway._exceptions import ConfigurationError, ResourceMetadataError
from grantway._secrets.params import Params
from grantway._types.token import Token
from grantway_plugins._provider_features import reads_client_documents, with_offline_access
from grantway_plugins._redirect_ports import ports_of
from grantway_plugins.registration import Registrations, identity_of, key_of, metadata_of

from .settings import ResourceSettings

if TYPE_CHECKING:
    from grantway._credentials.credential import Credential
    from grantway._requests.client import Client
    from grantway._requests.provider import Provider

#: A grant whose first token comes from elsewhere, so that the credential never logs in itself.
_GRANT_TYPE = "authorization_code"


class Session(NamedTuple):
    """The client and the token of a resource at one issuer.

    Attributes:
        provider: The provider.
        client: The client.
        credential: The token.
        registered: Whether the client registered itself (RFC 7591).
        registered_scope: The scope with which it did.
        reused_registration: Whether the registration is an earlier one, which the provider may
            have forgotten.
        ports: The ports of the redirect URIs that it registered, or None.
    """

    provider: Provider
    client: Client
    credential: Credential
    registered: bool
    registered_scope: tuple[str, ...]
    reused_registration: bool
    ports: tuple[int, ...] | None = None


class _Identity(NamedTuple):
    """The arguments of a client; the other attributes are those of ``Session``."""

    arguments: Params
    registered: bool = False
    reused_registration: bool = False
    ports: tuple[int, ...] | None = None


def first_scope(provider: Provider, settings: ResourceSettings) -> tuple[str, ...]:
    """Return the scope of the first login: the program's, or what the resource names."""
    if settings.scope is not None:
        return settings.scope
    return with_offline_access(provider.scope, provider)


def session_at(
    provider: Provider,
    settings: ResourceSettings,
    scope: tuple[str, ...],
    *,
    instead_of: str | None = None,
) -> Session:
    """Return the session at a provider. Registers the client if necessary.

    The client is the pre-registered one; otherwise the one of the metadata document, if the
    provider reads such documents; otherwise a registered one.

    Args:
        provider: The provider.
        settings: The program's settings.
        scope: The scope to register. Another one is another registration.
        instead_of: The ``client_id`` of a registration that the provider no longer knows.

    Raises:
        ConfigurationError: There is no way to identify the client.
        GrantwayError: The client could not be registered.
    """
    identity = _identity(provider, settings, scope, instead_of)
    client = _client(provider, settings, identity.arguments)
    bound = getattr(client.auth, "thumbprint", None) or ""
    issuer = provider.issuer or provider.token_endpoint
    key = settings.token_key(issuer, provider.resource, client.client_id, bound)
    credential = client.credential(grant_type=_GRANT_TYPE, key=key, store=settings.store)
    return Session(
        provider,
        client,
        credential,
        identity.registered,
        scope,
        identity.reused_registration,
        identity.ports,
    )


def bind(settings: ResourceSettings, provider: Provider) -> None:
    """Bind the program's client to the first issuer that the resource named.

    All users and scopes share the binding, although each has another record.

    Raises:
        ResourceMetadataError: The client is bound to another issuer.
        StoreError: The binding could not be read or stored.
    """
    issuer = provider.issuer or provider.token_endpoint
    if settings.issuer is not None:
        return  # the program named it
    store, key = settings.store, settings.client_key
    with store.lock(key, settings.timeout) as fence:
        bound = store.load(key)
        if bound is None:
            store.save(key, Token(issuer, "client-issuer"), fence=fence)
    if bound is not None and bound.access_token != issuer:
        raise _other_issuer(settings.url, bound.access_token, issuer)


def _identity(
    provider: Provider,
    settings: ResourceSettings,
    scope: tuple[str, ...],
    instead_of: str | None,
) -> _Identity:
    """Return the client to use; register it if necessary."""
    if settings.client_id is not None:
        given = Params(
            client_id=settings.client_id, client_secret=settings.client_secret, auth=settings.auth
        )
        return _Identity(given)
    if settings.client_metadata_url is not None and reads_client_documents(provider):
        return _Identity(Params(client_id=settings.client_metadata_url, auth="none"))
    if provider.registration_endpoint is None:
        raise ConfigurationError(
            f"client_id: is required for {settings.url}: its authorization server "
            f"{provider.issuer} does not let clients register"
            + (
                ", and does not read client_metadata_url"
                if settings.client_metadata_url is not None
                else " (RFC 7591)"
            )
            + f". Register a client there, and pass its client_id and issuer={provider.issuer!r}.",
            errors={"client_id": ["is required by this authorization server"]},
        )
    if not settings.client_name:
        raise ConfigurationError(
            f"client_name: is required for {settings.url}, so that the client can register at "
            f"{provider.issuer} (RFC 7591); pass the name to show to users.",
            errors={"client_name": ["is required to register the client"]},
        )
    key = key_of(provider, settings.client_name, scope, settings.redirect_uri)
    registrations = Registrations(settings.store, key)
    before = registrations.load()
    made = registrations.obtain(
        provider,
        settings.transport(),
        metadata_of(settings.client_name, provider, scope, [settings.redirect_uri]),
        settings.timeout,
        instead_of=instead_of,
    )
    return _Identity(
        identity_of(made),
        registered=True,
        reused_registration=before is not None and before.access_token == made.access_token,
        ports=ports_of(made, settings.redirect_uri),
    )


def _client(provider: Provider, settings: ResourceSettings, identity: Params) -> Client:
    from grantway._requests.client import Client  # noqa: PLC0415 - slow to load

    # The scope is passed to each login, and an empty one must not be replaced by the provider's.
    bare = replace(provider, scope=())
    options: dict[str, Any] = {"transport": settings.transport(), "timeout": settings.timeout}
    client = Client(bare, **identity, **options)
    if settings.dpop_key is None:
        return client
    from grantway_plugins.client_auth import DPoP  # noqa: PLC0415 - needs the extra jose

    dpop = DPoP(client.auth, settings.dpop_key)
    return Client(bare, client_id=client.client_id, auth=dpop, **options)


def _other_issuer(url: str, former: str | None, issuer: str | None) -> ResourceMetadataError:
    rule = (
        f"names the authorization server {issuer}, but client_id belongs to {former}, so it was "
        "not sent. If the change is expected, register a client there, and pass its client_id and "
        f"issuer={issuer!r}"
    )
    return ResourceMetadataError(
        f"The metadata of the resource {url} {rule}.", document=url, rule=rule
    )
