"""A person's choice at a page, as the audit log's event."""

from __future__ import annotations

from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.server._http.audit_event import AuditEvent


def approval(issuer: Issuer, client_id: str) -> AuditEvent:
    """Return the event of a person who allows a client."""
    return AuditEvent("approval", client_id=client_id, subject=issuer.settings.subject)


def denial(issuer: Issuer, client_id: str) -> AuditEvent:
    """Return the event of a person who denies a client."""
    return AuditEvent(
        "denial",
        client_id=client_id,
        subject=issuer.settings.subject,
        error="access_denied",
        reason="The person denied the request",
    )
