"""A client that registers itself (RFC 7591), and remembers as whom beside its tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from grantway.deadline import Deadline
from grantway.exceptions import Evidence, ResponseInvalidError, TokenError
from grantway.http import HttpRequest
from grantway.middleware.errors import refusal_class
from grantway.process import default_registry
from grantway.redaction import excerpt, printable
from grantway.token import Token

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grantway.http import HttpResponse, Transport
    from grantway.provider import Provider
    from grantway.stores import Store

#: Tells a registration from a token, in a store that keeps both.
TOKEN_TYPE = "client-registration"
#: Seconds that a registration must have left to begin a login with.
LEAST = 60.0
_OK = (200, 201)
_METHODS = ("none", "client_secret_basic", "client_secret_post")


class Registrations:
    """One client's registration, in a store.

    A store keeps tokens; so a registration is one, whose ``access_token`` is the ``client_id``.

    Args:
        store: Where it lies.
        key: Under which name.
    """

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._key = key

    def load(self, least: float = 0.0) -> Token | None:
        """The registration, where there is one that lasts so many seconds more."""
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
        """The registration; it is made where there is none, or soon will be none.

        Args:
            provider: Who is asked.
            transport: Asks.
            metadata: What to register (RFC 7591 section 2).
            timeout: Seconds.
            instead_of: A ``client_id`` that the provider does not know any more.
            for_login: Whether a person is about to log in, so that the redirect URIs matter.

        Raises:
            ConfigurationError: the provider registers nobody.
            TokenError: it refused.
            TransportError: it gave no usable answer.
            StoreError: the registration could not be kept.
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
        """Remove it.

        Raises:
            StoreError: it could not be removed.
        """
        with self._store.lock(self._key, timeout) as fence:
            self._store.delete(self._key, fence=fence)


def _leads_elsewhere(registered: Token, metadata: Mapping[str, Any]) -> bool:
    """Whether a redirect URI is not registered, so that no browser would come back to it."""
    return not set(metadata["redirect_uris"]) <= set(registered.extra.get("redirect_uris", ()))


def metadata_of(
    name: str, provider: Provider, scope: Sequence[str] | None, redirect_uris: Sequence[str]
) -> dict[str, Any]:
    """What a program for people registers (RFC 8252 section 8.4).

    Args:
        name: What the provider shows to people.
        provider: Where; what it offers decides what is asked for.
        scope: The scope of the logins.
        redirect_uris: Where a browser comes back to.
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
        # Without a word from the provider, the RFC's own default.
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
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    made, problem = _made(found, metadata) if answer.status in _OK else (None, "")
    if made is not None:
        return made
    if problem:
        found = None  # a report that shows the locals of each frame would show its secret
        problem = f"{provider.host} registered a client without {problem} (RFC 7591 section 3.2.1)."
        raise ResponseInvalidError(problem, evidence=evidence)
    raise _refused(answer, found, evidence)


def _made(found: object, metadata: Mapping[str, Any]) -> tuple[Token | None, str]:
    """The registration, or what it lacks."""
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
        return refusal_class(code, default_registry().errors)(
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
