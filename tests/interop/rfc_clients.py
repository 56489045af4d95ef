"""A common interface for two third-party OAuth clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import requests
import requests_oauth2client as roc
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import get_well_known_url

Token = dict[str, Any]
Metadata = dict[str, Any]

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Registration:
    """A client from the issuer's registration response (RFC 7591)."""

    client_id: str
    client_secret: str | None
    method: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """An error response: the name of the exception class, and the OAuth error code."""

    exception: str
    error: str


class RfcClient(Protocol):
    """Operations that both clients support."""

    def discover(self) -> Metadata:
        """Return the issuer's metadata, discovered and validated by the client."""
        ...

    def start_device(self, scope: str) -> dict[str, Any]:
        """Request a device code."""
        ...

    def poll(self, device_code: str) -> Token:
        """Poll once for the token of a device code."""
        ...

    def login(self, scope: str, visit: Callable[[str], str]) -> Token:
        """Log in with an authorization code and PKCE.

        Args:
            scope: Scope to request.
            visit: Opens the authorization URL and returns the redirect back to the client.
        """
        ...

    def refresh(self, refresh_token: str, **parameters: str) -> Token: ...
    def ask(self, grant_type: str, **parameters: str) -> Token:
        """Send any token request."""
        ...

    def revoke(self, refresh_token: str) -> None: ...
    def parse_error(self, error: Exception) -> Rejection:
        """Return the rejection in an exception of this client; re-raise any other exception."""
        ...


class RequestsOAuth2Client:
    """A client based on requests-oauth2client.

    Args:
        issuer: URL of the issuer.
        registered: Registration of the client.
        session: HTTP session for the requests.
    """

    def __init__(self, issuer: str, registered: Registration, session: requests.Session) -> None:
        self._issuer = issuer
        self._session = session
        auth: requests.auth.AuthBase
        if registered.client_secret is None:
            auth = roc.PublicApp(registered.client_id)
        else:
            kinds = {
                "client_secret_basic": roc.ClientSecretBasic,
                "client_secret_post": roc.ClientSecretPost,
            }
            auth = kinds[registered.method](registered.client_id, registered.client_secret)
        # Only `testing` allows http on loopback.
        self._client = roc.OAuth2Client.from_discovery_endpoint(
            issuer=issuer,
            auth=auth,
            session=session,
            redirect_uri=registered.redirect_uri,
            device_authorization_endpoint=f"{issuer}/device_authorization",
            testing=True,
        )

    def discover(self) -> Metadata:
        # The library has already compared the document's issuer.
        url = roc.oauth2_discovery_document_url(self._issuer)
        document: Metadata = self._session.get(url, timeout=TIMEOUT).json()
        assert self._client.token_endpoint == document["token_endpoint"]
        assert self._client.authorization_endpoint == document["authorization_endpoint"]
        assert self._client.revocation_endpoint == document["revocation_endpoint"]
        return document

    def start_device(self, scope: str) -> dict[str, Any]:
        started = self._client.authorize_device(scope=scope)
        return {**vars(started), "expires_in": started.expires_at}

    def poll(self, device_code: str) -> Token:
        return self._client.device_code(device_code).as_dict()

    def login(self, scope: str, visit: Callable[[str], str]) -> Token:
        asked = self._client.authorization_request(scope=scope)
        assert asked.code_challenge_method == "S256"
        return self._client.authorization_code(asked.validate_callback(visit(asked.uri))).as_dict()

    def refresh(self, refresh_token: str, **parameters: str) -> Token:
        return self._client.refresh_token(refresh_token, **parameters).as_dict()

    def ask(self, grant_type: str, **parameters: str) -> Token:
        return self._client.token_request({"grant_type": grant_type, **parameters}).as_dict()

    def revoke(self, refresh_token: str) -> None:
        assert self._client.revoke_refresh_token(refresh_token)

    def parse_error(self, error: Exception) -> Rejection:
        if not isinstance(error, roc.EndpointError):
            raise error
        known = self._client.exception_classes
        assert type(error) is known.get(error.error, roc.UnknownTokenEndpointError)
        return Rejection(type(error).__name__, error.error)


class Authlib:
    """A client based on Authlib's session for requests, which has one class for all errors.

    Args:
        issuer: URL of the issuer.
        registered: Registration of the client.
        session: HTTP session for requests that Authlib does not support.
    """

    def __init__(self, issuer: str, registered: Registration, session: requests.Session) -> None:
        self._issuer = issuer
        self._session = session
        self._client = OAuth2Session(
            registered.client_id,
            registered.client_secret,
            token_endpoint_auth_method=registered.method,
            revocation_endpoint_auth_method=registered.method,
            redirect_uri=registered.redirect_uri,
            token_endpoint=f"{issuer}/token",
            code_challenge_method="S256",
            default_timeout=TIMEOUT,
        )

    def close(self) -> None:
        self._client.close()

    def discover(self) -> Metadata:
        url = get_well_known_url(self._issuer, external=True)
        document: Metadata = self._session.get(url, timeout=TIMEOUT).json()
        assert document["issuer"] == self._issuer
        return document

    def start_device(self, scope: str) -> dict[str, Any]:
        response = self._client.post(
            f"{self._issuer}/device_authorization",
            data={"scope": scope},
            auth=self._client.client_auth(self._client.token_endpoint_auth_method),
            withhold_token=True,
        )
        response.raise_for_status()
        started: dict[str, Any] = response.json()
        return started

    def poll(self, device_code: str) -> Token:
        return self.ask(DEVICE_CODE, device_code=device_code)

    def login(self, scope: str, visit: Callable[[str], str]) -> Token:
        verifier = generate_token(48)
        url, state = self._client.create_authorization_url(
            f"{self._issuer}/authorize", scope=scope, code_verifier=verifier
        )
        token: Token = self._client.fetch_token(
            authorization_response=visit(url), state=state, code_verifier=verifier
        )
        return token

    def refresh(self, refresh_token: str, **parameters: str) -> Token:
        token: Token = self._client.refresh_token(refresh_token=refresh_token, **parameters)
        return token

    def ask(self, grant_type: str, **parameters: str) -> Token:
        token: Token = self._client.fetch_token(grant_type=grant_type, **parameters)
        return token

    def revoke(self, refresh_token: str) -> None:
        response = self._client.revoke_token(
            f"{self._issuer}/revoke", refresh_token, token_type_hint="refresh_token"
        )
        response.raise_for_status()

    def parse_error(self, error: Exception) -> Rejection:
        if type(error) is not OAuthError:
            raise error
        return Rejection("OAuthError", error.error)
