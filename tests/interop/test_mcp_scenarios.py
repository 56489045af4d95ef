"""All scenarios about authorization and gateways run, and the documented results are correct."""

from __future__ import annotations

import json
import re
from importlib.metadata import version

import pytest

from tests.docs.pages import DOCS
from tests.interop import (
    mcp_scenarios,
    node_packages,
    test_mcp_python,
    test_mcp_resource_servers,
)
from tests.interop.mcp_conformance import listed
from tests.interop.mcp_scenarios import CLIENT_KINDS, FEATURES

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


PAGE = (DOCS / "explanation" / "mcp-conformance.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("command", "scenarios", "repeated"),
    [
        ("client", mcp_scenarios.CLIENT, 1),
        ("authorization", mcp_scenarios.AUTHORIZATION_SERVER, len(CLIENT_KINDS)),
        ("server", mcp_scenarios.SERVER, 1),
    ],
)
def test_the_documented_numbers_are_those_of_the_tests(
    command: str, scenarios: dict[str, tuple[str, ...]], repeated: int
) -> None:
    """Each run is a test, so all of them pass if the tests do."""
    runs = repeated * len(mcp_scenarios.runs(scenarios))
    [row] = re.findall(rf"^\| `{command}` \| [^|]+ \| (.*) \|$", PAGE, re.MULTILINE)
    assert row == f"{len(scenarios)} | {runs} | {runs}"


def test_the_documented_versions_are_those_of_the_tests() -> None:
    packages = json.loads((node_packages.FOLDER / "package.json").read_text())["dependencies"]
    assert f"version {packages['@modelcontextprotocol/conformance']}," in PAGE
    assert f"TypeScript ({packages['@modelcontextprotocol/sdk']})" in PAGE
    # The newest versions of the Python packages are installed; a new major version has new results.
    for name, shown in {"mcp": "for Python", "fastmcp": "FastMCP"}.items():
        major = version(name).split(".")[0]
        assert f"{shown} ({major}." in PAGE


def test_the_page_has_a_row_for_each_client_and_server() -> None:
    rows = re.findall(r"^\| (.*) \|$", PAGE, re.MULTILINE)
    passed = [each.count("passed") for each in rows if each.endswith("| passed")]
    servers = len(test_mcp_python.SERVERS)
    clients = [servers] * (len(test_mcp_python.CLIENTS) + 1)  # and the SDK for TypeScript
    assert passed == [*clients, *[1] * len(test_mcp_resource_servers.SERVERS)]
