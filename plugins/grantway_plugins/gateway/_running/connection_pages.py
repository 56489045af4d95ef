"""The pages on which users connect accounts, from ``[connections]`` of the gateway's file."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grantway._secrets.masked import Masked
from grantway_plugins.gateway._connections._web.app import ConnectionsApp
from grantway_plugins.gateway._connections._web.context import WebContext
from grantway_plugins.gateway._connections._web.identity import ApiCallers
from grantway_plugins.gateway._connections._web.login import PageLogin, PageLoginSettings
from grantway_plugins.gateway._connections._web.rendering import renderer_of
from grantway_plugins.gateway._connections._web.sessions import BrowserSessions
from grantway_plugins.gateway._connections.connecting import Connecting
from grantway_plugins.gateway._connections.device_logins import DeviceLogins

if TYPE_CHECKING:
    from grantway_plugins.gateway._config import ConfigFile
    from grantway_plugins.gateway._connections.service import Connections

    from .runtime import Runtime


def make_app(runtime: Runtime) -> ConnectionsApp | None:
    """Return the pages and the API with which users connect accounts, or None."""
    config, connections, inbound = runtime.config, runtime.connections, runtime.inbound
    if connections is None or inbound is None:
        return None
    return ConnectionsApp(
        WebContext(
            connections,
            Connecting(connections),
            DeviceLogins(connections),
            BrowserSessions(connections, _form_key(config), clock=connections.clock),
            ApiCallers(inbound),
            _login(config, connections),
            renderer_of(connections.settings),
        )
    )


def _form_key(config: ConfigFile) -> bytes:
    """Return the key of forms. All gateways have the oldest key, also while a new one is added."""
    oldest = Masked(config.connection_keys()().value[-1])
    return hmac.new(oldest.value, b"grantway connect forms", hashlib.sha256).digest()


def _login(config: ConfigFile, connections: Connections) -> PageLogin | None:
    """Return the login to the pages, or None."""
    table: Mapping[str, Any] | None = (config.connections or {}).get("login")
    if table is None:
        return None
    at = ("connections", "login", "client_secret")
    secret = None
    if "client_secret" in table:
        secret = config.components.secret(table["client_secret"], at)
    ca_bundle = config.network.get("ca_bundle")
    settings = PageLoginSettings(
        table["issuer"],
        table["client_id"],
        secret,
        scopes=tuple(dict.fromkeys(("openid", *table.get("scope", ("profile", "email"))))),
        ca_bundle=None if ca_bundle is None else str(config.components.path(ca_bundle)),
    )
    return PageLogin(settings, connections)
