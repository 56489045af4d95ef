"""Denials of requests, as OAuth errors (RFC 6749 section 5.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from grantway_plugins.server._http.audit_event import AuditEvent


@dataclass(frozen=True, slots=True)
class Denial:
    """A denied request. Changes to the database, such as a revocation, are still committed.

    Attributes:
        error: The OAuth error code.
        description: Description of the problem and its solution; contains no secret.
        reason: The more specific ``reason`` of AWS's exceptions, or None.
        event: The audit event, or None for the default one. The issuer adds the client and the
            grant.
        headers: Additional headers of the response.
    """

    error: str
    description: str
    reason: str | None = None
    event: AuditEvent | None = field(default=None, compare=False)
    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), compare=False)


class DenialError(Exception):
    """Raised to deny a request; ``denial`` is the error to return."""

    def __init__(self, error: str, description: str, reason: str | None = None) -> None:
        super().__init__(error)
        self.denial = Denial(error, description, reason)

    @classmethod
    def of(cls, denial: Denial) -> Self:
        """Return the exception for a denial."""
        error = cls(denial.error, denial.description)
        error.denial = denial
        return error
