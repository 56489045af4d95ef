"""Log injection is prevented."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from hypothesis import given, strategies as st

from grantway_plugins.server._log_format import FieldsMessage, JsonFormatter, TextFormatter

NASTY = st.one_of(
    st.text(),
    st.sampled_from(
        [
            "x\n2026-01-01T00:00:00.000Z INFO grantway.audit login",
            '"} {"event":"login"',
            "\x1b[2J\x1b]0;title\x07",
            "a subject=root",
            "\u202edlrow",
            "\r\x85\u2028\u2029\x00\x9b31m",
            "\ud800",
        ]
    ),
)


def record(message: object, error: BaseException | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("grantway.audit", logging.INFO, "", 0, message, None, info)


@given(value=NASTY, other=NASTY)
def test_fields_stay_on_one_line_and_stay_separate(value: str, other: str) -> None:
    fields = {"event": "login", "client_id": value, "subject": other}
    text = TextFormatter().format(record(FieldsMessage(fields)))
    line = JsonFormatter().format(record(FieldsMessage(fields)))
    for each in (text, line):
        assert each.isascii()
        assert each.isprintable()
    assert {name: json.loads(line)[name] for name in fields} == fields
    rest = text.split(" grantway.audit login client_id=", 1)[1]
    parsed, after = _value(rest)
    assert parsed == value
    assert _value(after.removeprefix(" subject=")) == (other, "")


def _value(text: str) -> tuple[str, str]:
    """Parse one value as a log collector does: in quotes, or up to a space."""
    if not text.startswith('"'):
        plain, space, rest = text.partition(" ")
        return plain, space + rest
    value, end = json.JSONDecoder().raw_decode(text)
    return value, text[end:]


@given(message=NASTY)
def test_a_message_cannot_start_a_second_record(message: str) -> None:
    first, *more = TextFormatter().format(record(message)).split("\n")
    assert first.split(" ")[1:3] == ["INFO", "grantway.audit"]
    assert all(line.startswith("    ") for line in more)
    assert all(line.isprintable() for line in (first, *more))
    fields = json.loads(JsonFormatter().format(record(message)))
    assert fields["message"] == message


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_a_traceback_is_kept(formatter: logging.Formatter) -> None:
    try:
        sys.intern(3)  # type: ignore[arg-type]
    except TypeError as error:
        shown = formatter.format(record("it failed", error))
    assert "it failed" in shown
    assert "TypeError" in shown
    assert shown.count("\n") == shown.count("\n    ")


def test_times_are_in_utc() -> None:
    made = record("x")
    made.created = 1_800_000_000.25
    assert TextFormatter().format(made) == "2027-01-15T08:00:00.250Z INFO grantway.audit x"
    assert json.loads(JsonFormatter().format(made))["time"] == "2027-01-15T08:00:00.250Z"
