"""Resource indicators (RFC 8707): the audience of access tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from grantway import ConfigurationError
from grantway_plugins.grants.token_exchange import ACCESS_TOKEN, GRANT_TYPE as EXCHANGE
from grantway_plugins.issuer import IssuerServer, IssuerSettings, Resource
from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests.plugins.issuer.conftest import DEVICE, Caller, Clock, query_of

ORDERS, FILES, OTHER = "https://orders.example", "https://files.example/mcp", "https://x.example"


def audience_of(caller: Caller, token: str) -> list[str] | None:
    response = caller.as_rfc("/introspect", token=token).json()
    assert response["active"]
    audience: list[str] | None = response.get("aud")
    return audience


def error_of(response: requests.Response) -> str:
    assert response.status_code == 400, response.text
    error: str = response.json()["error"]
    return error


def test_a_login_without_resource_has_no_audience(rfc: Caller) -> None:
    assert audience_of(rfc, rfc.login()["access_token"]) is None


@pytest.mark.parametrize("resources", [[ORDERS], [ORDERS, FILES], [ORDERS, ORDERS]])
def test_the_resources_of_an_authorization_request_are_the_audience(
    rfc: Caller, resources: list[str]
) -> None:
    tokens = rfc.login(resource=resources)
    assert audience_of(rfc, tokens["access_token"]) == sorted(set(resources), reverse=True)
    refreshed = rfc.refresh(tokens["refresh_token"]).json()
    assert audience_of(rfc, refreshed["access_token"]) == sorted(set(resources), reverse=True)


def test_the_consent_page_names_the_resources(rfc: Caller) -> None:
    page = rfc.http.get(rfc.authorize_url(resource=[ORDERS, FILES])).text
    assert ORDERS in page
    assert FILES in page


def test_a_code_and_a_refresh_can_narrow_the_resources(rfc: Caller) -> None:
    code = rfc.sent_back(resource=[ORDERS, FILES])["code"]
    tokens = rfc.redeem(code, resource=FILES).json()
    assert audience_of(rfc, tokens["access_token"]) == [FILES]
    refreshed = rfc.refresh(tokens["refresh_token"], resource=ORDERS).json()
    assert audience_of(rfc, refreshed["access_token"]) == [ORDERS]
    every = rfc.refresh(refreshed["refresh_token"]).json()
    assert audience_of(rfc, every["access_token"]) == [ORDERS, FILES]


def test_a_resource_that_was_not_approved_spends_neither_code_nor_refresh_token(
    rfc: Caller,
) -> None:
    code = rfc.sent_back(resource=ORDERS)["code"]
    assert error_of(rfc.redeem(code, resource=[ORDERS, FILES])) == "invalid_target"
    tokens = rfc.redeem(code).json()
    refused = rfc.refresh(tokens["refresh_token"], resource=FILES)
    assert error_of(refused) == "invalid_target"
    assert "log in again" in refused.json()["error_description"]
    assert rfc.refresh(tokens["refresh_token"]).status_code == 200


def test_a_token_request_can_add_a_resource_to_a_login_without_one(rfc: Caller) -> None:
    tokens = rfc.login()
    refreshed = rfc.refresh(tokens["refresh_token"], resource=ORDERS).json()
    assert audience_of(rfc, refreshed["access_token"]) == [ORDERS]


def test_a_device_login_is_for_its_resources(rfc: Caller, driver: BrowserDriver) -> None:
    started = rfc.start(resource=[ORDERS, FILES])
    assert ORDERS in driver.visit(started["verification_uri_complete"])
    driver.approve_device(started["verification_uri_complete"])
    wrong = rfc.as_rfc(
        "/token", grant_type=DEVICE, device_code=started["device_code"], resource=OTHER
    )
    assert error_of(wrong) == "invalid_target"


def test_client_credentials_get_the_requested_resource(caller: Caller) -> None:
    caller.register_rfc(grant_types=["client_credentials"])
    token = caller.as_rfc("/token", grant_type="client_credentials", resource=[ORDERS, FILES])
    assert audience_of(caller, token.json()["access_token"]) == [ORDERS, FILES]


INVALID: list[Any] = [
    "orders",
    "/orders",
    "https://orders.example/#part",
    "https://orders.example/a b",
    "https://örders.example",
    "https://orders.example/\n",
    "https://[::1",
    f"https://orders.example/{'x' * 2048}",
    [f"https://orders.example/{number}" for number in range(21)],
    [ORDERS, "orders"],
]


@pytest.mark.parametrize("value", INVALID)
def test_an_invalid_resource_is_rejected_everywhere(rfc: Caller, value: Any) -> None:
    sent_back = rfc.http.get(rfc.authorize_url(resource=value), allow_redirects=False)
    assert query_of(sent_back.headers["location"])["error"] == "invalid_target"
    assert error_of(rfc.as_rfc("/device_authorization", resource=value)) == "invalid_target"
    tokens = rfc.login()
    assert error_of(rfc.refresh(tokens["refresh_token"], resource=value)) == "invalid_target"
    assert rfc.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("value", INVALID)
def test_an_invalid_resource_is_rejected_without_a_login(caller: Caller, value: Any) -> None:
    caller.register_rfc(grant_types=["client_credentials"])
    response = caller.as_rfc("/token", grant_type="client_credentials", resource=value)
    assert error_of(response) == "invalid_target"


def test_an_empty_resource_counts_as_omitted(rfc: Caller) -> None:
    """RFC 6749 section 3.1."""
    tokens = rfc.login(resource=["", ORDERS])
    assert audience_of(rfc, tokens["access_token"]) == [ORDERS]
    assert rfc.refresh(tokens["refresh_token"], resource="").status_code == 200


def test_aws_clients_have_no_resource(aws: Caller, driver: BrowserDriver) -> None:
    started = aws.as_aws("/device_authorization", startUrl="https://x", resource=7).json()
    driver.approve_device(started["verificationUriComplete"])
    token = aws.as_aws(
        "/token", grantType=DEVICE, deviceCode=started["deviceCode"], resource="nothing"
    )
    assert token.status_code == 200, token.text


SETTINGS = IssuerSettings(
    registration="unrestricted",
    resources=(
        Resource(ORDERS, scopes=("a",), access_token_lifetime=60),
        Resource(FILES, introspection_clients=("files-api",)),
    ),
)


@pytest.fixture
def listed(clock: Clock) -> Iterator[Caller]:
    """A client of an issuer that lists its resources."""
    with IssuerServer(SETTINGS, clock=clock) as running, Caller(running.url) as caller:
        yield caller.register_rfc()


def test_an_issuer_with_resources_rejects_others(listed: Caller) -> None:
    response = listed.http.get(listed.authorize_url(resource=OTHER), allow_redirects=False)
    assert query_of(response.headers["location"])["error"] == "invalid_target"
    # Identifiers are compared exactly.
    assert error_of(listed.as_rfc("/device_authorization", resource=f"{ORDERS}/")) == (
        "invalid_target"
    )


def test_a_token_has_only_the_scopes_and_the_lifetime_of_its_resource(listed: Caller) -> None:
    tokens = listed.login(resource=[ORDERS])
    assert tokens["scope"] == "a"
    assert tokens["expires_in"] == 60
    both = listed.login(resource=[ORDERS, FILES])
    assert both["scope"] == "a b"
    assert both["expires_in"] == 60
    files = listed.refresh(both["refresh_token"], resource=FILES).json()
    assert files["expires_in"] == 3600


def test_every_grant_limits_the_scopes_to_those_of_the_resource(listed: Caller) -> None:
    machine = listed.clone().register_rfc(grant_types=["client_credentials", EXCHANGE])
    one = machine.as_rfc("/token", grant_type="client_credentials", resource=ORDERS).json()
    assert one["scope"] == "a"
    wrong = machine.as_rfc("/token", grant_type="client_credentials", resource=ORDERS, scope="b")
    assert error_of(wrong) == "invalid_scope"
    every = machine.as_rfc("/token", grant_type="client_credentials").json()
    asked = {"subject_token": every["access_token"], "subject_token_type": ACCESS_TOKEN}
    for target in ({"resource": ORDERS}, {"audience": ORDERS}, {"audience": [ORDERS, "other"]}):
        response = machine.as_rfc("/token", grant_type=EXCHANGE, **asked, **target)
        assert response.json()["scope"] == "a"
        wrong = machine.as_rfc("/token", grant_type=EXCHANGE, **asked, **target, scope="b")
        assert error_of(wrong) == "invalid_scope"
    other = machine.as_rfc("/token", grant_type=EXCHANGE, **asked, audience="other")
    assert other.json()["scope"] == "a b"


def test_an_exchange_cannot_add_to_the_approved_resources(rfc: Caller) -> None:
    """A member of the audience can, as a resource server that calls another one."""
    client = rfc.clone().register_rfc(grant_types=["authorization_code", EXCHANGE])
    asked = {"grant_type": EXCHANGE, "subject_token_type": ACCESS_TOKEN}
    both = client.login(resource=[ORDERS, FILES])["access_token"]
    one = client.as_rfc("/token", subject_token=both, resource=ORDERS, **asked).json()
    assert audience_of(client, one["access_token"]) == [ORDERS]
    for target in ({"resource": FILES}, {"audience": "other"}, {"resource": [ORDERS, FILES]}):
        asked["subject_token"] = one["access_token"]
        assert error_of(client.as_rfc("/token", **asked, **target)) == "invalid_target"


def test_a_request_for_none_of_the_scopes_of_a_resource_loses_nothing(listed: Caller) -> None:
    code = listed.sent_back(resource=[ORDERS, FILES], scope="b")["code"]
    assert error_of(listed.redeem(code, resource=ORDERS)) == "invalid_scope"
    tokens = listed.redeem(code).json()
    refused = listed.refresh(tokens["refresh_token"], resource=ORDERS)
    assert error_of(refused) == "invalid_scope"
    assert listed.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"url": "orders"}, "url"),
        ({"url": 7}, "url"),
        ({"url": ORDERS, "scopes": ("a b",)}, "scopes"),
        ({"url": ORDERS, "access_token_format": "JWT"}, "access_token_format"),
        ({"url": ORDERS, "access_token_lifetime": 0}, "access_token_lifetime"),
        ({"url": ORDERS, "introspection_clients": "files-api"}, "introspection_clients"),
    ],
)
def test_an_invalid_setting_is_named(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Resource(**options)
    assert set(caught.value.errors) == {name}


@pytest.mark.parametrize("resources", [[Resource(ORDERS)], (ORDERS,), (Resource(ORDERS),) * 2])
def test_resources_must_be_a_tuple_without_duplicates(resources: Any) -> None:
    with pytest.raises(ConfigurationError, match="resources"):
        IssuerSettings(resources=resources)
