"""The standard grants as plugins, which import a grant when it is first used.

Each grant's module is a plugin as well, for programs that pass it to ``build_registry``.
"""

from __future__ import annotations

from collections.abc import Mapping

from grantway.hookspecs import hookimpl


class GrantByName:
    """A plugin with one grant.

    Args:
        grant_type: The grant_type.
        grant: Reference to the grant.
        issuer_grant: Reference to the issuer's part of the grant, if it belongs to this plugin.
    """

    def __init__(self, grant_type: str, grant: str, issuer_grant: str = "") -> None:
        self._grant = {grant_type: grant}
        self._issuer_grant = {grant_type: issuer_grant} if issuer_grant else {}

    @hookimpl
    def grantway_register_grants(self) -> Mapping[str, str]:
        """Register the grant."""
        return self._grant

    @hookimpl
    def grantway_register_issuer_grants(self) -> Mapping[str, str]:
        """Register the issuer's part of the grant, so that blocking the plugin removes both."""
        return self._issuer_grant


authorization_code = GrantByName(
    "authorization_code", "grantway_grants.authorization_code:AUTHORIZATION_CODE"
)
device_code = GrantByName(
    "urn:ietf:params:oauth:grant-type:device_code", "grantway_grants.device_code:DEVICE_CODE"
)
refresh_token = GrantByName("refresh_token", "grantway_grants.refresh_token:REFRESH_TOKEN")
