"""oauth4webapi logs a user in to the issuer with OpenID Connect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from grantway_plugins.issuer import BrowserDriver, IssuerServer, IssuerSettings, KeySettings
from tests.interop import node_packages
from tests.interop.program import STARTUP_SECONDS, Program

CALLBACK = "http://127.0.0.1:54321/callback"


@pytest.fixture(scope="module")
def server() -> Iterator[IssuerServer]:
    keys = KeySettings(algorithms=("ES256", "EdDSA", "PS256"))
    settings = IssuerSettings(registration="unrestricted", keys=keys)
    with IssuerServer(settings) as running:
        yield running


@pytest.mark.parametrize("alg", [None, "EdDSA", "PS256"])
def test_oauth4webapi_logs_in(server: IssuerServer, alg: str | None) -> None:
    node_packages.install()
    metadata: dict[str, Any] = {} if alg is None else {"id_token_signed_response_alg": alg}
    program = Program([node_packages.NODE, "openid_login.mjs"], cwd=node_packages.FOLDER)
    with program, BrowserDriver() as driver:
        program.write_json({"issuer": server.url, "redirect_uri": CALLBACK, "metadata": metadata})
        url = program.read_json(STARTUP_SECONDS)["url"]
        program.write_json({"callback": driver.approve_authorization(url)})
        assert program.read_json() == {
            "alg": alg or "ES256",
            "user": {"sub": "local-user"},
            "same": True,
        }
