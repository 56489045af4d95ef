"""How the issuer decides each grant, one file per grant."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from grantway._types.grant import IssuerGrant
from grantway_grants import authorization_code, device_code, refresh_token
from grantway_plugins.grants import client_credentials, token_exchange

from .authorization_code import AuthorizationCodeIssuer
from .client_credentials import ClientCredentialsIssuer
from .device_code import DeviceCodeIssuer
from .refresh_token import RefreshTokenIssuer
from .token_exchange import TokenExchangeIssuer

#: The grants that a client may use when it registers without naming any.
STANDARD = frozenset(
    {authorization_code.GRANT_TYPE, device_code.GRANT_TYPE, refresh_token.GRANT_TYPE}
)
#: grant_type to how the issuer decides it. ``JwtBearerIssuer`` is absent: it needs settings.
BUILT_IN: Mapping[str, IssuerGrant] = MappingProxyType(
    {
        authorization_code.GRANT_TYPE: AuthorizationCodeIssuer(),
        client_credentials.GRANT_TYPE: ClientCredentialsIssuer(),
        device_code.GRANT_TYPE: DeviceCodeIssuer(),
        refresh_token.GRANT_TYPE: RefreshTokenIssuer(),
        token_exchange.GRANT_TYPE: TokenExchangeIssuer(),
    }
)

__all__ = ["BUILT_IN", "STANDARD"]
