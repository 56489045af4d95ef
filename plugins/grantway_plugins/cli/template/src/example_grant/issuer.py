"""The issuer side of the grant: decide whether to issue a token for a voucher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from grantway_plugins.issuer import Denial, GrantRequest, Issue, digest

from .grant import GRANT_TYPE

if TYPE_CHECKING:
    # Importing it at runtime would load a database library, which only the issuer needs.
    from grantway_plugins.issuer import Transaction

#: Seconds for which a used voucher is remembered.
REMEMBERED = 365 * 86_400.0


class Vouchers:
    """Issues one token for each voucher.

    Args:
        holders: Subject of the token for each voucher.
    """

    def __init__(self, holders: Mapping[str, str]) -> None:
        self._holders = holders

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """Issue a token or deny it. The issuer has already checked client and parameters."""
        voucher = request.params["voucher"]
        holder = self._holders.get(voucher)
        if holder is None:
            return Denial("invalid_grant", "The voucher is unknown")
        decision = request.issue(subject=holder)
        if isinstance(decision, Denial):  # the scope is too wide: do not use up the voucher
            return decision
        if not transaction.spend(digest(f"{GRANT_TYPE} {voucher}"), request.now + REMEMBERED):
            return Denial("invalid_grant", "The voucher was used before")
        return decision


#: Replace the empty mapping with your vouchers.
VOUCHERS = Vouchers({})
