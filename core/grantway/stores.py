"""Where tokens rest between two uses: the contract that every store keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .token import Token


class Store(Protocol):
    """Keeps one token a key. Called from many threads at once.

    A key is text that says nothing about the token. A store may forget a token, as when it is
    full, and must never give one to another key.
    """

    def load(self, key: str) -> Token | None:
        """The token that was saved last, or None."""
        ...

    def save(self, key: str, token: Token) -> None:
        """Keep a token in place of the one before.

        When it returns, the token outlives whatever the store promises to outlive; when it cannot
        promise that, it raises, because a refresh token that was replaced cannot be had again.
        """
        ...

    def delete(self, key: str) -> None:
        """Forget a token; one that is not there is no error."""
        ...


#: Makes a store of its own options, which it takes by name.
StoreFactory = Callable[..., Store]
