"""Flows of openid-client, which verifies the ID tokens and other responses of the issuer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from grantway_plugins.issuer import BrowserDriver, IssuerServer, IssuerSettings, Lifetimes
from tests.interop.node_flows import NodeFlows
from tests.plugins.issuer.login.conftest import issuer_with_login, log_in
from tests.plugins.issuer.login.visitor import Visitor


@pytest.fixture(scope="module")
def openid_client() -> Iterator[NodeFlows]:
    with NodeFlows("openid_client_flows.mjs") as flows:
        yield flows


def visiting(visitor: Visitor) -> Callable[[str], str]:
    """Return a function that opens a page, logs in, approves, and returns the redirect."""

    def visit(url: str) -> str:
        page = visitor.open(url)
        if "<h1>Log in</h1>" in page.text:
            page = visitor.submit(log_in(visitor, page), decision="approve")
        return page.url

    return visit


@pytest.mark.parametrize("fapi2", [False, True], ids=["client secret", "FAPI 2.0 with nonces"])
def test_logs_in_and_out_with_openid_connect(openid_client: NodeFlows, fapi2: bool) -> None:
    began = int(time.time())
    with (
        issuer_with_login(time.time, fapi2=fapi2, dpop_require_nonce=fapi2) as server,
        Visitor("http://127.0.0.1:54321/") as visitor,
    ):
        result = openid_client.run(
            "openid", visit=visiting(visitor), issuer=server.url, fapi2=fapi2
        )
    claims = result["claims"]
    assert claims["sub"] == "ada"
    assert began <= claims["auth_time"] <= time.time()
    assert result["user"] == {"sub": "ada", "name": "Ada"}
    same = ("iss", "sub", "aud", "auth_time", "sid")
    assert {name: result["refreshed"][name] for name in same} == {
        name: claims[name] for name in same
    }
    assert result["type"] == ("dpop" if fapi2 else "bearer")
    assert result["introspected"]["client_id"] == result["clientId"]
    assert ("jkt" in result["introspected"].get("cnf", {})) is fapi2
    assert result["revoked"] == {"active": False}
    assert result["loggedOut"] is True


def test_logs_in_on_a_device(openid_client: NodeFlows) -> None:
    settings = IssuerSettings(registration="unrestricted", lifetimes=Lifetimes(device_interval=0))
    with IssuerServer(settings) as server, BrowserDriver() as driver:
        result = openid_client.run("device", visit=driver.approve_device, issuer=server.url)
    assert result["scope"] == "openid read"
    assert result["claims"]["sub"] == result["user"]["sub"] == "local-user"
