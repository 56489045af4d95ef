"""``login``, ``status`` and ``token`` are accurate for third-party grants."""

from __future__ import annotations

import json
from typing import Any

import pytest

import grantway
from tests import faults
from tests.faults import FaultServer
from tests.plugins.cli.home import Home

PLUGIN = """
import grantway

class Schema(grantway.GrantSchema):
    voucher = grantway.Text(required=True, example='"SPRING"')

@grantway.hookimpl
def grantway_register_grants():
    return [
        grantway.Grant(
            "urn:example:once", Schema(), secret=frozenset({"voucher"}),
            single_use=frozenset({"voucher"}),
        ),
        grantway.Grant("urn:example:again", Schema(), replay=grantway.Replay.SAFE),
    ]
"""


def respond(**fields: Any) -> faults.Act:
    return faults.respond(200, {"access_token": "at", "token_type": "Bearer", **fields})


@pytest.fixture
def vouchers(home: Home) -> Home:
    """Return a home with the plugin installed."""
    site = home.folder / "site"
    info = site / "acme_vouchers-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-vouchers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[grantway.v1]\nvouchers = acme_vouchers\n")
    (site / "acme_vouchers.py").write_text(PLUGIN)
    home.env["PYTHONPATH"] = str(site)
    return home


def describe(home: Home, server: FaultServer, grant: str, params: str = 'voucher = "A"') -> None:
    home.write(
        f'[profiles.v]\nprovider = {{token_endpoint = "{server.token_endpoint}"}}\n'
        f'client_id = "c"\ngrant = "urn:example:{grant}"\nparams = {{{params}}}\n'
    )


def age(home: Home, left: float) -> None:
    """Make the stored token expire in ``left`` seconds.

    It edits the file, because the plugin is not installed in this process.
    """
    (file,) = home.tokens.glob("*.json")
    record = json.loads(file.read_text())
    assert "expires_at" in record
    record["expires_at"] += left - 3600
    file.write_text(json.dumps(record))


def status(home: Home) -> dict[str, Any]:
    (shown,) = json.loads(home.run("status", "--json").stdout)
    return dict(shown)


def test_a_single_use_grant_is_not_refreshable(vouchers: Home) -> None:
    with FaultServer(respond(expires_in=3600)) as server:
        describe(vouchers, server, "once")
        assert status(vouchers)["state"] == "on demand"
        done = vouchers.run("login", "v")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Requesting a token with urn:example:once.\n")
        assert done.stdout.endswith("The token expires in 59 min 59 s.\n")
        shown = status(vouchers)
        assert (shown["state"], shown["refreshable"], shown["refresh_at"]) == ("fresh", False, None)

        again = vouchers.run("login", "v")  # the provider would reject its voucher
        assert again.returncode == 0
        assert "A valid token is already stored, so no new one was requested." in again.stdout

        age(vouchers, -1)
        shown = status(vouchers)
        assert (shown["state"], shown["logged_in"]) == ("login needed", False)
        for command in ("login", "token", "status"):
            done = vouchers.run(command, "v")
            assert done.returncode == 3
            output = done.stdout + done.stderr
            assert "params.voucher can be used only once, so put a new value into" in output
            assert f"{vouchers.config}, line 5, then run: grantway login v" in output
            assert "accept()" not in output
    assert len(server.requests) == 1


def test_a_single_use_grant_with_a_refresh_token_is_refreshable(vouchers: Home) -> None:
    first = respond(expires_in=3600, refresh_token="rt")
    with FaultServer(first, respond(access_token="at-2")) as server:
        describe(vouchers, server, "once")
        assert "and is refreshed automatically" in vouchers.run("login", "v").stdout
        assert status(vouchers)["refreshable"] is True
        age(vouchers, -1)
        assert status(vouchers)["state"] == "refreshable"
        assert vouchers.run("token", "v").stdout == "at-2\n"
    assert server.requests[1].form["grant_type"] == ["refresh_token"]


def test_a_repeatable_grant_is_refreshed_by_another_request(vouchers: Home) -> None:
    with FaultServer(respond(expires_in=3600), respond(access_token="at-2")) as server:
        describe(vouchers, server, "again")
        assert "and is refreshed automatically" in vouchers.run("login", "v").stdout
        age(vouchers, -1)
        assert status(vouchers)["state"] == "refreshable"
        done = vouchers.run("login", "v")
    assert "Requesting a token" in done.stdout
    # This token has no expiry, so it is never refreshed.
    assert done.stdout.endswith("Logged in to v. The token has no expiry time.\n")


def test_reports_a_rejected_voucher_and_the_fix(vouchers: Home) -> None:
    with FaultServer(faults.respond(400, {"error": "invalid_grant"})) as server:
        describe(vouchers, server, "once")
        done = vouchers.run("login", "v")
    assert done.returncode == 3
    assert "rejected the token request with invalid_grant" in done.stderr
    assert "put a new value into" in done.stderr
    assert "accept()" not in done.stderr


def test_reports_a_missing_voucher_and_the_fix(vouchers: Home) -> None:
    with FaultServer() as server:
        describe(vouchers, server, "once", "")
        assert status(vouchers)["state"] == "login needed"
        for command in ("login", "token"):
            done = vouchers.run(command, "v", "--config", str(vouchers.config))
            assert done.returncode == 3
            assert "params.voucher is missing, so add it in" in done.stderr
            assert f"run: grantway login v --config {vouchers.config}\n" in done.stderr
    assert not server.requests


def test_a_login_without_a_refresh_token_is_not_refreshable(home: Home) -> None:
    started = {"device_code": "dc", "user_code": "AB", "verification_uri": "https://x.example"}
    with FaultServer(
        faults.respond(200, {**started, "interval": 1}), respond(expires_in=60)
    ) as server:
        home.write(
            "[profiles.work]\nprovider = "
            f'{{token_endpoint = "{server.url}/token", '
            f'device_authorization_endpoint = "{server.url}/device"}}\nclient_id = "app"\n'
        )
        shown = home.run("login", "work", "--device").stdout
    assert "The token expires in 5" in shown
    assert "refreshed" not in shown
    assert status(home)["refreshable"] is False


@pytest.mark.parametrize(
    ("method", "missing", "instead"),
    [
        ("--device", "device_authorization_endpoint", "--browser or --paste"),
        ("--browser", "authorization_endpoint", "--device"),
        ("--paste", "authorization_endpoint", "--device"),
    ],
)
def test_rejects_a_login_method_without_its_endpoint(
    home: Home, method: str, missing: str, instead: str
) -> None:
    home.write(
        '[profiles.work]\nprovider = {token_endpoint = "https://login.example.com/token"}\n'
        'client_id = "app"\n'
    )
    done = home.run("login", "work", method)
    assert done.returncode == 1
    assert f"login.example.com has no {missing}, which {method} needs. Use {instead}" in done.stderr
    assert "Provider(" not in done.stderr


def test_ciba_request_ids_are_single_use() -> None:
    grant = grantway.default_registry().grant("urn:openid:params:grant-type:ciba")
    assert grant.single_use == {"auth_req_id"}
