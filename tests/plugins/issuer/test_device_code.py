"""The device flow: order of checks, and polling."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from grantway._exceptions import FlowError
from grantway_plugins.issuer import IssuerServer
from grantway_plugins.issuer._browser_driver import BrowserDriver
from grantway_plugins.issuer._http.endpoints import device_authorization
from tests.plugins.issuer.conftest import Caller, Clock


def said(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


PENDING = (400, "authorization_pending")
SLOW_DOWN = (400, "slow_down")


def test_a_code_is_pending_then_approved_then_redeemed_once(
    rfc: Caller, driver: BrowserDriver, clock: Clock
) -> None:
    started = rfc.start()
    assert said(rfc.poll(started["device_code"])) == PENDING
    clock.tick(5)
    driver.approve_device(started["verification_uri_complete"])
    response = rfc.poll(started["device_code"])
    assert response.json()["scope"] == "a b"
    assert rfc.active(response.json()["access_token"])
    clock.tick(5)
    assert said(rfc.poll(started["device_code"])) == (400, "invalid_grant")
    assert rfc.active(response.json()["access_token"])


def test_codes_have_the_documented_format(rfc: Caller) -> None:
    started = rfc.start()
    assert re.fullmatch(
        r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", started["user_code"]
    )
    assert started["verification_uri"] == f"{rfc.url}/device"
    assert started["verification_uri_complete"].endswith(f"?user_code={started['user_code']}")
    assert (started["expires_in"], started["interval"]) == (600, 5)


def test_a_user_code_is_unique_among_stored_codes(
    rfc: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(["BBBBBBBB", "BBBBBBBB", "BBBBBBBB", "CCCCCCCC"])
    monkeypatch.setattr(device_authorization, "new_user_code", lambda: next(drawn))
    assert [rfc.start()["user_code"] for _ in range(2)] == ["BBBB-BBBB", "CCCC-CCCC"]


def test_polling_too_early_increases_the_interval(rfc: Caller, clock: Clock) -> None:
    code = rfc.start()["device_code"]
    rfc.poll(code)
    clock.tick(4)
    assert said(rfc.poll(code)) == SLOW_DOWN  # from now on 10 seconds
    clock.tick(9)
    assert said(rfc.poll(code)) == SLOW_DOWN  # 15
    clock.tick(14)
    assert said(rfc.poll(code)) == SLOW_DOWN  # 20
    clock.tick(20)
    assert said(rfc.poll(code)) == PENDING
    clock.tick(19)
    assert said(rfc.poll(code)) == SLOW_DOWN


def test_accepts_a_second_poll_of_an_aws_client_within_a_second(aws: Caller, clock: Clock) -> None:
    code = aws.start(start_url="https://d-1.awsapps.com/start")["device_code"]
    responses = []
    for pause in (0, 0.01, 0.01):
        clock.tick(pause)
        responses.append(said(aws.poll(code)))
    assert responses == [PENDING, PENDING, SLOW_DOWN]


def test_rejects_a_second_poll_of_an_aws_client_after_a_second(aws: Caller, clock: Clock) -> None:
    code = aws.start()["device_code"]
    aws.poll(code)
    clock.tick(1)
    assert said(aws.poll(code)) == SLOW_DOWN


def test_denied_is_final(rfc: Caller, driver: BrowserDriver) -> None:
    started = rfc.start()
    driver.deny_device(started["verification_uri"], started["user_code"])
    assert said(rfc.poll(started["device_code"])) == (400, "access_denied")
    with pytest.raises(FlowError):
        driver.approve_device(started["verification_uri_complete"])
    assert said(rfc.poll(started["device_code"])) == (400, "access_denied")


def test_an_expired_code_is_reported_as_expired(
    rfc: Caller, server: IssuerServer, clock: Clock
) -> None:
    code = rfc.start()["device_code"]
    clock.tick(600)
    server.store.run(lambda transaction: transaction.prune(clock()))
    assert said(rfc.poll(code)) == (400, "expired_token")


def test_the_order_of_checks(rfc: Caller, aws: Caller, driver: BrowserDriver, clock: Clock) -> None:
    """Client binding, denied, expired, slow_down, pending, approved."""
    denied, left = rfc.start(), rfc.start()
    assert said(aws.poll(denied["device_code"])) == (400, "invalid_grant")
    driver.deny_device(denied["verification_uri_complete"])
    rfc.poll(left["device_code"])
    clock.tick(600)
    assert said(rfc.poll(denied["device_code"])) == (400, "access_denied")
    assert said(rfc.poll(left["device_code"])) == (400, "expired_token")
    approved = rfc.start()
    rfc.poll(approved["device_code"])
    driver.approve_device(approved["verification_uri_complete"])
    assert said(rfc.poll(approved["device_code"])) == SLOW_DOWN
    clock.tick(10)
    assert rfc.poll(approved["device_code"]).status_code == 200


def test_one_of_several_parallel_redemptions_succeeds(rfc: Caller, driver: BrowserDriver) -> None:
    started = rfc.start()
    driver.approve_device(started["verification_uri_complete"])

    def poll(_number: int) -> requests.Response:
        with rfc.clone() as other:
            return other.poll(started["device_code"])

    with ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(poll, range(32)))
    won = [response for response in responses if response.status_code == 200]
    assert len(won) == 1
    assert rfc.active(won[0].json()["access_token"])


def test_rejects_a_scope_that_the_client_did_not_register(
    rfc: Caller, driver: BrowserDriver
) -> None:
    assert said(rfc.as_rfc("/device_authorization", scope="a c")) == (400, "invalid_scope")
    started = rfc.start(scope="a")
    driver.approve_device(started["verification_uri_complete"])
    assert rfc.poll(started["device_code"]).json()["scope"] == "a"


def test_a_client_without_the_grant_is_unauthorized(caller: Caller) -> None:
    caller.register_rfc(grant_types=["refresh_token"])
    assert said(caller.as_rfc("/device_authorization")) == (400, "unauthorized_client")
    assert said(caller.poll("x")) == (400, "unauthorized_client")


def test_start_url_is_required_from_aws_clients(aws: Caller) -> None:
    response = aws.as_aws("/device_authorization")
    assert said(response) == (400, "invalid_request")
    assert "startUrl" in response.json()["error_description"]
