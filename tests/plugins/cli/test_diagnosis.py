"""Tests of ``grantway plugins``, ``grants`` and ``doctor``."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from pathlib import Path
from typing import Any

import certifi
import pytest
from click.testing import CliRunner, Result

import grantway
from grantway._transport.network import CA_VARIABLES
from grantway._transport.proxies import PROXY_VARIABLES
from grantway_plugins.cli import checks
from grantway_plugins.cli.app import app
from grantway_plugins.issuer import IssuerServer
from tests.core.registry.distributions import Site, coupon
from tests.plugins.cli.home import Home


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove settings of this machine from the environment."""
    for name in os.environ:
        if name.startswith(("AWS_", "GRANTWAY_", "SSL_")) or name.lower().endswith(
            ("_proxy", "ca_bundle")
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def as_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def finding(about: str, *arguments: str) -> dict[str, str]:
    found = as_json("doctor", *arguments)["findings"]
    matching: list[dict[str, str]] = [each for each in found if each["about"].startswith(about)]
    assert len(matching) == 1, found
    return matching[0]


def test_plugins_lists_owner_source_status_and_reason(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("acme-coupons", "import no_such_library", version="1.2")
    monkeypatch.setenv("GRANTWAY_PLUGINS", "-dialects")
    shown = {each["name"]: each for each in as_json("plugins")}
    assert shown["coupon"] == {
        "kind": "plugin",
        "name": "coupon",
        "owner": "acme-coupons 1.2",
        "distribution": "acme-coupons",
        "version": "1.2",
        "source": "acme_coupons",
        "status": "failed",
        "reason": "ModuleNotFoundError: No module named 'no_such_library'",
        "failed_at": f"{site.folder}/acme_coupons.py:1",
        "conflicts": [],
        "hooks": [],
        "contributions": {},
        "load_milliseconds": shown["coupon"]["load_milliseconds"],
    }
    assert shown["coupon"]["load_milliseconds"] > 0
    assert shown["dialects"]["status"] == "blocked"
    assert shown["refresh_token"]["status"] == "loaded"
    table = run("plugins").stdout
    assert "acme-coupons/coupon" in table
    assert (
        "acme-coupons/coupon: ModuleNotFoundError: No module named 'no_such_library' (at "
        f"{site.folder}/acme_coupons.py:1)"
    ) in table
    assert "blocked by GRANTWAY_PLUGINS" in table


MANY = """
from grantway import Dialect, Grant, GrantSchema, hookimpl

def audit(exchange):
    return (yield exchange)

@hookimpl
def grantway_register_grants():
    return [Grant(grant_type="urn:example:coupon", schema=GrantSchema())]

@hookimpl
def grantway_register_dialects():
    return [Dialect(name=f"dialect-{number}") for number in range(30)]

@hookimpl
def grantway_register_middleware():
    return [audit]

@hookimpl
def grantway_observe(event):
    pass
"""


def test_plugins_shows_what_a_plugin_contributes(site: Site) -> None:
    site.install("acme-many", MANY, version="1.2")
    (shown,) = as_json("plugins", "acme-many")
    assert sorted(shown["hooks"]) == [
        "grantway_observe",
        "grantway_register_dialects",
        "grantway_register_grants",
        "grantway_register_middleware",
    ]
    assert shown["contributions"] == {
        "grant": ["urn:example:coupon"],
        "dialect": [f"dialect-{number}" for number in range(30)],
        "middleware": ["audit"],
        "observer": ["grantway_observe"],
    }
    for arguments in (["plugins"], ["plugins", "acme-many"]):
        done = CliRunner(env={"COLUMNS": "80"}).invoke(app, arguments)
        assert max(map(len, done.stdout.splitlines())) <= 80
        assert "middleware (sees secrets)" in done.stdout
        assert "dialect-29" in done.stdout
        assert "urn:example:coupon" in done.stdout
    details = run("plugins", "acme-many").stdout
    assert "acme-many 1.2" in details
    assert "acme_many" in details
    assert "grantway_register_middleware" in details


def test_plugins_rejects_an_unknown_name(site: Site) -> None:
    site.install("acme-coupons", coupon())
    done = run("plugins", "acme-coupon")
    assert done.exit_code == 1
    assert "No plugin is named acme-coupon. Installed: acme-coupons/coupon, grantway/" in (
        done.output
    )


def test_a_name_that_was_lost_is_no_contribution(site: Site) -> None:
    site.install("acme-many", MANY)
    site.install("best-coupons", coupon())
    (shown,) = as_json("plugins", "acme-many")
    assert "grant" not in shown["contributions"]
    assert len(shown["conflicts"]) == 1
    assert as_json("plugins", "best-coupons")[0]["contributions"] == {}


def test_grants_lists_schema_and_replay_class(site: Site) -> None:
    site.install("acme-coupons", coupon(more=", secret=frozenset({'coupon'}), summary='A coupon'"))
    shown = {each["grant_type"]: each for each in as_json("grants")["grants"]}
    assert shown["urn:example:coupon"] == {
        "grant_type": "urn:example:coupon",
        "name": "coupon",
        "owner": "acme-coupons 1.0",
        "distribution": "acme-coupons",
        "version": "1.0",
        "source": "acme_coupons",
        "replay": "never",
        "issuer_grant": False,
        "fields": [
            {
                "name": "coupon",
                "required": True,
                "secret": True,
                "repeatable": False,
                "single_use": False,
            }
        ],
        "summary": "A coupon",
    }
    assert shown["refresh_token"]["issuer_grant"] is True
    assert shown["refresh_token"]["replay"] == "windowed"
    assert "coupon*" in run("grants").stdout


def test_reports_a_grant_registered_by_two_plugins(site: Site) -> None:
    site.install("acme-coupons", coupon())
    site.install("best-coupons", coupon())
    reason = as_json("grants")["conflicts"]["urn:example:coupon"]
    assert "acme-coupons 1.0 (coupon) and best-coupons 1.0 (coupon)" in reason
    assert reason in run("grants").stdout


def test_doctor_reports_a_conflict_and_the_fix(site: Site) -> None:
    site.install("acme-coupons", coupon())
    site.install("best-coupons", coupon())
    found = [each for each in as_json("doctor")["findings"] if each["level"] == "problem"]
    assert [each["about"] for each in found] == [
        "plugin acme-coupons/coupon (acme-coupons 1.0)",
        "plugin best-coupons/coupon (best-coupons 1.0)",
    ]
    assert found[0]["found"].endswith(" because the order of loading never decides.")
    assert found[0]["remedy"].startswith(
        "To exclude best-coupons, set GRANTWAY_PLUGINS=-best-coupons in the environment. A program"
    )


def test_doctor_reports_no_problems() -> None:
    done = run("doctor")
    assert done.exit_code == 0, done.stdout
    assert done.stdout.startswith(f"grantway {grantway.__version__}, Python ")
    assert done.stdout.endswith("0 problems\n")
    assert as_json("doctor")["ok"] is True


def test_reports_a_failed_plugin_and_the_fix(site: Site) -> None:
    site.install("acme-coupons", "import no_such_library")
    assert run("doctor").exit_code == 1
    assert finding("plugin acme-coupons/coupon") == {
        "level": "problem",
        "about": "plugin acme-coupons/coupon (acme-coupons 1.0)",
        "found": "failed: ModuleNotFoundError: No module named 'no_such_library' "
        f"(at {site.folder}/acme_coupons.py:1)",
        "remedy": "Fix or uninstall acme-coupons; to disable it until then, "
        "set GRANTWAY_PLUGINS=-acme-coupons/coupon.",
    }
    assert "-> Fix or uninstall acme-coupons" in run("doctor").stdout


def test_doctor_shows_the_load_time_of_each_plugin(site: Site) -> None:
    site.install("acme-coupons", f"sum(range(500_000))\n{coupon()}")
    shown = {
        each["about"]: each["found"]
        for each in as_json("doctor")["findings"]
        if each["about"].startswith("plugin")
    }
    assert len(shown) == len(grantway.default_registry().plugins) + 1
    found = re.fullmatch(
        r"loaded in (.*) ms", shown["plugin acme-coupons/coupon (acme-coupons 1.0)"]
    )
    assert found is not None
    assert float(found[1]) > 0
    assert re.search(r" are loaded, with \d+ grants, in \d+ ms$", shown["plugins"])


def test_reports_an_issuer_grant_that_cannot_be_imported(site: Site) -> None:
    hook = "@hookimpl\ndef grantway_register_issuer_grants(): return {'urn:example:x': 'no.such:X'}"
    site.install("acme-coupons", f"{coupon('urn:example:x')}\n{hook}")
    found = finding("issuer grant urn:example:x")
    assert found["level"] == "problem"
    assert found["found"] == (
        "The plugin coupon of acme-coupons 1.0 could not be loaded: "
        "ModuleNotFoundError: No module named 'no'"
    )
    assert found["remedy"].startswith("Fix or uninstall the plugin.")


def test_the_fix_for_a_failed_plugin_works(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("acme-coupons", "import no_such_library")
    monkeypatch.setenv("GRANTWAY_PLUGINS", "-acme-coupons/coupon")
    assert run("doctor").exit_code == 0
    assert finding("plugin acme-coupons/coupon")["remedy"] == (
        "To load it, change GRANTWAY_PLUGINS=-acme-coupons/coupon."
    )


def test_reports_an_incompatible_plugin(site: Site) -> None:
    site.install("acme-coupons", coupon(), group="grantway.v2")
    found = finding("plugin acme-coupons/coupon")
    assert found["level"] == "problem"
    assert found["found"].startswith("incompatible: it is for grantway.v2")
    assert found["remedy"] == "Install a compatible version of acme-coupons, or uninstall it."


def test_reports_an_unknown_plugin_in_the_selection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRANTWAY_PLUGINS", "grantwy")
    assert finding("plugins")["remedy"] == "Correct GRANTWAY_PLUGINS."
    assert run("plugins").exit_code == 1
    assert "no installed plugin or distribution is named 'grantwy'" in run("plugins").stderr


def test_reports_that_no_grants_are_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRANTWAY_PLUGINS", "none")
    assert finding("plugins")["level"] == "problem"


def test_reports_a_missing_extra_and_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_is_installed", lambda library: library != "joserfc")
    assert finding("extra jose") == {
        "level": "note",
        "about": "extra jose",
        "found": "joserfc not installed",
        "remedy": "If you need it, run: pip install 'grantway[jose]'",
    }
    assert finding("extra issuer")["level"] == "ok"


@pytest.fixture
def no_network_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CA_VARIABLES, *PROXY_VARIABLES, "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.usefixtures("no_network_settings")
@pytest.mark.parametrize("name", PROXY_VARIABLES)
@pytest.mark.parametrize("spelt", [str.upper, str.lower])
def test_reports_a_proxy_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, spelt: Any
) -> None:
    monkeypatch.setenv(spelt(name), "https://user:hunter2@proxy")
    found = finding(spelt(name))
    assert found["level"] == "ok"
    assert found["found"] == "connections use the proxy https://***@proxy"
    assert "hunter2" not in run("doctor").stdout


@pytest.mark.usefixtures("no_network_settings")
@pytest.mark.parametrize("name", CA_VARIABLES)
def test_reports_certificates_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "/nowhere.pem")
    found = finding(name)
    assert found["level"] == "problem"
    assert found["remedy"] == f"Correct it, or run: unset {name}"
    monkeypatch.setenv(name, certifi.where())
    assert finding(name)["found"].endswith(f"trust the certificates in {certifi.where()}")


def test_reports_an_endpoint_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8400")
    assert finding("AWS_ENDPOINT_URL")["found"].endswith("own clients to 127.0.0.1:8400")
    assert finding("AWS_REGION")["level"] == "note"
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert run("doctor").exit_code == 0
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://10.0.0.1")
    assert finding("AWS_ENDPOINT_URL")["level"] == "problem"


def test_checks_the_database_folder(tmp_path: Path) -> None:
    home = tmp_path / "data" / "grantway"
    assert finding("issuer's database")["found"] == "will be created when needed"
    home.mkdir(parents=True)
    (home / "issuer.sqlite3").touch(0o600)
    assert finding("issuer's database")["found"] == "usable"
    (home / "issuer.sqlite3").chmod(0o644)
    exposed = finding("issuer's database")
    assert exposed["found"].startswith("other users of this machine can read")
    assert exposed["remedy"] == f"Run chmod go= {home / 'issuer.sqlite3'}"
    (home / "issuer.sqlite3").unlink()
    home.rmdir()
    home.touch()
    assert finding("issuer's database")["found"].endswith(f"{home} is not a directory")


def test_reports_a_folder_that_is_not_writable(monkeypatch: pytest.MonkeyPatch) -> None:
    # If the tests run as root, every folder is writable.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert finding("issuer's database")["found"].endswith("cannot be written by this user")


def test_reports_a_clock_earlier_than_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert finding("clock")["found"].startswith("1970-01-01")


def test_checks_whether_a_provider_is_reachable() -> None:
    with IssuerServer() as server:
        found = finding("provider", "--provider", server.url)
        assert found["found"] == f"reachable; its token endpoint is {server.url}/token"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        unreachable = f"http://127.0.0.1:{closed.getsockname()[1]}"
        found = finding("provider", "--provider", unreachable)
    assert found["level"] == "problem"
    assert found["found"].startswith("ConnectionFailedError: ")


@pytest.mark.parametrize(("skew", "side"), [(-300.0, "behind"), (300.0, "ahead of")])
def test_reports_a_clock_that_differs_from_the_providers(
    monkeypatch: pytest.MonkeyPatch, skew: float, side: str
) -> None:
    with IssuerServer() as server:
        real = time.time
        monkeypatch.setattr(checks.time, "time", lambda: real() + skew)
        found = list(checks.reachable(server.url))
        monkeypatch.undo()
    assert any(side in each.found and each.about == "clock" for each in found)


def test_each_command_reports_a_failed_plugin_once(site: Site, home: Home) -> None:
    site.install("acme-coupons", "import no_such_library", version="1.2")
    warning = "could not be loaded and is skipped: ModuleNotFoundError"
    for command in ("plugins", "doctor"):
        done = home.run(command, "--json", PYTHONPATH=str(site.folder))
        assert done.stdout.count("No module named 'no_such_library'") == 1
        assert not done.stderr
    done = home.run("grants", "--json", PYTHONPATH=str(site.folder))
    assert json.loads(done.stdout)["grants"]
    assert done.stderr.count(warning) == 1
    assert "Traceback" not in done.stderr
