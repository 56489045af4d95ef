"""These grants as plugins, which import a grant when it is first used.

Each grant's module is a plugin as well, for programs that pass it to ``build_registry``. The
password grant is a plugin only there.
"""

from __future__ import annotations

from collections.abc import Mapping

from grantway.hookspecs import hookimpl
from grantway_grants._plugin import GrantByName

_ISSUER = "grantway_plugins.issuer._decisions.grants"


class LoginByName(GrantByName):
    """A plugin with one grant that has a login flow.

    Args:
        grant_type: The grant_type.
        grant: Reference to the grant.
        login_flow: Reference to its login flow.
    """

    def __init__(self, grant_type: str, grant: str, login_flow: str) -> None:
        super().__init__(grant_type, grant)
        self._login_flow = {grant_type: login_flow}

    @hookimpl
    def grantway_register_login_flows(self) -> Mapping[str, str]:
        """Register the login flow."""
        return self._login_flow


ciba = LoginByName(
    "urn:openid:params:grant-type:ciba",
    "grantway_plugins.grants.ciba:CIBA",
    "grantway_plugins.grants.ciba_login:log_in",
)
client_credentials = GrantByName(
    "client_credentials",
    "grantway_plugins.grants.client_credentials:CLIENT_CREDENTIALS",
    f"{_ISSUER}.client_credentials:CLIENT_CREDENTIALS",
)
jwt_bearer = GrantByName(
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "grantway_plugins.grants.jwt_bearer:JWT_BEARER",
    f"{_ISSUER}.jwt_bearer:JWT_BEARER",
)
saml_bearer = GrantByName(
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
    "grantway_plugins.grants.saml_bearer:SAML_BEARER",
)
token_exchange = GrantByName(
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "grantway_plugins.grants.token_exchange:TOKEN_EXCHANGE",
    f"{_ISSUER}.token_exchange:TOKEN_EXCHANGE",
)
