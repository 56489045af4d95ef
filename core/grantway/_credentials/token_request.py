"""A credential's request for a token, separate from sending it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from grantway._secrets.params import Params
from grantway._types.fields import Scope
from grantway._types.token import Token

from .carry_over import carry_over


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One request for a token.

    Attributes:
        grant_type: The grant.
        params: The grant's parameters.
        extra: Provider-specific parameters.
        replaces: The token whose refresh token is sent; None if the grant itself is used.
    """

    grant_type: str
    params: Params
    extra: Params
    replaces: Token | None = None

    def complete(self, token: Token) -> Token:
        """Return the provider's token with the values that the response of a refresh omits."""
        if self.replaces is None:
            return token
        scope = self.params.get("scope")
        requested = scope.value if isinstance(scope, ComputedScope) else scope
        return carry_over(token, self.replaces, Scope().names(requested))


class ComputedScope:
    """A scope that is computed for each send.

    Args:
        compute: Returns the scope.

    Attributes:
        value: The scope that was computed last, or None.
    """

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute = compute
        self.value: Any = None

    def __call__(self) -> Any:
        """Compute the scope and remember it."""
        self.value = self._compute()
        return self.value
