"""No scenario of MCP's conformance tests that concerns authorization is left out."""

from __future__ import annotations

import pytest

from tests.interop import mcp_scenarios
from tests.interop.mcp_conformance import listed

pytestmark = pytest.mark.slow


def test_all_scenarios_of_clients_run() -> None:
    found = listed("client")
    named = {name.removeprefix("auth/"): each for name, each in found.items() if "auth/" in name}
    assert named == mcp_scenarios.CLIENT


def test_all_scenarios_of_authorization_servers_run() -> None:
    assert listed("authorization") == mcp_scenarios.AUTHORIZATION_SERVER
