"""Audit events of the user's decisions."""

from __future__ import annotations

from grantway_plugins.issuer._decisions.user import User
from grantway_plugins.server._http.audit_event import AuditEvent


def approval_event(user: User, client_id: str) -> AuditEvent:
    """Return the audit event of an approval."""
    return AuditEvent("approval", client_id=client_id, subject=user.subject)


def denial_event(user: User, client_id: str) -> AuditEvent:
    """Return the audit event of a denial."""
    return AuditEvent(
        "denial",
        client_id=client_id,
        subject=user.subject,
        error="access_denied",
        reason="The user denied the request",
    )
