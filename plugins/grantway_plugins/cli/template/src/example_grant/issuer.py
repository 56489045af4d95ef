"""The issuer's side of the grant: may a token be issued for this voucher?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from grantway_plugins.issuer import Denial, GrantRequest, Issue, digest

from .grant import GRANT_TYPE

if TYPE_CHECKING:
    # It loads a database library, which only the issuer needs.
    from grantway_plugins.issuer import Transaction

#: Seconds that a voucher which was taken stays known.
REMEMBERED = 365 * 86_400.0


class Vouchers:
    """Takes each voucher once.

    Args:
        holders: Voucher -> whose it is.
    """

    def __init__(self, holders: Mapping[str, str]) -> None:
        self._holders = holders

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """Say yes or no; the issuer has checked the client and the parameters already."""
        voucher = request.params["voucher"]
        holder = self._holders.get(voucher)
        if holder is None:
            return Denial("invalid_grant", "The voucher is unknown")
        decision = request.issue(subject=holder)
        if isinstance(decision, Denial):  # of a scope that is too wide: the voucher is kept
            return decision
        if not transaction.spend(digest(f"{GRANT_TYPE} {voucher}"), request.now + REMEMBERED):
            return Denial("invalid_grant", "The voucher was used before")
        return decision
