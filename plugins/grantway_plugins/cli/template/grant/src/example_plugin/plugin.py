"""The hooks that grantway calls. The package's entry point names this module."""

from collections.abc import Iterable, Mapping

from grantway import Grant, hookimpl

from .grant import GRANT, GRANT_TYPE


@hookimpl
def grantway_register_grants() -> Iterable[Grant]:
    """Register the grant."""
    return [GRANT]


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, str]:
    """Register the issuer side, which only an issuer imports."""
    return {GRANT_TYPE: "example_plugin.issuer:ISSUER_SIDE"}
