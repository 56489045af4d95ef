"""The store keeps every promise of a store, and is registered when installed."""

import grantway
import pytest
from grantway.testing import StoreTests

from example_plugin import TokenStore

DISTRIBUTION = "example-plugin"


class TestTokenStore(StoreTests):
    """grantway's tests for every store."""

    @pytest.fixture
    def store(self) -> TokenStore:
        """Return a new, empty store."""
        return TokenStore()


def test_the_installed_store_is_registered() -> None:
    registry = grantway.build_registry(only=["grantway", DISTRIBUTION], strict=True)
    store = registry.store("example-plugin", label="tests")
    assert isinstance(store, TokenStore)
