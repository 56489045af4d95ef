"""Register the issuer grants of the three standard grants."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from grantway.hookspecs import hookimpl

_GRANTS = "grantway_plugins.issuer._decisions.grants"
#: References to the issuer grants of the three standard grants, by grant type.
STANDARD: Mapping[str, str] = MappingProxyType(
    {
        "authorization_code": f"{_GRANTS}.authorization_code:AUTHORIZATION_CODE",
        "urn:ietf:params:oauth:grant-type:device_code": f"{_GRANTS}.device_code:DEVICE_CODE",
        "refresh_token": f"{_GRANTS}.refresh_token:REFRESH_TOKEN",
    }
)


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, str]:
    """Return references to the issuer grants of the standard grants."""
    return STANDARD
