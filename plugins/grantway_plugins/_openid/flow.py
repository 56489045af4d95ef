"""The authorization code flow of OpenID Connect (Core section 3.1); blocks the thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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

from .id_token import Expected, IDTokenRejectedError, validate
from .provider import Connection, OpenIDProvider, UnusableProviderError
from .settings import OpenIDSettings

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


class OpenIDLoginError(Exception):
    """A login that failed.

    Attributes:
        message: What happened and what the user can do.
        detail: The reason for the operator, without secrets.
        status: HTTP status of the page.
    """

    def __init__(self, message: str, error: Exception, status: int = 403) -> None:
        self.message, self.status = message, status
        self.detail = f"its keys cannot be read: {error}"
        if not isinstance(error, KeysUnavailableError):
            self.detail = _reason(error)
        super().__init__(self.detail)


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """A login in progress. Its secrets are bound to one browser.

    Attributes:
        callback: The redirect URI.
        state: Identifies the login in the redirect; a secret.
        code_verifier: The PKCE verifier (RFC 7636); a secret.
        nonce: The nonce of the ID token; a secret.
        began: Time of the beginning in seconds since the epoch.
        prompt: The requested prompt, or empty.
        max_age: Maximum seconds since the last authentication, or None.
        login_hint: The name or address of the user, or None.
    """

    callback: str
    state: str = field(repr=False)
    code_verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    began: float
    prompt: str = ""
    max_age: float | None = None
    login_hint: str | None = field(default=None, repr=False)


class OpenIDFlow(OneProcess):
    """Logs users in at an OpenID provider.

    Each attempt uses PKCE (RFC 7636), ``state``, ``nonce`` and the provider's ``iss`` (RFC 9207).
    The provider's tokens are not kept.

    Args:
        settings: Settings of the client.
        registry: Registered plugins.
        owner: The client in log messages: ``issuer`` or ``gateway``.
    """

    def __init__(self, settings: OpenIDSettings, registry: Registry, owner: str) -> None:
        self._settings = settings
        self._provider = OpenIDProvider(settings, registry, owner)

    def begin(self, attempt: LoginAttempt) -> str:
        """Return the URL at which the user logs in.

        Raises:
            OpenIDLoginError: The provider cannot be used.
        """
        try:
            flow = self._flow(self._provider.connection(), attempt)
            started = flow.begin(
                attempt.callback, state=attempt.state, code_verifier=attempt.code_verifier
            )
        except (GrantwayError, UnusableProviderError) as error:
            failure = OpenIDLoginError(_UNAVAILABLE, error, _BAD_GATEWAY)
        else:
            return started.url
        raise failure

    def finish(
        self, attempt: LoginAttempt, params: Mapping[str, Any], now: float
    ) -> Mapping[str, Any]:
        """Return the validated claims of the user.

        Args:
            attempt: The login.
            params: Parameters of the redirect.
            now: Current time in seconds since the epoch.

        Raises:
            OpenIDLoginError: The login failed.
        """
        try:
            connection = self._provider.connection()
            token = self._redeem(connection, attempt, params)
            return self._claims(connection, attempt, token, now)
        except AccessDeniedException as error:
            failure = OpenIDLoginError(_DENIED, error)
        except InvalidGrantException as error:
            failure = OpenIDLoginError(_OUTDATED, error, 400)
        except (FlowError, ResponseInvalidError, IDTokenRejectedError) as error:
            failure = OpenIDLoginError(_BROKEN, error, _BAD_GATEWAY)
        except KeysUnavailableError as error:
            failure = OpenIDLoginError(_UNAVAILABLE, error, _BAD_GATEWAY)
        except (GrantwayError, UnusableProviderError) as error:
            passing = not isinstance(error, TokenError) or _is_passing(error)
            failure = OpenIDLoginError(_UNAVAILABLE if passing else _REJECTED, error, _BAD_GATEWAY)
        raise failure

    def endpoint(self, name: str) -> str | None:
        """Return the URL of an endpoint of the provider, or None."""
        try:
            return self._provider.connection().provider.endpoint(name)
        except (GrantwayError, UnusableProviderError):
            return None

    def _flow(self, connection: Connection, attempt: LoginAttempt) -> AuthorizationCodeFlow:
        extra: dict[str, Any] = {
            **self._settings.parameters,
            "nonce": attempt.nonce,
            "prompt": self._prompt(connection, attempt),
            "max_age": None if attempt.max_age is None else f"{attempt.max_age:.0f}",
            "login_hint": attempt.login_hint,
        }
        return AuthorizationCodeFlow(connection.client, scope=self._settings.scopes, extra=extra)

    def _prompt(self, connection: Connection, attempt: LoginAttempt) -> str | None:
        """Return the prompt; ``login`` instead of one that the provider does not list."""
        prompt = self._settings.prompts.get(attempt.prompt, attempt.prompt)
        supported = connection.provider.metadata.get("prompt_values_supported")
        if prompt and isinstance(supported, list) and prompt not in supported:
            return "login"
        return prompt or None

    def _redeem(
        self, connection: Connection, attempt: LoginAttempt, params: Mapping[str, Any]
    ) -> Token:
        """Exchange the code, after checking ``state`` and ``iss``."""
        started = AuthorizationRequest(
            url="",
            redirect_uri=attempt.callback,
            state=attempt.state,
            code_verifier=attempt.code_verifier,
        )
        redirect = f"{attempt.callback}?{urlencode(params)}"
        return self._flow(connection, attempt).finish(started, redirect)

    def _claims(
        self, connection: Connection, attempt: LoginAttempt, token: Token, now: float
    ) -> Mapping[str, Any]:
        """Return the claims of the ID token, and those that only the userinfo endpoint has."""
        after = None if attempt.max_age is None else attempt.began - attempt.max_age
        if attempt.prompt == "login":
            after = attempt.began
        expected = Expected(self._settings.client_id, attempt.nonce, token.access_token, after, now)
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
