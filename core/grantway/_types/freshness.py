"""When to refresh a token: before it expires, and not all tokens at once."""

from __future__ import annotations

import time
from dataclasses import dataclass

from grantway._processes.copies import Value

from .quantity import check_seconds, check_share, reject
from .token import Token


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Freshness(Value):
    """Two refresh windows before a token expires.

    In the *advisory* window, callers still get the token while one thread fetches the next. In the
    *mandatory* window, callers wait for the next token. Short-lived tokens get shorter windows: at
    most a quarter of the lifetime for the first, and a tenth for the second.

    Attributes:
        advisory: Seconds before expiry at which the background refresh starts.
        mandatory: Seconds before expiry at which the token is no longer returned.
        jitter: Share of the time between the two windows, 0 to 1, over which the refreshes of
            tokens that expire together are spread.

    Raises:
        ConfigurationError: A window is negative, the mandatory window is longer than the advisory
            one, or the jitter is not between 0 and 1.
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
            reject("Freshness.mandatory", rule, self.mandatory)

    def time_left(self, token: Token, position: float = 0.0) -> tuple[float, float]:
        """Return the seconds until a token should be refreshed, and until it must not be used.

        Args:
            token: The token.
            position: Position of this token within the jitter, 0 to 1.
        """
        left = remaining(token)
        if left == _FOREVER:
            return left, left
        lifetime = left if token.expires_in is None else token.expires_in
        mandatory = min(self.mandatory, lifetime / 10)
        advisory = max(mandatory, min(self.advisory, lifetime / 4))
        advisory -= (advisory - mandatory) * self.jitter * position
        return left - advisory, left - mandatory


_FOREVER = float("inf")


def remaining(token: Token) -> float:
    """Return the seconds until a token expires; infinity if the provider gave no lifetime.

    Never more than the whole lifetime, so that setting the clock back does not prolong a token.
    """
    if token.expires_at is None:
        return _FOREVER
    left = token.expires_at - time.time()
    return left if token.expires_in is None else min(left, token.expires_in)
