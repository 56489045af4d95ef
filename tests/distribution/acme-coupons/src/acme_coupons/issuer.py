"""The issuer side of the coupon grant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway import hookimpl
from grantway_plugins.issuer import Denial

from .grant import GRANT_TYPE

if TYPE_CHECKING:
    from grantway_plugins.issuer import GrantRequest, Issue, Transaction

GOOD = {"SPRING-2031": "the winner"}


class CouponIssuer:
    """Issues a token for a valid coupon."""

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """Issue a token if the coupon is valid."""
        subject = GOOD.get(request.params["coupon"])
        if subject is None:
            return Denial("invalid_grant", "The coupon is unknown")
        return request.issue(subject=subject, refresh_token=False)


@hookimpl
def grantway_register_issuer_grants() -> dict[str, CouponIssuer]:
    """Register the issuer side of the coupon grant."""
    return {GRANT_TYPE: CouponIssuer()}
