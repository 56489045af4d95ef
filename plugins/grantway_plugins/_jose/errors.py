"""Errors of published keys. They need no library, so every package can handle them."""

from __future__ import annotations


class KeysUnavailableError(Exception):
    """Raised if the keys of an issuer cannot be read. The message contains no secret."""

    def __init__(self, issuer: str, problem: str) -> None:
        super().__init__(problem)
        self.issuer = issuer
