"""Dynamic client registration (RFC 7591), with the registration saved in a store."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grantway._credentials.fingerprint import fingerprint
from grantway._exceptions import Evidence, ResponseInvalidError, TokenError
from grantway._plugins.default_registry import default_registry
from grantway._requests.error_codes import error_class
from grantway._secrets.error_members import members_of
from grantway._secrets.excerpts import excerpt
from grantway._secrets.params import Params
from grantway._secrets.redaction import printable
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, can_travel
from grantway._types.quantity import check_seconds
from grantway._types.token import Token
from grantway._wire.response_body import parse
from grantway_plugins._redirect_ports import with_ports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grantway._requests.client import Client
    from grantway._requests.provider import Provider
    from grantway._transport.http import HttpResponse, Transport
    from grantway._types.store import Store

#: The ``token_type`` of a registration, which distinguishes it from tokens in the same store.
TOKEN_TYPE = "client-registration"
#: Remaining lifetime, in seconds, that a registration needs to be used.
LEAST = 60.0
#: A response without any of these members does not come from a registration endpoint.
_EXPECTED = frozenset({"client_id", "error"})
#: By preference. Authorization servers of MCP's SDK accept ``client_secret_basic`` only with a
#: further ``client_id`` in the body, which RFC 6749 section 2.3.1 does not provide for.
_METHODS = ("none", "client_secret_post", "client_secret_basic")
#: The methods of clients that have a ``client_id`` and perhaps a ``client_secret``.
_USABLE = (*_METHODS, "client_secret_jwt")
#: Last year of ``client_secret_expires_at``, as Unix time; a later one is not a time.
_LATEST = 253_402_300_799
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
    offered = provider.metadata.get("token_endpoint_auth_methods_supported")
    methods = [each for each in _METHODS if isinstance(offered, list) and each in offered]
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
    evidence = Evidence(provider=provider.host, status=response.status, step="registration")
    found, _ = parse(response, lambda members: bool(_EXPECTED & members.keys()))
    made, problem = _read_registration(found, metadata) if response.succeeded else (None, "")
    if made is not None:
        return made
    if problem:
        found = None  # error reports with locals would show the secret
        problem = f"{provider.host} registered a client without {problem} (RFC 7591 section 3.2.1)."
        raise ResponseInvalidError(problem, evidence=evidence)
    if isinstance(found, dict):
        found = members_of(found, ())  # masks secrets in error reports with locals
        evidence = replace(evidence, members=found)
    raise _rejected(response, found, evidence)


def _read_registration(found: object, metadata: Mapping[str, Any]) -> tuple[Token | None, str]:
    """Return the registration, or the name of the member that is missing or invalid."""
    if not isinstance(found, dict):
        return None, "a JSON object"
    client_id, secret = found.get("client_id"), found.get("client_secret")
    if not isinstance(client_id, str) or not client_id:
        return None, "client_id"
    if secret is not None and not isinstance(secret, str):
        return None, "a client_secret that is text"
    if not can_travel(f"{client_id}{secret}"):
        return None, "a client_id and client_secret that are valid text"
    method = found.get("token_endpoint_auth_method", metadata["token_endpoint_auth_method"])
    if method is not None and method not in _USABLE:
        return None, "a token_endpoint_auth_method that needs no key"
    expires_at = found.get("client_secret_expires_at")
    if not isinstance(expires_at, (int, float)) or isinstance(expires_at, bool):
        expires_at = 0
    ends = float(expires_at) if 0 <= expires_at <= _LATEST else 0.0
    extra: dict[str, Any] = {"auth": method, "redirect_uris": metadata["redirect_uris"]}
    if secret:
        extra["client_secret"] = secret
    return Token(client_id, TOKEN_TYPE, expires_at=ends or None, extra=extra), ""


def _rejected(
    response: HttpResponse, found: object, evidence: Evidence
) -> TokenError | ResponseInvalidError:
    code = found.get("error") if isinstance(found, dict) else None
    if isinstance(found, dict) and isinstance(code, str) and code:
        described = found.get("error_description")
        words = printable(described) if isinstance(described, str) else ""
        return error_class(code, default_registry().errors)(
            f"{evidence.provider} rejected the registration of a client: {printable(code)}"
            + (f": {words}" if words else "")
            + ". Register one manually, and set its client_id in the profile.",
            error=code,
            error_description=words or None,
            evidence=evidence,
        )
    return ResponseInvalidError(
        f"{evidence.provider} responded to the registration of a client with status "
        f"{response.status}.",
        excerpt=excerpt(response.body),
        evidence=evidence,
    )
