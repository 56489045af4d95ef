"""The issuer side of the grant: decide whether to issue a token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from grantway_plugins.issuer import Denial, GrantRequest, Issue, digest

from .grant import GRANT_TYPE

if TYPE_CHECKING:
    # Importing it at runtime would load a database library, which only the issuer needs.
    from grantway_plugins.issuer import Transaction

#: Seconds for which a used value is remembered.
REMEMBERED = 365 * 86_400.0


class IssuerSide:
    """Issues one token for each value.

    Args:
        subjects: Subject of the token for each value.
    """

    def __init__(self, subjects: Mapping[str, str]) -> None:
        self._subjects = subjects

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """Issue a token or deny it. The issuer has already checked client and parameters."""
        value = request.params["example_parameter"]
        subject = self._subjects.get(value)
        if subject is None:
            return Denial("invalid_grant", "The value is unknown")
        decision = request.issue(subject=subject)
        if isinstance(decision, Denial):  # the scope is too wide: do not use up the value
            return decision
        if not transaction.spend(digest(f"{GRANT_TYPE} {value}"), request.now + REMEMBERED):
            return Denial("invalid_grant", "The value was used before")
        return decision


#: Replace the empty mapping with your values.
ISSUER_SIDE = IssuerSide({})
