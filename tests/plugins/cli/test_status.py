"""Tests of ``grantway status``."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import grantway
from grantway_plugins.testing import LiveIssuer
from tests import faults
from tests.faults import FaultServer
from tests.plugins.cli.home import Home

SECRETS = ("at-secret", "rt-secret", "cs-secret")


def id_token(**claims: str) -> str:
    def part(fields: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2ln"


def keep(home: Home, name: str, **fields: Any) -> None:
    with home.profile(name) as profile:
        profile.store.save(profile.key, grantway.Token("at-secret", **fields))


def prepared(home: Home) -> Home:
    """Return a home with a profile in each state."""
    login = 'provider = "https://login.example.com"\nclient_id = "app"\n'
    home.write(
        f'[profiles.fresh]\n{login}client_secret = "cs-secret"\nscope = "read write"\n'
        f"[profiles.endless]\n{login}[profiles.ended]\n{login}[profiles.gone]\n{login}[profiles.never]\n{login}"
        f'[profiles.robot]\n{login}grant = "client_credentials"\nclient_secret = "cs-secret"\n'
        '[profiles.broken]\nprovdier = "https://login.example.com"\n'
        f'[profiles.nowhere]\n{login}store = "nowhere"\n'
    )
    now = time.time()
    who = id_token(email="alice@example.com", sub="1")
    keep(
        home,
        "fresh",
        expires_in=3600,
        expires_at=now + 3600,
        refresh_token="rt-secret",
        scope=("read",),
        id_token=who,
    )
    keep(home, "endless", expires_at=1e300)
    keep(home, "ended", expires_at=now - 5, refresh_token="rt-secret")
    keep(home, "gone", expires_at=now - 5)
    return home


def test_shows_each_profile(home: Home) -> None:
    done = prepared(home).run("status", "--json")
    assert done.returncode == 0, done.stderr
    shown = {each["profile"]: each for each in json.loads(done.stdout)}
    assert {name: each["state"] for name, each in shown.items()} == {
        "fresh": "fresh",
        "endless": "fresh",
        "ended": "refreshable",
        "gone": "login needed",
        "never": "login needed",
        "robot": "on demand",
        "broken": "broken",
        "nowhere": "broken",
    }
    fresh = shown["fresh"]
    assert fresh["subject"] == "alice@example.com"
    assert (fresh["client_id"], fresh["provider"]) == ("app", "https://login.example.com")
    assert (fresh["scope"], fresh["store"], fresh["refreshable"]) == (["read"], "file", True)
    assert fresh["refresh_at"] < fresh["expires_at"]
    assert shown["endless"]["expires_at"] is None
    assert shown["never"]["logged_in"] is False
    assert "did you mean provider?" in shown["broken"]["error"]
    assert "'nowhere' is not registered" in shown["nowhere"]["error"]


def test_shows_no_secret(home: Home) -> None:
    prepared(home)
    for options in ([], ["--json"]):
        done = home.run("status", *options)
        assert "alice@example.com" in done.stdout
        for secret in SECRETS:
            assert secret not in done.stdout + done.stderr


def test_prints_a_readable_table(home: Home) -> None:
    shown = prepared(home).run("status").stdout
    assert "fresh  fresh\n  user        alice@example.com\n  client      app\n" in shown
    assert "expires     in 59 min" in shown
    assert "refresh     in 54 min" in shown
    assert "never  login needed\n" in shown


def test_exit_status_of_one_profile_is_usable_by_scripts(home: Home) -> None:
    prepared(home)
    ends = {"fresh": 0, "ended": 0, "robot": 0, "gone": 3, "never": 3, "broken": 1}
    assert {name: home.run("status", name).returncode for name in ends} == ends


def test_without_a_profile_file(home: Home) -> None:
    done = home.run("status")
    assert done.returncode == 1
    assert f"{home.config}: no such file" in done.stderr
    home.write("")
    done = home.run("status")
    assert (done.returncode, done.stdout) == (0, f"{home.config} has no profiles.\n")


def test_shows_the_registered_client_id(home: Home, grantway_issuer: LiveIssuer) -> None:
    home.write(f'[profiles.work]\nprovider = "{grantway_issuer.url}"\n')
    assert json.loads(home.run("status", "--json").stdout)[0]["client_id"] is None
    assert home.run("login", "work").returncode == 0
    (shown,) = json.loads(home.run("status", "--json").stdout)
    with home.profile() as profile:
        assert shown["client_id"] == profile.client().client_id
    assert (shown["state"], shown["logged_in"], shown["refreshable"]) == ("fresh", True, True)


def test_a_faulty_third_party_store_does_not_hide_other_profiles(home: Home) -> None:
    site = home.folder / "site"
    info = site / "acme_store-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-store\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[grantway.v1]\nacme_store = acme_store\n")
    (site / "acme_store.py").write_text(
        "import grantway\n"
        "class Store:\n"
        "    def load(self, key):\n"
        "        raise RuntimeError('s3cret')\n"
        "    save = delete = lock = load\n"
        "@grantway.hookimpl\n"
        "def grantway_register_stores():\n"
        "    return {'acme': Store}\n"
    )
    provider = 'provider = "https://login.example.com"\n'
    home.write(f'[profiles.a]\n{provider}store = "acme"\n[profiles.b]\n{provider}')
    done = home.run("status", PYTHONPATH=str(site))
    assert (done.returncode, done.stderr) == (0, "")
    assert "a  broken\n  error       the store raised RuntimeError" in done.stdout
    assert "b  login needed\n" in done.stdout
    assert "s3cret" not in done.stdout


def test_keeps_user_and_scope_if_a_refresh_omits_them(home: Home) -> None:
    with FaultServer(faults.respond(200, faults.TOKEN)) as server:
        home.write(
            f'[profiles.work]\nprovider = {{ token_endpoint = "{server.token_endpoint}" }}\n'
            'client_id = "app"\nscope = "read write"\n'
        )
        keep(
            home,
            "work",
            expires_at=time.time() - 5,
            refresh_token="rt-secret",
            scope=("read",),
            id_token=id_token(email="alice@example.com"),
        )
        done = home.run("token", "work")
        assert (done.returncode, done.stdout.strip()) == (0, "at-1"), done.stderr
    (shown,) = json.loads(home.run("status", "--json").stdout)
    assert (shown["state"], shown["subject"], shown["scope"]) == (
        "fresh",
        "alice@example.com",
        ["read"],
    )
