"""What comes back: a token whose secrets never print."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grantway._processes.copies import Value

from .quantity import check_seconds


@dataclass(frozen=True, slots=True)
class Token(Value):
    """A successful answer of a token endpoint (RFC 6749 section 5.1).

    The secret fields are plain strings, ready for a header; ``repr()`` and ``str()`` of the
    token never show them.

    Attributes:
        access_token: The token itself.
        token_type: How to present it; compare without case. ``Bearer`` where nothing was said.
        expires_in: Lifetime in seconds at the time of the answer, or None when not stated.
        expires_at: Unix time at which it ends, or None.
        refresh_token: For the next refresh, or None.
        id_token: An OpenID Connect ID token, not verified here, or None.
        scope: What was granted, in order; None when the provider did not say (RFC 6749 section
            5.1: then it is what was asked for).
        extra: Every other field of the answer, as it came.
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
        """Whether it has ended, or will within ``leeway`` seconds. False when it never said."""
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
