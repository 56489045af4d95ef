"""Issuer grants of plugins: the plugin decides, and the issuer issues tokens."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

import grantway
from grantway._types.grant import IssuerGrant
from grantway_plugins.issuer import Denial, GrantRequest, Issue, IssuerServer, IssuerSettings
from grantway_plugins.issuer._decisions.issuer import offered_grants
from tests.plugins.issuer.conftest import Caller

TYPE = "urn:example:coupon"
GRANT = grantway.Grant(
    grant_type=TYPE,
    schema=grantway.GrantSchema.from_dict({"scope": grantway.Scope()})(),
)


class Plugin:
    """Registers a grant, its issuer grant, or both."""

    def __init__(self, side: Any, grants: tuple[grantway.Grant, ...] = (GRANT,)) -> None:
        self.side, self.grants = side, grants

    @grantway.hookimpl
    def grantway_register_grants(self) -> tuple[grantway.Grant, ...]:
        return self.grants

    @grantway.hookimpl
    def grantway_register_issuer_grants(self) -> dict[str, IssuerGrant]:
        return {TYPE: self.side}


class Decides:
    """Returns a decision of the test."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def decide(self, request: GrantRequest, transaction: Any) -> Issue | Denial:
        return request.issue(subject="the winner", **self.options)


class Raises:
    """Raises an exception."""

    def decide(self, request: GrantRequest, transaction: Any) -> Issue | Denial:
        raise RuntimeError("hunter2")


class Exits:
    """Ends the program, which must not end the issuer."""

    def decide(self, request: GrantRequest, transaction: Any) -> Issue | Denial:
        raise SystemExit("hunter2")


class Nonsense:
    """Returns an invalid decision."""

    def decide(self, request: GrantRequest, transaction: Any) -> Any:
        return "yes"


def registry(side: Any, grants: tuple[grantway.Grant, ...] = (GRANT,)) -> grantway.Registry:
    return grantway.build_registry({"mine": Plugin(side, grants)}, strict=True)


def answer(side: Any, **params: str) -> Any:
    with (
        IssuerServer(
            IssuerSettings(registration="unrestricted"), registry=registry(side)
        ) as server,
        Caller(server.url) as caller,
    ):
        caller.register_rfc(grant_types=[TYPE, "refresh_token"])
        return caller.as_rfc("/token", grant_type=TYPE, **params)


def test_the_plugin_decides_and_the_issuer_issues() -> None:
    tokens = answer(Decides(), scope="a").json()
    assert tokens["scope"] == "a"
    assert tokens["access_token"].startswith("gwa_")
    assert tokens["refresh_token"].startswith("gwr_")


def test_a_decision_can_omit_the_refresh_token_and_add_members() -> None:
    members = {"issued_token_type": "urn:example:t", "access_token": "mine"}
    tokens = answer(Decides(refresh_token=False, members=members)).json()
    assert "refresh_token" not in tokens
    assert tokens["issued_token_type"] == "urn:example:t"
    assert tokens["access_token"].startswith("gwa_"), "a plugin makes no tokens"


class Looks:
    """Puts what it sees of a request into the response."""

    def decide(self, request: GrantRequest, transaction: Any) -> Issue | Denial:
        assert "hunter2" not in repr(request)
        assert "Headers(" in repr(request)
        with pytest.raises(TypeError):
            request.headers["x-custom"] = "changed"  # type: ignore[index]
        seen = {
            name: request.headers.get(name, "none") for name in ("X-CUSTOM", "cookie", "b\u0142")
        }
        return request.issue(subject="x", members={**seen, "peer": request.peer})


@pytest.mark.parametrize(("trusted", "peer"), [((), "127.0.0.1"), (("127.0.0.1",), "192.0.2.7")])
def test_a_plugin_sees_the_headers_and_the_address(trusted: tuple[str, ...], peer: str) -> None:
    settings = IssuerSettings(registration="open", registration_grant_types=(TYPE,))
    with (
        IssuerServer(settings, registry=registry(Looks()), trusted_proxies=trusted) as server,
        Caller(server.url) as caller,
    ):
        caller.register_rfc(
            grant_types=[TYPE], scope=None, token_endpoint_auth_method="client_secret_post"
        )
        address, form = urlsplit(server.url), f"grant_type={TYPE}&client_id={caller.id}"
        form += f"&client_secret={caller.secret}"
        with closing(HTTPConnection(address.netloc, timeout=10)) as http:
            http.putrequest("POST", "/token")
            http.putheader("X-Forwarded-For", "192.0.2.7")
            http.putheader("Content-Type", "application/x-www-form-urlencoded")
            http.putheader("Content-Length", str(len(form)))
            for value in ("one", "two"):
                http.putheader("X-Custom", value)
                http.putheader("Cookie", f"{value}=hunter2")
            http.endheaders(form.encode())
            seen = json.loads(http.getresponse().read())
    assert seen["X-CUSTOM"] == "one, two"
    assert seen["cookie"] == "one=hunter2; two=hunter2"
    assert seen["b\u0142"] == "none"
    assert seen["peer"] == peer


def test_tokens_expire_with_their_family() -> None:
    assert answer(Decides(lifetime=60.0)).json()["expires_in"] <= 60


def test_denies_a_scope_that_the_client_did_not_register() -> None:
    refused = answer(Decides(), scope="a admin")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize("side", [Raises(), Exits(), Nonsense()])
def test_a_failing_plugin_gets_an_error_response_without_secrets(
    side: Any, caplog: pytest.LogCaptureFixture
) -> None:
    refused = answer(side)
    assert (refused.status_code, refused.json()["error"]) == (500, "server_error")
    assert "hunter2" not in refused.text + caplog.text
    assert f"decide of the issuer grant {TYPE} (mine of application)" in caplog.text


def test_an_issuer_grant_without_a_grant_is_not_offered_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        offered = offered_grants(registry(Decides(), ()))
    assert TYPE not in offered
    assert "refresh_token" in offered
    assert f"whose grant no plugin registers: {TYPE}" in caplog.text


def test_an_issuer_grant_that_cannot_be_imported_is_not_offered_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        offered = offered_grants(registry("no_such_module:COUPONS"))
    assert TYPE not in offered
    assert "refresh_token" in offered
    assert (
        "The plugin mine of application could not be loaded and is skipped: Module" in caplog.text
    )


def test_an_issuer_without_grants_is_an_error() -> None:
    with pytest.raises(grantway.ConfigurationError, match="The issuer has no grant to offer"):
        IssuerServer(registry=grantway.build_registry(entry_points=False))


def test_the_standard_issuer_grants_are_registered_by_a_plugin() -> None:
    found = grantway.default_registry()
    standard = {
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
    }
    assert standard <= set(found.issuer_grants)
    blocked = grantway.build_registry(block=["grantway/issuer"])
    assert not standard & set(blocked.issuer_grants)


def test_loading_issuer_grants_does_not_import_the_database() -> None:
    code = (
        "import sys, grantway; assert grantway.default_registry().issuer_grants;"
        "from grantway_plugins.issuer import (Additions, Denial, Endpoint, GrantRequest, Issue,"
        " IssuerRequest, Page, Redirect, RegisteredClient, Reply, View);"
        "print([m for m in ('sqlalchemy', 'starlette', 'uvicorn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
