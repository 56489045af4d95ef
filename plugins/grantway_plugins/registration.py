"""Clients that register themselves (RFC 7591) and keep the registration in a store."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grantway._credentials.fingerprint import fingerprint
from grantway._exceptions import Evidence, ResponseInvalidError, TokenError
from grantway._plugins.default_registry import default_registry
from grantway._requests.error_codes import error_class
from grantway._secrets.error_members import members_of
from grantway._secrets.params import Params
from grantway._secrets.redaction import excerpt, printable
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest
from grantway._types.quantity import check_seconds
from grantway._types.token import Token
from grantway._wire.response_body import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grantway._requests.client import Client
    from grantway._requests.provider import Provider
    from grantway._transport.http import HttpResponse, Transport
    from grantway._types.store import Store

#: The ``token_type`` of a registration, in a store that keeps tokens beside it.
TOKEN_TYPE = "client-registration"
#: Seconds that a registration must still be valid to be used for a login.
LEAST = 60.0
#: Members that tell a response of the endpoint from another JSON object.
_EXPECTED = frozenset({"client_id", "error"})
_METHODS = ("none", "client_secret_basic", "client_secret_post")
_REDIRECT_URI = "http://127.0.0.1/callback"


def registered_client(
    provider: Provider,
    *,
    client_name: str,
    store: Store,
    scope: str | Sequence[str] | None = None,
    redirect_uri: str = _REDIRECT_URI,
    instead_of: str | None = None,
    transport: Transport | None = None,
    timeout: float = 30.0,
    **options: Any,
) -> Client:
    """Return a client that registers itself once and then reuses its registration.

    The registration lies in ``store``, beside the tokens. Every process that calls this with the
    same arguments and a store that it shares with the others gets the same ``client_id``, and so
    finds the same tokens there. Of several processes that start at once, one registers.

    Args:
        provider: The provider, which must have a ``registration_endpoint`` (RFC 7591).
        client_name: The name that the provider shows to people.
        store: Keeps the registration, with its secret.
        scope: The scope that the client may ask for later.
        redirect_uri: The address to which a browser returns after a login.
        instead_of: The ``client_id`` of a registration that the provider has forgotten, so that it
            answers ``invalid_client``. The client registers again unless another process has done
            so already.
        transport: Sends the requests, for the registration and for the client.
        timeout: Seconds for the registration, and for each call of the client.
        **options: Further arguments of ``Client``, such as ``retry`` or ``middleware``.

    Raises:
        ConfigurationError: The provider has no ``registration_endpoint``.
        TokenError: The provider refused to register the client.
        TransportError: The provider gave no usable answer.
        StoreError: The registration could not be read or kept.
    """
    from grantway._requests.client import (  # noqa: PLC0415 - a profile with a stored token needs none
        Client,
    )

    check_seconds("timeout", timeout)
    scope = tuple(scope.split() if isinstance(scope, str) else scope or ())
    facts = {
        "version": 1,
        "provider": provider.issuer or provider.token_endpoint,
        "client_name": client_name,
        "scope": scope,
        "redirect_uri": redirect_uri,
    }
    if transport is None:
        from grantway._transport.transport import (  # noqa: PLC0415 - requests loads slowly
            RequestsTransport,
        )

        transport = RequestsTransport.within(timeout)
    made = Registrations(store, f"client registration {fingerprint(facts)}").obtain(
        provider,
        transport,
        metadata_of(client_name, provider, scope, [redirect_uri]),
        timeout,
        instead_of=instead_of,
    )
    identity = Params(
        client_id=made.access_token,
        client_secret=made.extra.get("client_secret"),
        auth=made.extra["auth"],
    )
    return Client(provider, transport=transport, timeout=timeout, **options, **identity)


class Registrations:
    """One client's registration in a store.

    A store keeps tokens, so the registration is stored as a token whose ``access_token`` is the
    ``client_id``.

    Args:
        store: Keeps the registration.
        key: Its key in the store.
    """

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._key = key

    def load(self, least: float = 0.0) -> Token | None:
        """Return the registration if there is one that stays valid for ``least`` seconds."""
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
        """Return the registration; register first if there is none or it is about to expire.

        Args:
            provider: The provider to register with.
            transport: Sends the request.
            metadata: What to register (RFC 7591 section 2).
            timeout: Seconds for the lock of the store, and again for the request.
            instead_of: A ``client_id`` that the provider no longer knows.
            for_login: Whether a person is about to log in, so that the redirect URIs matter.

        Raises:
            ConfigurationError: The provider has no ``registration_endpoint``.
            TokenError: The provider refused.
            TransportError: The provider gave no usable answer.
            StoreError: The registration could not be kept.
        """
        with self._store.lock(self._key, timeout) as fence:
            found = self.load(LEAST)
            if (
                found is not None
                and found.access_token != instead_of
                and not (for_login and _leads_elsewhere(found, metadata))
            ):
                return found
            made = _register(provider, transport, metadata, timeout)
            self._store.save(self._key, made, fence=fence)
        return made

    def forget(self, timeout: float) -> None:
        """Remove the registration.

        Raises:
            StoreError: It could not be removed.
        """
        with self._store.lock(self._key, timeout) as fence:
            self._store.delete(self._key, fence=fence)


def _leads_elsewhere(registered: Token, metadata: Mapping[str, Any]) -> bool:
    """Whether a redirect URI is not registered, so that no browser would come back to it."""
    return not set(metadata["redirect_uris"]) <= set(registered.extra.get("redirect_uris", ()))


def metadata_of(
    name: str, provider: Provider, scope: Sequence[str] | None, redirect_uris: Sequence[str]
) -> dict[str, Any]:
    """Return what a program that people use registers (RFC 8252 section 8.4).

    Args:
        name: The name that the provider shows to people.
        provider: The provider; only grants and methods that it offers are registered.
        scope: The scope of the logins.
        redirect_uris: The addresses to which a browser returns.
    """
    offered = provider.metadata.get("token_endpoint_auth_methods_supported")
    methods = [each for each in _METHODS if isinstance(offered, list) and each in offered]
    grants = ["refresh_token"]
    if provider.authorization_endpoint:
        grants.insert(0, "authorization_code")
    if provider.device_authorization_endpoint:
        grants.insert(0, "urn:ietf:params:oauth:grant-type:device_code")
    asked: dict[str, Any] = {
        "client_name": name,
        "redirect_uris": list(redirect_uris),
        "grant_types": grants,
        # The RFC's default, if the provider does not publish its methods.
        "token_endpoint_auth_method": methods[0] if methods else "client_secret_basic",
    }
    return asked | ({"scope": " ".join(scope)} if scope else {})


def _register(
    provider: Provider, transport: Transport, metadata: Mapping[str, Any], timeout: float
) -> Token:
    request = HttpRequest(
        "POST",
        provider.endpoint("registration"),
        {"Content-Type": "application/json", "Accept": "application/json"},
        json.dumps(metadata).encode(),
    )
    answer = transport.send(request, Deadline(timeout))
    evidence = Evidence(provider=provider.host, status=answer.status, step="registration")
    found, _ = parse(answer, lambda members: bool(_EXPECTED & members.keys()))
    made, problem = _made(found, metadata) if answer.succeeded else (None, "")
    if made is not None:
        return made
    if problem:
        found = None  # a report that shows the locals of each frame would show its secret
        problem = f"{provider.host} registered a client without {problem} (RFC 7591 section 3.2.1)."
        raise ResponseInvalidError(problem, evidence=evidence)
    if isinstance(found, dict):
        found = members_of(found, ())  # masked where a report shows the locals of each frame
        evidence = replace(evidence, members=found)
    raise _refused(answer, found, evidence)


def _made(found: object, metadata: Mapping[str, Any]) -> tuple[Token | None, str]:
    """Return the registration, or the name of the member that is missing or invalid."""
    if not isinstance(found, dict):
        return None, "a JSON object"
    client_id, secret = found.get("client_id"), found.get("client_secret")
    if not isinstance(client_id, str) or not client_id:
        return None, "client_id"
    if secret is not None and not isinstance(secret, str):
        return None, "a client_secret that is text"
    method = found.get("token_endpoint_auth_method", metadata["token_endpoint_auth_method"])
    ends = found.get("client_secret_expires_at")
    ends = ends if isinstance(ends, (int, float)) and not isinstance(ends, bool) else 0
    extra: dict[str, Any] = {"auth": method, "redirect_uris": metadata["redirect_uris"]}
    if secret:
        extra["client_secret"] = secret
    return Token(client_id, TOKEN_TYPE, expires_at=float(ends) or None, extra=extra), ""


def _refused(
    answer: HttpResponse, found: object, evidence: Evidence
) -> TokenError | ResponseInvalidError:
    code = found.get("error") if isinstance(found, dict) else None
    if isinstance(found, dict) and isinstance(code, str) and code:
        described = found.get("error_description")
        words = printable(described) if isinstance(described, str) else ""
        return error_class(code, default_registry().errors)(
            f"{evidence.provider} refused to register a client: {printable(code)}"
            + (f": {words}" if words else "")
            + ". Register one by hand, and give its client_id in the profile.",
            error=code,
            error_description=words or None,
            evidence=evidence,
        )
    return ResponseInvalidError(
        f"{evidence.provider} answered the registration of a client with status {answer.status}.",
        excerpt=excerpt(answer.body),
        evidence=evidence,
    )
