"""The hook that grantway calls. The package's entry point names this module."""

from collections.abc import Mapping

from grantway import StoreFactory, hookimpl

from .store import TokenStore


@hookimpl
def grantway_register_stores() -> Mapping[str, StoreFactory]:
    """Register the store under the name that programs use."""
    return {"example-plugin": TokenStore}
