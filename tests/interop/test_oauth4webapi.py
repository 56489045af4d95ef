"""Flows of oauth4webapi, which verifies every response of the issuer.

Some results are only compared in part, because the library has checked the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jwt
import pytest

import grantway
from grantway_plugins.issuer import (
    BrowserDriver,
    IssuerServer,
    IssuerSettings,
    KeySettings,
    Lifetimes,
)
from tests.interop.node_flows import NodeFlows
from tests.plugins.issuer.whoami import WhoAmIPlugin

API = "https://api.example.com/"
SETTINGS: dict[str, Any] = {
    "registration": "unrestricted",
    "access_token_format": "jwt",
    "lifetimes": Lifetimes(device_interval=0),
}


@pytest.fixture(scope="module")
def oauth4webapi() -> Iterator[NodeFlows]:
    with NodeFlows("oauth4webapi_flows.mjs") as flows:
        yield flows


@pytest.fixture(scope="module")
def server() -> Iterator[IssuerServer]:
    """An issuer that signs with an algorithm of each kind."""
    keys = KeySettings(enabled=True, algorithms=("ES256", "EdDSA", "PS256"))
    with IssuerServer(IssuerSettings(**SETTINGS, keys=keys)) as running:
        yield running


@pytest.fixture
def driver() -> Iterator[BrowserDriver]:
    with BrowserDriver() as driver:
        yield driver


@pytest.mark.parametrize(
    ("method", "fapi2", "nonces"),
    [("none", False, 0), ("private_key_jwt", True, 1)],
    ids=["public client", "FAPI 2.0 with nonces"],
)
def test_logs_in_with_par_and_dpop(
    oauth4webapi: NodeFlows,
    driver: BrowserDriver,
    method: str,
    fapi2: bool,
    nonces: int,
) -> None:
    settings = IssuerSettings(**SETTINGS, fapi2=fapi2, dpop_require_nonce=fapi2)
    registry = grantway.build_registry({"whoami": WhoAmIPlugin()})
    with IssuerServer(settings, registry=registry) as server:
        result = oauth4webapi.run(
            "login",
            visit=driver.approve_authorization,
            issuer=server.url,
            method=method,
            resource=f"{server.url}/whoami",
        )
    claims = result.pop("claims")
    assert (claims["status"], claims["aud"], claims["scope"]) == (200, API, "read")
    assert list(claims["cnf"]) == ["jkt"]
    assert result == {
        "types": ["dpop", "dpop"],  # oauth4webapi normalises the type
        "rotated": not fapi2,
        "nonces": nonces,
        "withAnotherKey": "JWT Access Token confirmation mismatch",
        "withoutProof": "operation indicated DPoP use but the request has no DPoP HTTP Header",
        "own": {"sub": "local-user"},
        "ownWithoutProof": 401,
        "ownForAnotherAudience": 401,
    }


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "private_key_jwt"])
def test_logs_in_on_a_device(
    oauth4webapi: NodeFlows, server: IssuerServer, driver: BrowserDriver, method: str
) -> None:
    result = oauth4webapi.run(
        "device", visit=driver.approve_device, issuer=server.url, method=method
    )
    claims = result.pop("claims")
    assert (claims["status"], claims["aud"], claims["sub"]) == (200, API, "local-user")
    assert result == {
        "pending": "authorization_pending",
        "revoked": "invalid_grant",
        "scope": "read",
        "interval": 1,
    }


@pytest.mark.parametrize(
    ("algorithm", "signed"),
    [("ES256", None), ("PS256", "PS256"), ("Ed25519", "EdDSA"), ("ES256", "ES256")],
)
def test_signs_assertions_and_verifies_signed_introspection(
    oauth4webapi: NodeFlows, server: IssuerServer, algorithm: str, signed: str | None
) -> None:
    result = oauth4webapi.run(
        "introspection", issuer=server.url, algorithm=algorithm, signed=signed
    )
    claims = result["claims"]
    assert claims["status"] == 200
    assert result["introspected"]["active"] is True
    assert result["introspected"]["client_id"] == claims["client_id"]
    assert result["introspected"]["exp"] == claims["exp"]
    assert result["unknown"] == {"active": False}


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256"])
def test_logs_in_with_openid_connect(
    oauth4webapi: NodeFlows, server: IssuerServer, driver: BrowserDriver, algorithm: str
) -> None:
    result = oauth4webapi.run(
        "openid", visit=driver.approve_authorization, issuer=server.url, algorithm=algorithm
    )
    # The library has checked the other claims, and demands auth_time for max_age.
    assert result["claims"]["sub"] == result["user"]["sub"] == "local-user"
    assert result["claims"]["auth_time"] == result["refreshed"]["auth_time"]
    assert "nonce" not in result["refreshed"]


def test_a_denied_login_has_an_error_with_the_issuer(
    oauth4webapi: NodeFlows, server: IssuerServer, driver: BrowserDriver
) -> None:
    result = oauth4webapi.run("denied", visit=driver.deny_authorization, issuer=server.url)
    assert result == "access_denied"


def test_exchanges_a_token_for_a_jwt(oauth4webapi: NodeFlows, server: IssuerServer) -> None:
    audience = "https://other.example.com"
    result = oauth4webapi.run("exchange", issuer=server.url, audience=audience)
    assert result["type"] == "urn:ietf:params:oauth:token-type:jwt"
    assert result["tokenType"] == "n_a"
    key = jwt.PyJWKClient(f"{server.url}/jwks").get_signing_key_from_jwt(result["token"])
    claims = jwt.decode(
        result["token"], key, algorithms=["ES256"], audience=audience, issuer=server.url
    )
    assert claims["aud"] == audience
