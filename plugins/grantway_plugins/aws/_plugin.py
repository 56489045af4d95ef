"""Register AWS's dialect, its extra exception and its token cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from grantway._exceptions import TokenError
from grantway.hookspecs import hookimpl
from grantway_plugins.stores._plugin import store_factory

from ._region_error import InvalidRequestRegionException

if TYPE_CHECKING:
    from grantway._types.store import StoreFactory


@hookimpl
def grantway_register_dialects() -> Mapping[str, str]:
    """Return a reference to the dialect ``aws-sso-oidc``."""
    return {"aws-sso-oidc": f"{__package__}._dialect:AWS_SSO_OIDC"}


@hookimpl
def grantway_register_errors() -> dict[str, type[TokenError]]:
    """Return the exception for the error that only AWS has."""
    return {InvalidRequestRegionException.__name__: InvalidRequestRegionException}


@hookimpl
def grantway_register_stores() -> Mapping[str, StoreFactory]:
    """Return the store that shares the AWS CLI's token cache."""
    return {
        "aws-cli": store_factory(
            "aws-cli", "grantway_plugins.aws._cache.store", "AwsCliStore", "file"
        )
    }
