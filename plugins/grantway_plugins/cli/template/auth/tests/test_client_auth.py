"""The method keeps every promise of client authentication, and is registered when installed."""

from collections.abc import Callable

import grantway
import pytest
from grantway.testing import ClientAuthTests, FaultServer, faults

from example_plugin import HeaderSecret
from example_plugin.client_auth import HEADER

DISTRIBUTION = "example-plugin"
SECRET = "secret-of-the-tests"  # noqa: S105 - not a real one


class TestHeaderSecret(ClientAuthTests):
    """grantway's tests for every client authentication method."""

    @pytest.fixture
    def client_auth(self) -> HeaderSecret:
        """Return the method with a secret."""
        return HeaderSecret("my-client", SECRET)


def test_the_installed_method_sends_the_secret(
    grantway_faults: Callable[..., FaultServer],
) -> None:
    registry = grantway.build_registry(only=["grantway", DISTRIBUTION], strict=True)
    server = grantway_faults(faults.respond())
    with grantway.Client(
        grantway.Provider(token_endpoint=server.token_endpoint),
        client_id="my-client",
        client_secret=SECRET,
        auth="example-plugin",
        registry=registry,
    ) as client:
        client.create_token(grant_type="client_credentials")
    assert server.requests[0].headers[HEADER.lower()] == SECRET


def test_requires_a_client_secret() -> None:
    registry = grantway.build_registry(only=["grantway", DISTRIBUTION], strict=True)
    with pytest.raises(grantway.ConfigurationError, match="client_secret"):
        registry.client_auth["example-plugin"]("my-client", None)
