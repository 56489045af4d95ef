"""What grantway is told; the entry point names this module."""

from collections.abc import Iterable, Mapping

from grantway import Grant, hookimpl

from .grant import GRANT_TYPE, VOUCHER
from .issuer import Vouchers


@hookimpl
def grantway_register_grants() -> Iterable[Grant]:
    """Bring the grant."""
    return [VOUCHER]


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, Vouchers]:
    """Bring the issuer's side of it. It knows no voucher yet: say here where yours are kept."""
    return {GRANT_TYPE: Vouchers({})}
