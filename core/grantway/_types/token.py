"""Tokens, whose repr hides the secrets."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grantway._processes.copies import Value

from .quantity import check_seconds


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Token(Value):
    """A successful response of a token endpoint (RFC 6749 section 5.1).

    The secret attributes are plain strings; ``repr()`` and ``str()`` of the token hide them.

    Attributes:
        access_token: The access token.
        token_type: The token type, case-insensitive; ``Bearer`` if not stated.
        expires_in: Lifetime in seconds from the response, or None if not stated.
        expires_at: Unix time of expiry, or None.
        refresh_token: The refresh token, or None.
        id_token: An OpenID Connect ID token, not verified here, or None.
        scope: The granted scope, in order; None if not stated, which means as requested (RFC 6749
            section 5.1).
        extra: Every other member of the response, unchanged.
    """

    access_token: str
    token_type: str = "Bearer"
    expires_in: int | None = None
    expires_at: float | None = None
    refresh_token: str | None = None
    id_token: str | None = None
    scope: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def expired(self, leeway: float = 0.0) -> bool:
        """Return whether it expires within ``leeway`` seconds. False without a known expiry."""
        check_seconds("leeway", leeway, least=0)
        return self.expires_at is not None and time.time() + leeway >= self.expires_at

    def __repr__(self) -> str:
        held = [name for name in ("refresh_token", "id_token") if getattr(self, name)]
        shown = [
            "access_token=***",
            f"token_type={self.token_type!r}",
            f"expires_in={self.expires_in}",
            *(f"{name}=***" for name in held),
            f"scope={' '.join(self.scope)!r}" if self.scope is not None else "scope=None",
        ]
        if self.extra:
            shown.append(f"extra=<{', '.join(sorted(self.extra))}>")
        return f"Token({', '.join(shown)})"

    __str__ = __repr__
