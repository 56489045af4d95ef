"""Middleware and observer keep every promise, and are registered when installed."""

from collections.abc import Callable

import grantway
import pytest
from grantway import Event, Middleware
from grantway.testing import MiddlewareTests, ObserverTests

from example_plugin import Calls, audit

DISTRIBUTION = "example-plugin"


class TestAudit(MiddlewareTests):
    """grantway's tests for every middleware."""

    @pytest.fixture
    def middleware(self) -> Middleware:
        """Return the middleware."""
        return audit


class TestCalls(ObserverTests):
    """grantway's tests for every observer."""

    @pytest.fixture
    def observer(self) -> Callable[[Event], None]:
        """Return a new observer."""
        return Calls().observe


def test_the_installed_plugin_is_registered() -> None:
    registry = grantway.build_registry(only=["grantway", DISTRIBUTION], strict=True)
    assert audit in registry.middleware
    assert [name for name, _ in registry.observers if name.startswith(DISTRIBUTION)]
