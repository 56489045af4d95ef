"""Log users of the issuer in at an OpenID provider."""

from __future__ import annotations

from grantway._plugins.registry import Registry
from grantway._processes.copies import OneProcess
from grantway_plugins._openid.flow import LoginAttempt, OpenIDFlow, OpenIDLoginError
from grantway_plugins.issuer._login.interface import (
    Identity,
    LoginFailure,
    LoginRedirect,
    LoginRequest,
)
from grantway_plugins.issuer._login.settings import OpenIDLogin
from grantway_plugins.server._http.redirect_uri import with_query

from .identity import identity


class OpenIDProviderLogin(OneProcess):
    """Logs users in at an OpenID provider.

    The secrets of each attempt are derived from the browser's cookie. The provider's tokens are not
    kept.

    Args:
        settings: Settings of the login.
        registry: Registered plugins.
    """

    def __init__(self, settings: OpenIDLogin, registry: Registry) -> None:
        self._settings = settings
        self._flow = OpenIDFlow(settings, registry, "issuer")

    def begin(self, request: LoginRequest) -> LoginRedirect | LoginFailure:
        """See ``IssuerLogin``."""
        try:
            return LoginRedirect(self._flow.begin(_attempt(request)))
        except OpenIDLoginError as error:
            return _failure(error)

    def finish(self, request: LoginRequest) -> Identity | LoginFailure:
        """See ``IssuerLogin``."""
        try:
            claims = self._flow.finish(_attempt(request), request.params, request.now)
        except OpenIDLoginError as error:
            return _failure(error)
        return identity(claims, self._settings)

    def end_session_url(self, post_logout_redirect_uri: str, state: str) -> str | None:
        """Return the provider's logout (OpenID Connect RP-Initiated Logout), or None.

        The issuer keeps no ID token of the provider, so the provider asks the user to confirm.
        """
        url = self._flow.endpoint("end_session") if self._settings.provider_logout else None
        if url is None:
            return None
        params = {
            "client_id": self._settings.client_id,
            "post_logout_redirect_uri": post_logout_redirect_uri,
            "state": state,
        }
        return with_query(url, params)


def _attempt(request: LoginRequest) -> LoginAttempt:
    return LoginAttempt(
        request.callback,
        state=request.attempt,
        code_verifier=request.secret("code_verifier"),
        nonce=request.secret("nonce"),
        began=request.began,
        prompt=request.prompt,
        max_age=request.max_age,
        login_hint=request.login_hint,
    )


def _failure(error: OpenIDLoginError) -> LoginFailure:
    return LoginFailure(error.message, error.detail, error.status)
