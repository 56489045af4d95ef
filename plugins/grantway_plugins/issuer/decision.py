"""What a grant's strategy is asked on the issuer's side, and what it may answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from grantway.grant import Params

from .records import Client, Family
from .settings import IssuerSettings
from .transaction import Transaction


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """A token request whose client is known and whose parameters kept the grant's schema.

    Attributes:
        params: RFC names to values.
        client: Who asks; authenticated, and registered for this grant.
        now: Seconds since the epoch.
        settings: The operator's choices.
    """

    params: Params
    client: Client
    now: float
    settings: IssuerSettings


@dataclass(frozen=True, slots=True)
class Issue:
    """Yes: issue tokens.

    Attributes:
        family: The approval they belong to.
        scope: The access token's scopes, no wider than the family's.
        new: Whether the family begins here.
        parent: Digest of the refresh token that is being replaced, or None.
    """

    family: Family
    scope: tuple[str, ...]
    new: bool = False
    parent: bytes | None = None


@dataclass(frozen=True, slots=True)
class Denial:
    """No. What the strategy wrote before stays written, such as the end of a family.

    Attributes:
        error: The code on the wire.
        description: What is wrong and what to do; never quotes a secret.
        reason: The finer cause that AWS adds, or None.
    """

    error: str
    description: str
    reason: str | None = None


class Refusal(Exception):  # noqa: N818 - it carries a decision, and nothing has failed
    """Carries a denial up to the place that answers."""

    def __init__(self, error: str, description: str, reason: str | None = None) -> None:
        super().__init__(error)
        self.denial = Denial(error, description, reason)


class IssuerGrant(Protocol):
    """A grant on the issuer's side: may these tokens be issued?"""

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """Judge a request, consuming what it redeems in the same transaction.

        It may be called twice for one request, so it must change nothing but the transaction.
        """
        ...
