"""Log formats (text and JSON) that prevent log injection."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, get_args

from grantway._secrets.redaction import harmless

LogFormat = Literal["text", "json"]
LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)

#: Values that need no quotes in text.
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+-]+")


class FieldsMessage:
    """A log message that consists of fields: ``login client_id=1f2e scope="read write"``.

    As text, values with special characters are quoted as in JSON, so the message contains no line
    breaks, control characters or non-ASCII characters.

    Args:
        fields: Values by name. The first value is shown without its name.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, str | int]) -> None:
        self.fields = fields

    def __str__(self) -> str:
        (_, first), *rest = self.fields.items()
        return " ".join([_quoted(first), *(f"{name}={_quoted(value)}" for name, value in rest)])


class TextFormatter(logging.Formatter):
    """Formats a record as one line: time in UTC, level, logger and message.

    Additional lines, such as those of a traceback, are indented. Control characters are removed.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the formatted record."""
        return "\n    ".join(harmless(super().format(record)).split("\n"))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - named by logging
        """Return the record's time in UTC (RFC 3339)."""
        return _utc(record)


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON, in ASCII.

    The members are ``time`` (UTC), ``level`` and ``logger``, then the fields of a
    ``FieldsMessage``, or ``message`` and optionally ``exception``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the formatted record."""
        members: dict[str, object] = {
            "time": _utc(record),
            "level": record.levelname,
            "logger": record.name,
        }
        if isinstance(record.msg, FieldsMessage):
            members |= record.msg.fields
        else:
            members["message"] = record.getMessage()
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return json.dumps(members)


def log_to_stderr(log_format: LogFormat, level: int = logging.WARNING) -> None:
    """Send the log records of the process to standard error.

    Args:
        log_format: Format of the records.
        level: Minimum level of the records.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler])


def _utc(record: logging.LogRecord) -> str:
    time = datetime.fromtimestamp(record.created, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(value: str | int) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
