"""The login of an issuer, created from its settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from grantway._exceptions import ConfigurationError, GrantwayError
from grantway._plugins.kinds import ISSUER_LOGIN
from grantway._plugins.registry import Registry
from grantway._processes.copies import OneProcess
from grantway._types.issuer_plugins import IssuerLogin
from grantway_plugins.issuer._decisions.plugin_calls import call_plugin
from grantway_plugins.issuer._extensions.view import View

from .interface import Identity, LoginFailure, LoginOutcome, LoginRedirect, LoginRequest
from .settings import OpenIDLogin, PluginLogin

_OUTCOMES = (View, LoginRedirect, Identity, LoginFailure)


@dataclass(frozen=True, slots=True)
class LoginMethod(OneProcess):
    """The login of an issuer.

    Attributes:
        name: Name of the login, for messages.
        plugin: Name of the plugin.
        login: The plugin's object.
    """

    name: str
    plugin: str
    login: IssuerLogin = field(repr=False)

    def begin(self, request: LoginRequest) -> LoginOutcome:
        """Begin a login; may block.

        Raises:
            PluginError: the plugin failed.
        """
        return self._call("begin", request)

    def finish(self, request: LoginRequest) -> LoginOutcome:
        """Continue a login; may block.

        Raises:
            PluginError: the plugin failed.
        """
        return self._call("finish", request)

    def end_session_url(self, post_logout_redirect_uri: str, state: str) -> str | None:
        """Return where to log out of the provider, or None; may block.

        Args:
            post_logout_redirect_uri: URL to which the provider sends the browser back.
            state: Parameter for that URL.
        """
        end: Any = getattr(self.login, "end_session_url", None)
        return None if end is None else end(post_logout_redirect_uri, state)

    def _call(self, step: str, request: LoginRequest) -> LoginOutcome:
        outcome: LoginOutcome = call_plugin(
            f"{step} of the login {self.name}",
            self.plugin,
            getattr(self.login, step),
            request,
            returns=_OUTCOMES,
            holds_up=False,
        )
        return outcome


def login_method(
    settings: OpenIDLogin | PluginLogin | None, registry: Registry
) -> LoginMethod | None:
    """Return the login of the settings; None for an issuer with a single local user.

    Raises:
        ConfigurationError: the login cannot be created; the error names ``login``.
    """
    if settings is None:
        return None
    if isinstance(settings, OpenIDLogin):
        return LoginMethod(settings.issuer, "grantway", _openid_login(settings, registry))
    try:
        login = registry.issuer_login(settings.name, **settings.options)
    except GrantwayError as error:  # a ConfigurationError, or a reference cannot be imported
        problem = error.message
    except TypeError as error:  # an unknown option, or a required one is missing
        from grantway_plugins._config.components import (  # noqa: PLC0415 - only mistakes need it
            argument_rule,
        )

        problem = f"{settings.name} cannot be created: {argument_rule(error)}"
    else:
        owner = registry.owner_of(ISSUER_LOGIN, settings.name).named
        return LoginMethod(settings.name, owner, login)
    raise ConfigurationError(
        f"login cannot be used: {problem}", errors={"login": [f"cannot be used: {problem}"]}
    )


def _openid_login(settings: OpenIDLogin, registry: Registry) -> IssuerLogin:
    try:
        from .openid.login import OpenIDProviderLogin  # noqa: PLC0415 - needs the extra jose
    except ModuleNotFoundError as missing:
        problem = missing.msg.rstrip(".")
    else:
        return OpenIDProviderLogin(settings, registry)
    raise ConfigurationError(
        f"login cannot be used: {problem}", errors={"login": [f"cannot be used: {problem}"]}
    )
