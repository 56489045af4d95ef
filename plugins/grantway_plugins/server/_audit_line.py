"""Lines of audit logs."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ._log_format import FieldsMessage

#: Maximum length of a value; longer values are truncated.
_LONGEST = 500


def log_audit_line(logger: logging.Logger, members: Mapping[str, str | int]) -> None:
    """Log an event at level INFO.

    Args:
        logger: Logger of the audit log.
        members: The event's name as ``event``, which must be the first, and its other members.
    """
    logger.info(FieldsMessage({name: _shortened(value) for name, value in members.items()}))


def _shortened(value: str | int) -> str | int:
    if isinstance(value, int) or len(value) <= _LONGEST:
        return value
    return f"{value[:_LONGEST]}..."
