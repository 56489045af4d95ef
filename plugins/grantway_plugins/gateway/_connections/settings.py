"""Settings of ``[connections]`` that the service and the pages need."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from grantway._processes.copies import Value


@dataclass(frozen=True, slots=True)
class ConnectionsSettings(Value):
    """Settings of the connections of users.

    Attributes:
        url: Public URL of the gateway, without a final slash.
        path: Path of the pages.
        session_seconds: Lifetime of a browser session after its login.
        login_seconds: Time in which a user must finish a login.
        keep_alive: Seconds after the last new token at which an idle one is refreshed; infinity for
            never.
        audit_days: Days for which the audit trail is kept.
        audit_activity: Uses and refreshes in the audit trail: the first of a day (``daily``),
            ``all`` or ``none``.
    """

    url: str
    path: str = "/connect"
    session_seconds: float = 28_800.0
    login_seconds: float = 600.0
    keep_alive: float = 86_400.0
    audit_days: int = 90
    audit_activity: str = "daily"

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Self:
        """Return the settings in a validated table ``[connections]``."""
        given = {name: table[name] for name in cls.__dataclass_fields__}
        given["url"] = given["url"].rstrip("/")
        given["keep_alive"] = given["keep_alive"] or math.inf
        return cls(**given)

    @property
    def base(self) -> str:
        """URL of the overview page."""
        return f"{self.url}{self.path}"

    def page(self, provider: str) -> str:
        """Return the URL at which a user connects an account at a provider."""
        return f"{self.base}/{provider}"

    def callback(self, provider: str) -> str:
        """Return the redirect URI of a provider. Each has its own (RFC 9700 section 4.4)."""
        return f"{self.base}/{provider}/callback"
