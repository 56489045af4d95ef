"""Register the issuer grants of the three standard grants."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from grantway.hookspecs import hookimpl
from grantway_grants.authorization_code import GRANT_TYPE as AUTHORIZATION_CODE
from grantway_grants.device_code import GRANT_TYPE as DEVICE_CODE
from grantway_grants.refresh_token import GRANT_TYPE as REFRESH_TOKEN

_GRANTS = "grantway_plugins.issuer._decisions.grants"
#: References to the issuer grants of the three standard grants, by grant type.
STANDARD: Mapping[str, str] = MappingProxyType(
    {
        AUTHORIZATION_CODE: f"{_GRANTS}.authorization_code:AUTHORIZATION_CODE",
        DEVICE_CODE: f"{_GRANTS}.device_code:DEVICE_CODE",
        REFRESH_TOKEN: f"{_GRANTS}.refresh_token:REFRESH_TOKEN",
    }
)


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, str]:
    """Return references to the issuer grants of the standard grants."""
    return STANDARD
