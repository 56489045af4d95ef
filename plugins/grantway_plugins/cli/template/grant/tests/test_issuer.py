"""The grant with grantway's client and issuer, over a real socket."""

import grantway
import pytest
from grantway.testing import Register
from grantway_plugins.testing import LiveIssuer

from example_plugin import GRANT, GRANT_TYPE
from example_plugin.issuer import IssuerSide


@pytest.fixture
def client(grantway_register: Register, grantway_issuer: LiveIssuer) -> grantway.Client:
    """Return a client of an issuer that knows one value."""
    grantway_register(GRANT, issuer=IssuerSide({"value-1": "user-1"}))
    return grantway_issuer.client(scope=["read"])


def test_issues_a_token(client: grantway.Client) -> None:
    scope = ["read"]
    token = client.create_token(grant_type=GRANT_TYPE, example_parameter="value-1", scope=scope)
    assert token.access_token
    assert token.scope == ("read",)


def test_rejects_a_value_that_was_used(client: grantway.Client) -> None:
    client.create_token(grant_type=GRANT_TYPE, example_parameter="value-1")
    with pytest.raises(grantway.InvalidGrantException, match="was used before"):
        client.create_token(grant_type=GRANT_TYPE, example_parameter="value-1")


def test_rejects_an_unknown_value(client: grantway.Client) -> None:
    with pytest.raises(grantway.InvalidGrantException, match="is unknown"):
        client.create_token(grant_type=GRANT_TYPE, example_parameter="value-2")


def test_rejecting_a_scope_does_not_use_up_the_value(client: grantway.Client) -> None:
    with pytest.raises(grantway.InvalidScopeException):
        client.create_token(grant_type=GRANT_TYPE, example_parameter="value-1", scope=["write"])
    assert client.create_token(grant_type=GRANT_TYPE, example_parameter="value-1")


def test_a_request_without_the_parameter_is_not_sent(client: grantway.Client) -> None:
    with pytest.raises(grantway.RequestInvalidError, match="example_parameter is required"):
        client.create_token(grant_type=GRANT_TYPE)
