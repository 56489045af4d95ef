"""Fixtures: the audit events of the issuer."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from grantway_plugins.server._log_format import FieldsMessage

Detail = Callable[[], str]


@pytest.fixture
def detail(caplog: pytest.LogCaptureFixture) -> Detail:
    """Return a function that returns the detail of the last audit event."""
    caplog.set_level(logging.INFO, "grantway.audit")

    def last() -> str:
        events = [each.msg for each in caplog.records if isinstance(each.msg, FieldsMessage)]
        return str(events[-1].fields["detail"])

    return last
