"""Routes that give all requests the same token, so that a proxy can add it by itself."""

from __future__ import annotations

from typing import NamedTuple

from grantway._types.token import Token
from grantway_plugins.gateway.upstream._tenant import TenantRule, single


class SharedToken(NamedTuple):
    """The token of a route that gives all requests the same one.

    Attributes:
        token: The token.
        value: Value of the header that carries it.
        fresh_for: Seconds until the credential may replace it.
        refreshing: Whether it is being replaced.
    """

    token: Token
    value: str
    fresh_for: float
    refreshing: bool


def is_shared(
    *, tenant: TenantRule, incoming: str, verified: bool, preflight: bool, encoded: str
) -> bool:
    """Return whether all requests of a route get the same token, whatever they contain.

    Args:
        tenant: The tenant rule.
        incoming: Handling of the caller's credentials; others than ``replace`` depend on them.
        verified: Whether the gateway verifies the callers.
        preflight: Whether CORS preflights are forwarded without a token.
        encoded: Handling of paths that servers read differently, which only the gateway can judge.
    """
    return (
        tenant == single()
        and incoming == "replace"
        and encoded == "reject"
        and not verified
        and not preflight
    )
