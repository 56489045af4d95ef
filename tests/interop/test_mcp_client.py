"""grantway as the OAuth client of an MCP client, judged by MCP's conformance tests.

Each scenario starts an authorization server and an MCP server, and checks the requests that they
receive.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.interop.mcp_conformance import judge_client

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
#: The scenarios of authorization, except the two of the superseded protocol 2025-03-26.
SCENARIOS = (
    "metadata-default",
    "metadata-var1",
    "metadata-var2",
    "metadata-var3",
    "metadata-issuer-mismatch",
    "basic-cimd",
    "pre-registration",
    "scope-from-www-authenticate",
    "scope-from-scopes-supported",
    "scope-omitted-when-undefined",
    "scope-step-up",
    "scope-retry-limit",
    "offline-access-scope",
    "offline-access-not-supported",
    "token-endpoint-auth-basic",
    "token-endpoint-auth-post",
    "token-endpoint-auth-none",
    "resource-mismatch",
    "authorization-server-migration",
    "iss-supported",
    "iss-not-advertised",
    "iss-supported-missing",
    "iss-wrong-issuer",
    "iss-unexpected",
    "iss-normalized",
    "client-credentials-jwt",
    "client-credentials-basic",
    "enterprise-managed-authorization",
    "dpop",
    "dpop-nonce",
    "wif-jwt-bearer",
)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_passes_the_conformance_tests_of_clients(tmp_path: Path, scenario: str) -> None:
    checks = judge_client(
        f"{sys.executable} -m tests.interop.mcp_client",
        f"auth/{scenario}",
        tmp_path,
        {"PYTHONPATH": str(ROOT)},
    )
    assert set(checks.values()) <= {"SUCCESS", "INFO"}, checks
    assert "SUCCESS" in checks.values()
