"""The audit log of connections, written to the logger ``grantway.gateway.audit``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from grantway_plugins.server._audit_line import log_audit_line

if TYPE_CHECKING:
    from .connection import ConnectionEvent

logger = logging.getLogger("grantway.gateway.audit")


def log_event(event: ConnectionEvent) -> None:
    """Log an event that is saved in the audit trail. No member is a secret."""
    members: dict[str, str | int] = {
        "event": event.name,
        "provider": event.provider,
        "user": event.user,
    }
    if event.reason:
        members["reason"] = event.reason
    if event.count != 1:
        members["count"] = event.count
    log_audit_line(logger, members)
