"""The hooks that grantway calls."""

from collections.abc import Mapping

from grantway import hookimpl

from .grant import GRANT_TYPE

_ISSUER = "grantway_openid4vci.issuer:OFFERS"


@hookimpl
def grantway_register_grants() -> Mapping[str, str]:
    """Register the grant."""
    return {GRANT_TYPE: "grantway_openid4vci.grant:PRE_AUTHORIZED_CODE"}


@hookimpl
def grantway_register_login_flows() -> Mapping[str, str]:
    """Register ``grantway login``."""
    return {GRANT_TYPE: "grantway_openid4vci.login:log_in"}


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, str]:
    """Register the decision about codes."""
    return {GRANT_TYPE: _ISSUER}


@hookimpl
def grantway_register_issuer_extensions() -> Mapping[str, str]:
    """Register the endpoints for credential offers."""
    return {"openid4vci": _ISSUER}
