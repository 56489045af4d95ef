"""The objects that the pages and the API need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grantway_plugins.server._pages.rendering import PageRenderer

from .identity import ApiCallers
from .login import PageLogin
from .sessions import BrowserSessions

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.connecting import Connecting
    from grantway_plugins.gateway._connections.device_logins import DeviceLogins
    from grantway_plugins.gateway._connections.provider import ConnectionProvider
    from grantway_plugins.gateway._connections.service import Connections


@dataclass(frozen=True, slots=True)
class WebContext:
    """The objects that the pages and the API need.

    Attributes:
        connections: The connections.
        connecting: Connects accounts with the authorization code grant.
        devices: Connects accounts with the device authorization grant.
        sessions: The browser sessions.
        callers: Identifies the users of the API.
        login: Logs users in to the pages, or None.
        renderer: Renders the pages.
    """

    connections: Connections
    connecting: Connecting
    devices: DeviceLogins
    sessions: BrowserSessions
    callers: ApiCallers
    login: PageLogin | None = field(repr=False)
    renderer: PageRenderer

    @property
    def path(self) -> str:
        """Path of the overview page."""
        return self.connections.settings.path

    def page_path(self, provider: str) -> str:
        """Return the path of a provider's page."""
        return f"{self.path}/{provider}"

    def provider(self, name: str) -> ConnectionProvider | None:
        """Return a provider, or None if the file has none with this name."""
        return self.connections.providers.get(name)

    def return_to(self, given: str) -> str:
        """Return a path to which a login may return: one of the pages, by default the overview."""
        known = {self.path, *map(self.page_path, self.connections.providers)}
        return given if given in known else self.path
