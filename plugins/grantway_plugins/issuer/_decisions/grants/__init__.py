"""The standard grants as the issuer decides them, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from grantway_grants import (
    authorization_code as authorization_code_grant,
    device_code as device_code_grant,
    refresh_token as refresh_token_grant,
)
from grantway_plugins.issuer._decisions.decision import IssuerGrant

from .authorization_code import AuthorizationCodeIssuer
from .device_code import DeviceCodeIssuer
from .refresh_token import RefreshTokenIssuer

#: grant_type -> how the issuer decides it.
STANDARD: Mapping[str, IssuerGrant] = MappingProxyType(
    {
        authorization_code_grant.GRANT_TYPE: AuthorizationCodeIssuer(),
        device_code_grant.GRANT_TYPE: DeviceCodeIssuer(),
        refresh_token_grant.GRANT_TYPE: RefreshTokenIssuer(),
    }
)

__all__ = ["STANDARD"]
