"""When a token is renewed: before its end, and not all tokens at once."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .quantity import check_seconds, check_share, refuse
from .token import Token


@dataclass(frozen=True, slots=True)
class Freshness:
    """Two windows before the end of a token.

    In the *advisory* window the token still goes out while one thread fetches the next; in the
    *mandatory* one it does not, and callers wait. A token that lives shortly gets shorter windows:
    never more than a quarter of its life for the first, and a tenth for the second.

    Attributes:
        advisory: Seconds before its end from which a token is renewed in the background.
        mandatory: Seconds before its end from which it is not given out any more.
        jitter: Share of the time between the two windows over which the renewals of many tokens
            with one end are spread, 0 to 1.

    Raises:
        ConfigurationError: a window is negative, the mandatory one is the longer, or the jitter
            is not a share.
    """

    advisory: float = 300.0
    mandatory: float = 30.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        check_seconds("Freshness.advisory", self.advisory, least=0)
        check_seconds("Freshness.mandatory", self.mandatory, least=0)
        check_share("Freshness.jitter", self.jitter)
        if self.mandatory > self.advisory:
            rule = f"must not be greater than advisory ({self.advisory:g} seconds)"
            refuse("Freshness.mandatory", rule, self.mandatory)

    def lives(self, token: Token, luck: float = 0.0) -> tuple[float, float]:
        """Seconds from now until a token is to be renewed, and until it must not be used.

        Args:
            token: The token.
            luck: Where in the jitter this one falls, 0 to 1.
        """
        left = remaining(token)
        if left == _FOREVER:
            return left, left
        lifetime = left if token.expires_in is None else token.expires_in
        mandatory = min(self.mandatory, lifetime / 10)
        advisory = max(mandatory, min(self.advisory, lifetime / 4))
        advisory -= (advisory - mandatory) * self.jitter * luck
        return left - advisory, left - mandatory


_FOREVER = float("inf")


def remaining(token: Token) -> float:
    """Seconds that a token has left; infinite when it never said.

    Never more than its whole life: a clock that was set back since it came makes it no younger.
    """
    if token.expires_at is None:
        return _FOREVER
    left = token.expires_at - time.time()
    return left if token.expires_in is None else min(left, token.expires_in)
