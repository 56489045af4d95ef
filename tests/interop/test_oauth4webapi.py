"""oauth4webapi logs in to the issuer with pushed requests and DPoP."""

from __future__ import annotations

import pytest

import grantway
from grantway_plugins.issuer import BrowserDriver, IssuerServer, IssuerSettings
from tests.interop import node_packages
from tests.interop.program import STARTUP_SECONDS, Program
from tests.plugins.issuer.whoami import WhoAmIPlugin

CALLBACK = "http://127.0.0.1:54321/callback"


@pytest.mark.parametrize(
    ("method", "settings", "rotated", "nonces"),
    [
        ("none", IssuerSettings(registration="unrestricted"), True, 0),
        (
            "private_key_jwt",
            IssuerSettings(registration="unrestricted", fapi2=True, dpop_require_nonce=True),
            False,
            1,
        ),
    ],
    ids=["public client", "FAPI 2.0 with nonces"],
)
def test_logs_in_with_par_and_dpop(
    method: str, settings: IssuerSettings, rotated: bool, nonces: int
) -> None:
    node_packages.install()
    registry = grantway.build_registry({"whoami": WhoAmIPlugin()})
    program = Program([node_packages.NODE, "oauth4webapi_login.mjs"], cwd=node_packages.FOLDER)
    with IssuerServer(settings, registry=registry) as server, program, BrowserDriver() as driver:
        program.write_json(
            {
                "issuer": server.url,
                "resource": f"{server.url}/whoami",
                "redirect_uri": CALLBACK,
                "method": method,
            }
        )
        url = program.read_json(STARTUP_SECONDS)["url"]
        program.write_json({"callback": driver.approve_authorization(url)})
        assert program.read_json() == {
            "types": ["dpop", "dpop"],  # oauth4webapi normalises the type
            "rotated": rotated,
            "answer": {"sub": "local-user"},
            "rejected": 401,
            "nonces": nonces,
        }
