"""The audit log: one record per event, to the logger ``grantway.audit``."""

from __future__ import annotations

import logging
from collections import Counter

from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._listening.peers import network_of
from grantway_plugins.server._log_format import FieldsMessage

from ._decisions.rate_limit import RateLimit

#: Events that anybody can cause without credentials. Rate-limited to protect the disk.
_LIMITED = frozenset({"denial", "outcome_unknown", "replay", "wrong_user_code"})
#: Limited events per minute: each kind of event from one peer, and from all peers together.
OF_PEER, OF_ALL = 60, 600
#: Longer values are cut.
_LONGEST = 500

logger = logging.getLogger("grantway.audit")


class AuditLog:
    """Logs events at the level INFO. Does nothing while ``grantway.audit`` is not enabled.

    Args:
        issuer: The issuer's URL.
    """

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._of_peer = RateLimit(OF_PEER)
        self._of_all = RateLimit(OF_ALL)
        self._suppressed: Counter[str] = Counter()

    @property
    def is_enabled(self) -> bool:
        """Whether the audit logger is enabled."""
        return logger.isEnabledFor(logging.INFO)

    def record(self, event: AuditEvent | None, endpoint: str, peer: str = "") -> None:
        """Log an event that is committed.

        Args:
            event: The event; None logs nothing.
            endpoint: Path of the request, below the issuer's URL.
            peer: Address that sent the request.
        """
        if event is None or not self.is_enabled:
            return
        if event.name in _LIMITED and not self._take(event.name, peer):
            self._suppressed[event.name] += 1
            return
        members: dict[str, str | int] = {
            name: value if len(value) <= _LONGEST else f"{value[:_LONGEST]}..."
            for name, value in event.members().items()
        }
        members |= {"endpoint": endpoint, "peer": peer, "issuer": self._issuer}
        suppressed = self._suppressed.pop(event.name, 0)
        if suppressed:
            members["suppressed"] = suppressed
        logger.info(FieldsMessage(members))

    def _take(self, name: str, peer: str) -> bool:
        """Count a limited event, unless there were too many in the last minute."""
        key = f"{name} {network_of(peer)}"
        if self._of_peer.wait(key) > 0 or self._of_all.wait(name) > 0:
            return False
        self._of_peer.take(key)
        self._of_all.take(name)
        return True


def record_operator(event: AuditEvent) -> None:
    """Log an operator's change to the database."""
    logger.info(FieldsMessage({**event.members(), "endpoint": "operator"}))
