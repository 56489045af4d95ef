"""The issuer's decision for each grant, one module per grant."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from grantway._types.grant import IssuerGrant
from grantway_grants.authorization_code import GRANT_TYPE as AUTHORIZATION_CODE
from grantway_grants.device_code import GRANT_TYPE as DEVICE_CODE
from grantway_grants.refresh_token import GRANT_TYPE as REFRESH_TOKEN

from .authorization_code import AuthorizationCodeIssuer
from .device_code import DeviceCodeIssuer
from .refresh_token import RefreshTokenIssuer

#: Issuer grants of the three standard grants, by grant type.
STANDARD: Mapping[str, IssuerGrant] = MappingProxyType(
    {
        AUTHORIZATION_CODE: AuthorizationCodeIssuer(),
        DEVICE_CODE: DeviceCodeIssuer(),
        REFRESH_TOKEN: RefreshTokenIssuer(),
    }
)

__all__ = ["STANDARD"]
