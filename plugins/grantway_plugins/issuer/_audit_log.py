"""The audit log, written to the logger ``grantway.audit``."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from grantway_plugins.server._audit_line import log_audit_line
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._listening.peers import network_of

from ._decisions.rate_limit import RateLimit

#: Events that can be caused without credentials; rate-limited, so that they cannot fill the disk.
_LIMITED = frozenset({"denial", "login_failure", "outcome_unknown", "replay", "wrong_user_code"})
#: Maximum number of records per minute for each such event, from one peer and from all peers.
OF_PEER, OF_ALL = 60, 600

logger = logging.getLogger("grantway.audit")


class AuditLog:
    """Logs events at level INFO, if the logger ``grantway.audit`` is enabled for it.

    Args:
        issuer: The issuer's URL.
        observe: Called with each event, also if the logger is disabled.
    """

    def __init__(self, issuer: str, observe: Callable[[AuditEvent], None] | None = None) -> None:
        self._issuer = issuer
        self._observe = observe
        self._of_peer = RateLimit(OF_PEER)
        self._of_all = RateLimit(OF_ALL)
        self._suppressed: Counter[str] = Counter()

    @property
    def is_enabled(self) -> bool:
        """Whether the audit logger is enabled."""
        return logger.isEnabledFor(logging.INFO)

    def record(self, event: AuditEvent | None, endpoint: str, peer: str = "") -> None:
        """Log an event after its commit.

        Args:
            event: The event, or None to log nothing.
            endpoint: Path of the request, without the issuer's path.
            peer: Address of the client or proxy that sent the request.
        """
        if event is None:
            return
        if self._observe is not None:
            self._observe(event)
        if not self.is_enabled:
            return
        if event.name in _LIMITED and not self._take(event.name, peer):
            self._suppressed[event.name] += 1
            return
        members: dict[str, str | int] = {**event.members()}
        members |= {"endpoint": endpoint, "peer": peer, "issuer": self._issuer}
        suppressed = self._suppressed.pop(event.name, 0)
        if suppressed:
            members["suppressed"] = suppressed
        log_audit_line(logger, members)

    def _take(self, name: str, peer: str) -> bool:
        """Count a limited event; return False if there were too many in the last minute."""
        key = f"{name} {network_of(peer)}"
        if self._of_peer.wait(key) > 0 or self._of_all.wait(name) > 0:
            return False
        self._of_peer.take(key)
        self._of_all.take(name)
        return True


def record_operator(event: AuditEvent) -> None:
    """Log an operator's change to the database."""
    log_audit_line(logger, {**event.members(), "endpoint": "operator"})
