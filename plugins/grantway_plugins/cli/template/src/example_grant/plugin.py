"""The hooks that grantway calls. The package's entry point names this module."""

from collections.abc import Iterable, Mapping

from grantway import Grant, hookimpl

from .grant import GRANT_TYPE, VOUCHER
from .issuer import Vouchers


@hookimpl
def grantway_register_grants() -> Iterable[Grant]:
    """Register the grant."""
    return [VOUCHER]


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, Vouchers]:
    """Register the issuer side. Replace the empty mapping with your vouchers."""
    return {GRANT_TYPE: Vouchers({})}
