"""Log users in with the authorization code flow of OpenID Connect (Core section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from grantway._exceptions import (
    AccessDeniedException,
    FlowError,
    GrantwayError,
    InternalServerException,
    InvalidGrantException,
    ResponseInvalidError,
    TemporarilyUnavailableError,
    TokenError,
)
from grantway._plugins.registry import Registry
from grantway._processes.copies import OneProcess
from grantway._types.token import Token
from grantway_grants.authorization_code import AuthorizationCodeFlow, AuthorizationRequest
from grantway_plugins._jose.errors import KeysUnavailableError
from grantway_plugins.issuer._login.interface import (
    Identity,
    LoginFailure,
    LoginRedirect,
    LoginRequest,
)
from grantway_plugins.issuer._login.settings import OpenIDLogin
from grantway_plugins.server._http.redirect_uri import with_query

from .id_token import Expected, IDTokenRejectedError, validate
from .identity import identity
from .provider import Connection, OpenIDProvider, UnusableProviderError

_UNAVAILABLE = (
    "The login service that this site uses cannot be reached at the moment. Try again in a few "
    "minutes. If it still fails, tell the operator of this site."
)
_BROKEN = (
    "The login service that this site uses sent a response that cannot be accepted. You are not "
    "logged in. Try again; if it still fails, tell the operator of this site."
)
_DENIED = "You cancelled the login, or the login service denied it. Try again, or close this page."
_REJECTED = (
    "The login service that this site uses rejected the login. Try again; if it still fails, tell "
    "the operator of this site."
)
_OUTDATED = "This login was already finished, or took too long. Try again."
_BAD_GATEWAY = 502


class OpenIDProviderLogin(OneProcess):
    """Logs users in at an OpenID provider.

    Each attempt uses PKCE (RFC 7636), ``state`` and ``nonce``, which are derived from the browser's
    cookie, and the provider's ``iss`` (RFC 9207). The provider's tokens are not kept.

    Args:
        settings: Settings of the login.
        registry: Registered plugins.
    """

    def __init__(self, settings: OpenIDLogin, registry: Registry) -> None:
        self._settings = settings
        self._provider = OpenIDProvider(settings, registry)

    def begin(self, request: LoginRequest) -> LoginRedirect | LoginFailure:
        """See ``IssuerLogin``."""
        try:
            flow = self._flow(self._provider.connection(), request)
            started = flow.begin(
                request.callback,
                state=request.attempt,
                code_verifier=request.secret("code_verifier"),
            )
        except (GrantwayError, UnusableProviderError) as error:
            return LoginFailure(_UNAVAILABLE, _reason(error), _BAD_GATEWAY)
        return LoginRedirect(started.url)

    def finish(self, request: LoginRequest) -> Identity | LoginFailure:
        """See ``IssuerLogin``."""
        try:
            connection = self._provider.connection()
            token = self._redeem(connection, request)
            claims = self._claims(connection, request, token)
        except AccessDeniedException as error:
            return LoginFailure(_DENIED, _reason(error))
        except InvalidGrantException as error:
            return LoginFailure(_OUTDATED, _reason(error), 400)
        except (FlowError, ResponseInvalidError, IDTokenRejectedError) as error:
            return LoginFailure(_BROKEN, _reason(error), _BAD_GATEWAY)
        except KeysUnavailableError as error:
            return LoginFailure(_UNAVAILABLE, f"its keys cannot be read: {error}", _BAD_GATEWAY)
        except (GrantwayError, UnusableProviderError) as error:
            passing = not isinstance(error, TokenError) or _is_passing(error)
            return LoginFailure(
                _UNAVAILABLE if passing else _REJECTED, _reason(error), _BAD_GATEWAY
            )
        return identity(claims, self._settings)

    def end_session_url(self, post_logout_redirect_uri: str, state: str) -> str | None:
        """Return the provider's logout (OpenID Connect RP-Initiated Logout), or None.

        The issuer keeps no ID token of the provider, so the provider asks the user to confirm.
        """
        if not self._settings.provider_logout:
            return None
        try:
            url = self._provider.connection().provider.endpoint("end_session")
        except (GrantwayError, UnusableProviderError):
            return None
        params = {
            "client_id": self._settings.client_id,
            "post_logout_redirect_uri": post_logout_redirect_uri,
            "state": state,
        }
        return with_query(url, params)

    def _flow(self, connection: Connection, request: LoginRequest) -> AuthorizationCodeFlow:
        extra: dict[str, Any] = {
            **self._settings.parameters,
            "nonce": request.secret("nonce"),
            "prompt": self._prompt(connection, request),
            "max_age": None if request.max_age is None else f"{request.max_age:.0f}",
            "login_hint": request.login_hint,
        }
        return AuthorizationCodeFlow(connection.client, scope=self._settings.scopes, extra=extra)

    def _prompt(self, connection: Connection, request: LoginRequest) -> str | None:
        """Return the prompt; ``login`` instead of one that the provider does not list."""
        prompt = self._settings.prompts.get(request.prompt, request.prompt)
        supported = connection.provider.metadata.get("prompt_values_supported")
        if prompt and isinstance(supported, list) and prompt not in supported:
            return "login"
        return prompt or None

    def _redeem(self, connection: Connection, request: LoginRequest) -> Token:
        """Exchange the code, after checking ``state`` and ``iss``."""
        started = AuthorizationRequest(
            url="",
            redirect_uri=request.callback,
            state=request.attempt,
            code_verifier=request.secret("code_verifier"),
        )
        redirect = f"{request.callback}?{urlencode(request.params)}"
        return self._flow(connection, request).finish(started, redirect)

    def _claims(
        self, connection: Connection, request: LoginRequest, token: Token
    ) -> Mapping[str, Any]:
        """Return the claims of the ID token, and those that only the userinfo endpoint has."""
        after = None if request.max_age is None else request.began - request.max_age
        if request.prompt == "login":
            after = request.began
        expected = Expected(
            self._settings.client_id,
            request.secret("nonce"),
            token.access_token,
            after,
            request.now,
        )
        claims = validate(token.id_token, connection, expected)
        if not self._settings.userinfo:
            return claims
        more = self._provider.userinfo(connection, token.access_token)
        if more is None:
            return claims
        if more.get("sub") != claims["sub"]:
            raise IDTokenRejectedError("has another sub than the response of the userinfo endpoint")
        return {**more, **claims}


def _is_passing(error: TokenError) -> bool:
    return isinstance(error, (InternalServerException, TemporarilyUnavailableError))


def _reason(error: Exception) -> str:
    """Return the reason for the operator. Messages of these errors contain no secret."""
    if isinstance(error, IDTokenRejectedError):
        return f"the ID token {error}"
    message = getattr(error, "message", None) or str(error)
    return str(message)
