"""Refresh tokens: rotation, reuse, binding, scope and lifetime."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from grantway_plugins.issuer import IssuerServer, IssuerSettings, Lifetimes
from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests.plugins.issuer.conftest import Caller, Clock


def refused(response: requests.Response, error: str = "invalid_grant") -> None:
    assert (response.status_code, response.json()["error"]) == (400, error)


def test_every_refresh_issues_new_valid_tokens(rfc: Caller) -> None:
    first = rfc.login()
    second = rfc.refresh(first["refresh_token"]).json()
    third = rfc.refresh(second["refresh_token"]).json()
    assert len({first["refresh_token"], second["refresh_token"], third["refresh_token"]}) == 3
    assert rfc.active(third["access_token"])
    assert third["token_type"] == "Bearer"
    assert third["expires_in"] == 3600


def test_accepts_a_replaced_token_within_the_window(rfc: Caller, clock: Clock) -> None:
    first = rfc.login()["refresh_token"]
    one = rfc.refresh(first).json()["refresh_token"]
    clock.tick(29)
    other = rfc.refresh(first).json()["refresh_token"]
    clock.tick(3600)
    for successor in (one, other):
        assert rfc.refresh(successor).status_code == 200


def test_reuse_after_the_window_revokes_the_family(rfc: Caller, clock: Clock) -> None:
    tokens = rfc.login()
    newest = rfc.refresh(tokens["refresh_token"]).json()
    clock.tick(30)
    refused(rfc.refresh(tokens["refresh_token"]))
    refused(rfc.refresh(newest["refresh_token"]))
    assert not rfc.active(tokens["access_token"])
    assert not rfc.active(newest["access_token"])


def test_accepts_a_replaced_token_within_the_window_after_its_successor_was_used(
    rfc: Caller, clock: Clock
) -> None:
    first = rfc.login()["refresh_token"]
    second = rfc.refresh(first).json()["refresh_token"]
    third = rfc.refresh(second).json()["refresh_token"]
    clock.tick(29)
    late = rfc.refresh(first).json()["refresh_token"]
    clock.tick(3600)
    for newest in (third, late):
        assert rfc.refresh(newest).status_code == 200


def test_reuse_after_the_window_revokes_every_branch(rfc: Caller, clock: Clock) -> None:
    first = rfc.login()["refresh_token"]
    branches = [rfc.refresh(first).json()["refresh_token"] for _ in range(2)]
    clock.tick(30)
    refused(rfc.refresh(first))
    for branch in branches:
        refused(rfc.refresh(branch))


def test_setting_the_clock_back_does_not_reopen_the_window(rfc: Caller, clock: Clock) -> None:
    first = rfc.login()["refresh_token"]
    second = rfc.refresh(first).json()["refresh_token"]
    clock.tick(3600)
    third = rfc.refresh(second).json()["refresh_token"]
    clock.tick(-3590)  # ten seconds after the first refresh, by the wall clock
    refused(rfc.refresh(first))
    refused(rfc.refresh(third))


def test_a_restart_with_the_clock_set_back_does_not_reopen_the_window(
    clock: Clock, tmp_path: Path
) -> None:
    settings = IssuerSettings(registration="unrestricted")
    stored = tmp_path / "issuer.db"
    with (
        IssuerServer(settings, database=stored, clock=clock) as server,
        Caller(server.url) as rfc,
    ):
        first = rfc.register_rfc().login()["refresh_token"]
        second = rfc.refresh(first).json()["refresh_token"]
        clock.tick(3600)
        third = rfc.refresh(second).json()["refresh_token"]
    clock.tick(-3590)
    with IssuerServer(settings, database=stored, clock=clock) as server:
        rfc = rfc.clone()
        rfc.url = server.url
        with rfc:
            refused(rfc.refresh(first))
            refused(rfc.refresh(third))


def test_setting_the_clock_back_does_not_revoke_a_login(rfc: Caller, clock: Clock) -> None:
    token = rfc.login()["refresh_token"]
    for _ in range(3):
        clock.tick(-3600)
        token = rfc.refresh(token).json()["refresh_token"]
    assert rfc.refresh(token).status_code == 200


@pytest.mark.slow
def test_tools_that_share_a_login_can_refresh_at_random_times(rfc: Caller, clock: Clock) -> None:
    """Each tool uses the token that it read last, like AWS tools that share a cache file."""
    cached = rfc.login()["refresh_token"]
    chance = random.Random(7)
    for _ in range(20):
        read = [cached] * 8
        for _ in range(24):
            tool = chance.randrange(8)
            response = rfc.refresh(read[tool])
            assert response.status_code == 200, response.text
            cached = response.json()["refresh_token"]
            read[tool] = cached if chance.random() < 0.5 else read[tool]
            clock.tick(1)
        clock.tick(600)


def test_parallel_refreshes_of_one_token_all_get_valid_tokens(
    rfc: Caller, server: IssuerServer, clock: Clock
) -> None:
    first = rfc.login()["refresh_token"]

    def refresh(_number: int) -> requests.Response:
        with rfc.clone() as other:
            return other.refresh(first)

    with ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(refresh, range(32)))
    successors = {response.json()["refresh_token"] for response in responses}
    assert len(successors) == 32
    clock.tick(60)
    assert {rfc.refresh(each).status_code for each in successors} == {200}


def test_parallel_reuse_without_a_window_revokes_the_family(clock: Clock) -> None:
    settings = IssuerSettings(lifetimes=Lifetimes(refresh_reuse_window=0))
    with IssuerServer(settings, clock=clock) as strict:
        from_scratch = Caller(strict.url).register_rfc()
        first = from_scratch.login()["refresh_token"]
        with ThreadPoolExecutor(8) as pool:
            responses = list(pool.map(lambda _: from_scratch.refresh(first), range(8)))
        won = [response for response in responses if response.status_code == 200]
        assert len(won) == 1
        refused(from_scratch.refresh(won[0].json()["refresh_token"]))
        from_scratch.http.close()


def test_scope_can_be_narrowed_but_not_widened(rfc: Caller) -> None:
    first = rfc.login()
    narrow = rfc.refresh(first["refresh_token"], scope="b").json()
    assert narrow["scope"] == "b"
    refused(rfc.refresh(narrow["refresh_token"], scope="a c"), "invalid_scope")
    assert rfc.refresh(narrow["refresh_token"]).json()["scope"] == "a b"


def test_a_rejected_scope_does_not_replace_the_token(rfc: Caller, clock: Clock) -> None:
    first = rfc.login()["refresh_token"]
    refused(rfc.refresh(first, scope="c"), "invalid_scope")
    clock.tick(3600)
    assert rfc.refresh(first).status_code == 200


def test_a_refresh_token_is_bound_to_its_client(rfc: Caller, aws: Caller) -> None:
    mine = rfc.login()["refresh_token"]
    refused(aws.as_aws("/token", grantType="refresh_token", refreshToken=mine))
    assert rfc.refresh(mine).status_code == 200


def test_refreshing_does_not_extend_the_lifetime_of_the_family(clock: Clock) -> None:
    with IssuerServer(
        IssuerSettings(lifetimes=Lifetimes(refresh_family=100)), clock=clock
    ) as short:
        client = Caller(short.url).register_rfc()
        token = client.login()["refresh_token"]
        clock.tick(99)
        response = client.refresh(token).json()
        assert response["expires_in"] == 1
        clock.tick(1)
        refused(client.refresh(response["refresh_token"]))
        client.http.close()


def test_a_client_without_the_grant_gets_no_refresh_token(caller: Caller) -> None:
    caller.register_rfc(grant_types=["authorization_code"])
    assert "refresh_token" not in caller.login()
    refused(caller.refresh("anything"), "unauthorized_client")


def test_aws_scope_has_no_effect_and_every_response_has_a_refresh_token(
    aws: Caller, driver: BrowserDriver
) -> None:
    started = aws.as_aws("/device_authorization", startUrl="https://d-1.awsapps.com/start").json()
    driver.approve_device(started["verificationUriComplete"])
    tokens = aws.as_aws(
        "/token",
        grantType="urn:ietf:params:oauth:grant-type:device_code",
        deviceCode=started["deviceCode"],
    ).json()
    response = aws.as_aws(
        "/token", grantType="refresh_token", refreshToken=tokens["refreshToken"], scope=["nope"]
    )
    assert response.status_code == 200
    assert set(response.json()) == {"accessToken", "tokenType", "expiresIn", "refreshToken"}


@pytest.mark.parametrize("token", ["unknown", "gwr_" + "A" * 43])
def test_an_unknown_token_is_invalid_grant(rfc: Caller, token: str) -> None:
    refused(rfc.refresh(token))
