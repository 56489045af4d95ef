"""A denied request, as an OAuth error (RFC 6749 section 5.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from grantway_plugins.server._http.audit_event import AuditEvent


@dataclass(frozen=True, slots=True)
class Denial:
    """A denial. Earlier writes of the strategy are kept, such as revoking a token family.

    Attributes:
        error: The OAuth error code.
        description: What is wrong and what to do; never quotes a secret.
        reason: AWS's more specific reason, or None.
        event: The audit log event, or None for an ordinary denial. The issuer adds the client
            and the grant.
    """

    error: str
    description: str
    reason: str | None = None
    event: AuditEvent | None = field(default=None, compare=False)


class DenialError(Exception):
    """Carries a denial to the code that sends the response."""

    def __init__(self, error: str, description: str, reason: str | None = None) -> None:
        super().__init__(error)
        self.denial = Denial(error, description, reason)
