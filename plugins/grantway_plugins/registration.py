"""Dynamic client registration (RFC 7591), with the registration saved in a store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from grantway._credentials.fingerprint import fingerprint
from grantway._secrets.params import Params
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest
from grantway._types.quantity import check_seconds
from grantway._types.token import Token
from grantway_plugins._redirect_ports import with_ports
from grantway_plugins._registration_response import TOKEN_TYPE, registration_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grantway._requests.client import Client
    from grantway._requests.provider import Provider
    from grantway._transport.http import Transport
    from grantway._types.store import Store

#: Remaining lifetime, in seconds, that a registration needs to be used.
LEAST = 60.0
#: By preference. Authorization servers of MCP's SDK accept ``client_secret_basic`` only with a
#: further ``client_id`` in the body, which RFC 6749 section 2.3.1 does not provide for.
_METHODS = ("none", "client_secret_post", "client_secret_basic")
REDIRECT_URI = "http://127.0.0.1/callback"


def registered_client(
    provider: Provider,
    *,
    client_name: str,
    store: Store,
    scope: str | Sequence[str] | None = None,
    redirect_uri: str = REDIRECT_URI,
    instead_of: str | None = None,
    transport: Transport | None = None,
    timeout: float = 30.0,
    **options: Any,
) -> Client:
    """Return a client that registers itself once and then reuses its registration.

    The registration is saved in ``store``, like the tokens. Processes that share the store and pass
    the same arguments get the same ``client_id``, and therefore share tokens. Only one of several
    concurrent processes registers.

    Args:
        provider: The provider, which must have a ``registration_endpoint`` (RFC 7591).
        client_name: Name that the provider shows to users.
        store: Store of the registration, including its secret.
        scope: Scope that the client may request later.
        redirect_uri: Redirect URI of browser logins.
        instead_of: ``client_id`` of a registration for which the provider returned
            ``invalid_client``. The client registers again, unless another process already has.
        transport: Transport for the registration and for the client.
        timeout: Timeout in seconds of the registration, and of each call of the client.
        **options: Further arguments of ``Client``, such as ``retry`` or ``middleware``.

    Raises:
        ConfigurationError: The provider has no ``registration_endpoint``.
        TokenError: The provider rejected the registration.
        TransportError: The provider sent no usable response.
        StoreError: The registration could not be read or saved.
    """
    from grantway._requests.client import (  # noqa: PLC0415 - slow to load
        Client,
    )

    check_seconds("timeout", timeout)
    scope = tuple(scope.split() if isinstance(scope, str) else scope or ())
    if transport is None:
        from grantway._transport.transport import (  # noqa: PLC0415 - slow to load
            HttpTransport,
        )

        transport = HttpTransport.within(timeout)
    made = Registrations(store, key_of(provider, client_name, scope, redirect_uri)).obtain(
        provider,
        transport,
        metadata_of(client_name, provider, scope, [redirect_uri]),
        timeout,
        instead_of=instead_of,
    )
    return Client(provider, transport=transport, timeout=timeout, **options, **identity_of(made))


def key_of(provider: Provider, client_name: str, scope: Sequence[str], redirect_uri: str) -> str:
    """Return the key of a registration in a store; it differs for each issuer."""
    facts = {
        "version": 1,
        "provider": provider.issuer or provider.token_endpoint,
        "client_name": client_name,
        "scope": scope,
        "redirect_uri": redirect_uri,
    }
    return f"client registration {fingerprint(facts)}"


def identity_of(registration: Token) -> Params:
    """Return the identity in a registration, as arguments of ``Client``."""
    return Params(
        client_id=registration.access_token,
        client_secret=registration.extra.get("client_secret"),
        auth=registration.extra["auth"],
    )


class Registrations:
    """The registration of one client in a store.

    It is stored as a token whose ``access_token`` is the ``client_id``.

    Args:
        store: Store of the registration.
        key: Key of the registration in the store.
    """

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._key = key

    def load(self, least: float = 0.0) -> Token | None:
        """Return the registration if it is valid for at least ``least`` more seconds, or None."""
        found = self._store.load(self._key)
        if found is None or found.token_type != TOKEN_TYPE or found.expired(least):
            return None
        return found

    def obtain(
        self,
        provider: Provider,
        transport: Transport,
        metadata: Mapping[str, Any],
        timeout: float,
        *,
        instead_of: str | None = None,
        for_login: bool = False,
    ) -> Token:
        """Return the registration. If there is none, or it expires soon, register first.

        Args:
            provider: The provider.
            transport: Transport that sends the request.
            metadata: Metadata of the client (RFC 7591 section 2).
            timeout: Timeout in seconds for locking the store, and again for the request.
            instead_of: A ``client_id`` that the provider no longer knows.
            for_login: Whether the user is about to log in. If so, register again unless all
                redirect URIs of ``metadata`` are registered.

        Raises:
            ConfigurationError: The provider has no ``registration_endpoint``.
            TokenError: The provider rejected the registration.
            TransportError: The provider sent no usable response.
            StoreError: The registration could not be read or saved.
        """
        with self._store.lock(self._key, timeout) as fence:
            found = self.load(LEAST)
            if (
                found is not None
                and found.access_token != instead_of
                and not (for_login and _lacks_redirect_uri(found, metadata))
            ):
                return found
            made = register(provider, transport, metadata, timeout)
            self._store.save(self._key, made, fence=fence)
        return made

    def save(self, registration: Token, timeout: float) -> None:
        """Save a registration instead of the stored one.

        Raises:
            StoreError: The registration could not be saved.
        """
        with self._store.lock(self._key, timeout) as fence:
            self._store.save(self._key, registration, fence=fence)

    def delete(self, timeout: float) -> None:
        """Delete the registration.

        Raises:
            StoreError: The registration could not be deleted.
        """
        with self._store.lock(self._key, timeout) as fence:
            self._store.delete(self._key, fence=fence)


def _lacks_redirect_uri(registered: Token, metadata: Mapping[str, Any]) -> bool:
    """Return whether a redirect URI is not registered, so that the provider would reject it."""
    return not set(metadata["redirect_uris"]) <= set(registered.extra.get("redirect_uris", ()))


def metadata_of(
    name: str, provider: Provider, scope: Sequence[str] | None, redirect_uris: Sequence[str]
) -> dict[str, Any]:
    """Return the registration metadata of a native app (RFC 8252 section 8.4).

    Args:
        name: Name that the provider shows to users.
        provider: The provider; only grants and methods that it offers are registered.
        scope: Scope of the logins.
        redirect_uris: Redirect URIs of browser logins.
    """
    methods = _offered(provider)
    grants = ["refresh_token"]
    if provider.authorization_endpoint:
        grants.insert(0, "authorization_code")
    if provider.device_authorization_endpoint:
        grants.insert(0, "urn:ietf:params:oauth:grant-type:device_code")
    metadata: dict[str, Any] = {
        "client_name": name,
        "redirect_uris": list(redirect_uris),
        # OpenID providers reject redirects without https of "web", the default (OpenID Connect
        # Registration section 2).
        "application_type": "web" if all(map(_is_https, redirect_uris)) else "native",
        "grant_types": grants,
        # The default of RFC 7591, if the provider does not publish its methods.
        "token_endpoint_auth_method": methods[0] if methods else "client_secret_basic",
    }
    return metadata | ({"scope": " ".join(scope)} if scope else {})


def _offered(provider: Provider) -> list[str]:
    """Return the usable authentication methods that the provider offers, by preference."""
    offered = provider.metadata.get("token_endpoint_auth_methods_supported")
    return [each for each in _METHODS if isinstance(offered, list) and each in offered]


def _is_https(uri: str) -> bool:
    return uri.lower().startswith("https://")


def register(
    provider: Provider, transport: Transport, metadata: Mapping[str, Any], timeout: float
) -> Token:
    """Register a client, and return its registration, which is not stored.

    For redirect URIs on this machine without a port, some with a port are registered as well.

    Args:
        provider: The provider.
        transport: Transport that sends the request.
        metadata: Metadata of the client (RFC 7591 section 2).
        timeout: Timeout of the request in seconds.

    Raises:
        ConfigurationError: The provider has no ``registration_endpoint``.
        TokenError: The provider rejected the registration.
        TransportError: The provider sent no usable response.
    """
    metadata = {**metadata, "redirect_uris": with_ports(metadata["redirect_uris"])}
    request = HttpRequest(
        "POST",
        provider.endpoint("registration"),
        {"Content-Type": "application/json", "Accept": "application/json"},
        json.dumps(metadata).encode(),
    )
    response = transport.send(request, Deadline(timeout))
    secret_method = next(
        (each for each in _offered(provider) if each != "none"), "client_secret_post"
    )
    return registration_of(response, provider.host, metadata, secret_method)
