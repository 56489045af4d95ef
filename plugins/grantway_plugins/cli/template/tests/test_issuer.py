"""The grant with grantway's client and issuer, over a real socket."""

import grantway
import pytest
from grantway.testing import Register
from grantway_plugins.testing import LiveIssuer

from example_grant import GRANT_TYPE, VOUCHER
from example_grant.issuer import Vouchers


@pytest.fixture
def client(grantway_register: Register, grantway_issuer: LiveIssuer) -> grantway.Client:
    """Return a client of an issuer that knows one voucher."""
    grantway_register(VOUCHER, issuer=Vouchers({"SPRING-2031": "user-1"}))
    return grantway_issuer.client(scope=["read"])


def test_issues_a_token_for_a_voucher(client: grantway.Client) -> None:
    token = client.create_token(grant_type=GRANT_TYPE, voucher="SPRING-2031", scope=["read"])
    assert token.access_token
    assert token.scope == ("read",)


def test_rejects_a_voucher_that_was_used(client: grantway.Client) -> None:
    client.create_token(grant_type=GRANT_TYPE, voucher="SPRING-2031")
    with pytest.raises(grantway.InvalidGrantException, match="was used before"):
        client.create_token(grant_type=GRANT_TYPE, voucher="SPRING-2031")


def test_rejects_an_unknown_voucher(client: grantway.Client) -> None:
    with pytest.raises(grantway.InvalidGrantException, match="is unknown"):
        client.create_token(grant_type=GRANT_TYPE, voucher="AUTUMN-2031")


def test_rejecting_a_scope_does_not_use_up_the_voucher(client: grantway.Client) -> None:
    with pytest.raises(grantway.InvalidScopeException):
        client.create_token(grant_type=GRANT_TYPE, voucher="SPRING-2031", scope=["write"])
    assert client.create_token(grant_type=GRANT_TYPE, voucher="SPRING-2031")


def test_a_request_without_a_voucher_is_not_sent(client: grantway.Client) -> None:
    with pytest.raises(grantway.RequestInvalidError, match="voucher is required"):
        client.create_token(grant_type=GRANT_TYPE)
