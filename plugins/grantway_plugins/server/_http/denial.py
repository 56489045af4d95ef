"""A denied request, as an OAuth error (RFC 6749 section 5.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from grantway_plugins.server._http.audit_event import AuditEvent


@dataclass(frozen=True, slots=True)
class Denial:
    """No. What the strategy wrote before stays written, such as the end of a family.

    Attributes:
        error: The code on the wire.
        description: What is wrong and what to do; never quotes a secret.
        reason: The finer cause that AWS adds, or None.
        event: What the audit log says, or None for an ordinary denial. The issuer adds the client
            and the grant.
    """

    error: str
    description: str
    reason: str | None = None
    event: AuditEvent | None = field(default=None, compare=False)


class Refusal(Exception):  # noqa: N818 - it carries a decision, and nothing has failed
    """Carries a denial up to the place that answers."""

    def __init__(self, error: str, description: str, reason: str | None = None) -> None:
        super().__init__(error)
        self.denial = Denial(error, description, reason)
