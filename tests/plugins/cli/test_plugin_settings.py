"""``[plugins.NAME]`` in profile and gateway files: settings of plugins, with line numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import grantway
from grantway._exceptions import ConfigurationError
from grantway._plugins.default_registry import set_aside
from grantway_plugins import profiles
from grantway_plugins.cli.app import app
from grantway_plugins.gateway._config import ConfigFile
from tests.core.registry.distributions import Site
from tests.core.registry.test_settings import REQUIRED, SECRET
from tests.plugins.gateway.running.test_config import GOOD as GATEWAY

PROFILE = """\
[profiles.work]
provider = {token_endpoint = "https://login.example.com/token"}
client_id = "app"
grant = "urn:example:x"
"""
SETTINGS = f"""
[plugins.acme-audit]
grant_type = "urn:example:x"
key = "{SECRET}"
"""
MISTAKES = f"""
[plugins.acme-audit]
colour = "{SECRET}"
grant_type = 3

[plugins."acme/adit"]
"""


@pytest.fixture
def config(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Path:
    site.install("acme-audit", REQUIRED)
    path = tmp_path / "config.toml"
    monkeypatch.setenv("GRANTWAY_CONFIG", str(path))
    return path


def errors_of(path: Path, error: object) -> list[str]:
    assert SECRET not in str(error)
    return [each.removeprefix(f"{path}, line ") for each in str(error).splitlines()]


def test_a_profile_file_sets_the_settings_of_the_process(config: Path) -> None:
    config.write_text(PROFILE + SETTINGS)
    with profiles.load("work", config) as profile:
        assert profile.grant == "urn:example:x"
    assert "urn:example:x" in grantway.default_registry().grants


def test_mistakes_in_a_profile_file_have_lines(config: Path) -> None:
    config.write_text(PROFILE + MISTAKES)
    with pytest.raises(ConfigurationError) as raised:
        profiles.load("work", config)
    assert errors_of(config, raised.value)[:2] == [
        "7: plugins.acme-audit.colour is not a setting of this plugin",
        "8: plugins.acme-audit.grant_type is not a valid string",
    ]
    assert errors_of(config, raised.value)[2].startswith(
        '10: plugins."acme/adit" names no plugin; installed: acme-audit/coupon, grantway/auth'
    )
    config.write_text(f"plugins = 3\n{PROFILE}")
    with pytest.raises(ConfigurationError) as raised:
        profiles.load("work", config)
    assert errors_of(config, raised.value) == [
        "1: plugins must be tables, like [plugins.acme-audit]"
    ]


def test_a_gateway_file_sets_the_settings_and_reports_all_mistakes(config: Path) -> None:
    config.write_text(GATEWAY + SETTINGS)
    first = ConfigFile(config)
    assert "urn:example:x" in grantway.default_registry().grants
    config.write_text(GATEWAY.replace('"idp"', '"adp"') + MISTAKES)
    with set_aside(), pytest.raises(ConfigurationError) as raised:
        ConfigFile(config)
    found = errors_of(config, raised.value)
    assert [each.split(" ", 1)[0] for each in found] == ["13:", "18:", "19:", "21:"]
    # A reload cannot change the settings.
    with pytest.raises(ConfigurationError) as raised:
        ConfigFile(config, before=first)
    assert "17: plugins cannot change while the gateway runs; restart it" in errors_of(
        config, raised.value
    )
    assert "urn:example:x" in grantway.default_registry().grants


def test_the_command_line_uses_the_settings_in_the_profile_file(config: Path) -> None:
    config.write_text(SETTINGS)
    run = CliRunner().invoke(app, ["plugins", "--json"])
    (found,) = [each for each in json.loads(run.stdout) if each["distribution"] == "acme-audit"]
    assert found["status"] == "loaded"
    config.write_text(MISTAKES)
    add = ["clients", "add", "x", "--database", str(config.with_name("issuer.sqlite3"))]
    for command in (["plugins"], ["grants"], add):
        failed = CliRunner().invoke(app, command)
        assert failed.exit_code == 1
        assert (
            f"{config}, line 3: plugins.acme-audit.colour is not a setting of this plugin"
            in failed.output
        )
        assert SECRET not in failed.output
    doctor = CliRunner().invoke(app, ["doctor"])
    assert "line 4: plugins.acme-audit.grant_type is not a valid string" in doctor.output
    assert "-> Correct the settings in the file." in doctor.output


def test_a_profile_command_uses_the_settings(config: Path) -> None:
    config.write_text(PROFILE + MISTAKES)
    failed = CliRunner().invoke(app, ["token", "work"])
    assert failed.exit_code == 1
    assert "line 7: plugins.acme-audit.colour is not a setting of this plugin" in failed.output
