"""The hook that grantway calls. The package's entry point names this module."""

from collections.abc import Mapping

from grantway import ClientAuthFactory, hookimpl

from .client_auth import header_secret


@hookimpl
def grantway_register_client_auth() -> Mapping[str, ClientAuthFactory]:
    """Register the method under the name that programs use."""
    return {"example-plugin": header_secret}
