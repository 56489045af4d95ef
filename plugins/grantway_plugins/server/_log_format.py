"""Log records as text or JSON lines, in which no value can forge a record."""

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

#: Values of text lines that need no quotes.
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+-]+")


class FieldsMessage:
    """A message that consists of fields: ``event client_id=1f2e scope="read write"``.

    Text quotes every other value as JSON does, so it contains no line break, no control
    character and nothing outside ASCII.

    Args:
        fields: Names to values. The first value is shown without its name.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, str | int]) -> None:
        self.fields = fields

    def __str__(self) -> str:
        (_, first), *rest = self.fields.items()
        return " ".join([_quoted(first), *(f"{name}={_quoted(value)}" for name, value in rest)])


class TextFormatter(logging.Formatter):
    """One line per record: time in UTC, level, logger, message.

    Further lines, as of a traceback, are indented, and control characters are removed.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines."""
        return "\n    ".join(harmless(super().format(record)).split("\n"))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Return the record's time in UTC (RFC 3339)."""
        return _utc(record)


class JsonFormatter(logging.Formatter):
    """One JSON object per record and line, in ASCII.

    Its members are ``time`` (UTC), ``level`` and ``logger``; then the fields of a
    ``FieldsMessage``, or ``message`` and optionally ``exception``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
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
    """Log the whole process to standard error.

    Args:
        log_format: How records are written.
        level: The least important level that is logged.
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
