"""No scenario of MCP's conformance tests that concerns authorization or a gateway is left out."""

from __future__ import annotations

import pytest

from tests.interop import mcp_scenarios
from tests.interop.mcp_conformance import listed
from tests.interop.mcp_scenarios import FEATURES

pytestmark = pytest.mark.slow


def test_all_scenarios_of_clients_run() -> None:
    found = listed("client")
    named = {name.removeprefix("auth/"): each for name, each in found.items() if "auth/" in name}
    assert named == mcp_scenarios.CLIENT


def test_all_scenarios_of_authorization_servers_run() -> None:
    assert listed("authorization") == mcp_scenarios.AUTHORIZATION_SERVER


def test_all_scenarios_of_servers_that_depend_on_http_run() -> None:
    found = listed("server")
    chosen = {name: each for name, each in found.items() if not name.startswith(FEATURES)}
    assert chosen == mcp_scenarios.SERVER
    for start in FEATURES:
        assert any(name.startswith(start) for name in found), start
