"""grantway as the OAuth client of an MCP client, judged by MCP's conformance tests.

Each scenario starts an authorization server and an MCP server, and checks the requests that they
receive.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.interop import mcp_scenarios
from tests.interop.mcp_conformance import judge_client

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("scenario", "version"), mcp_scenarios.runs(mcp_scenarios.CLIENT))
def test_passes_the_conformance_tests_of_clients(
    tmp_path: Path, scenario: str, version: str
) -> None:
    module = "mcp_configured_client" if version == "2025-03-26" else "mcp_client"
    checks = judge_client(
        f"{sys.executable} -m tests.interop.{module}",
        f"auth/{scenario}",
        version,
        tmp_path,
        {"PYTHONPATH": str(ROOT)},
    )
    assert set(checks.values()) <= {"SUCCESS", "INFO"}, checks
    assert "SUCCESS" in checks.values()
