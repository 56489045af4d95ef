"""How the issuer decides each grant, one file per grant."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from grantway._types.grant import IssuerGrant
from grantway_grants.authorization_code import GRANT_TYPE as AUTHORIZATION_CODE
from grantway_grants.device_code import GRANT_TYPE as DEVICE_CODE
from grantway_grants.refresh_token import GRANT_TYPE as REFRESH_TOKEN
from grantway_plugins.grants.client_credentials import GRANT_TYPE as CLIENT_CREDENTIALS
from grantway_plugins.grants.token_exchange import GRANT_TYPE as TOKEN_EXCHANGE

from .authorization_code import AuthorizationCodeIssuer
from .client_credentials import ClientCredentialsIssuer
from .device_code import DeviceCodeIssuer
from .refresh_token import RefreshTokenIssuer
from .token_exchange import TokenExchangeIssuer

#: The grants that a client may use when it registers without naming any.
STANDARD = frozenset({AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN})
#: grant_type to how the issuer decides it. ``JwtBearerIssuer`` is absent: it needs settings.
BUILT_IN: Mapping[str, IssuerGrant] = MappingProxyType(
    {
        AUTHORIZATION_CODE: AuthorizationCodeIssuer(),
        CLIENT_CREDENTIALS: ClientCredentialsIssuer(),
        DEVICE_CODE: DeviceCodeIssuer(),
        REFRESH_TOKEN: RefreshTokenIssuer(),
        TOKEN_EXCHANGE: TokenExchangeIssuer(),
    }
)

__all__ = ["BUILT_IN", "STANDARD"]
