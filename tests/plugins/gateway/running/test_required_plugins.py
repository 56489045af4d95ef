"""A gateway does not run without the plugins that its file requires."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import requests

from tests import forked
from tests.core.registry.distributions import Site, coupon
from tests.plugins.gateway.running.programs import GRANTWAY, PATIENCE, gateway, write
from tests.plugins.gateway.running.test_config import GOOD

NAMED = "The plugin coupon of acme-audit 1.2 could not be loaded"
REASON = "could not be loaded: ModuleNotFoundError: No module named 'no_such_library'"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a folder on the import path of the gateway's process only."""
    folder = tmp_path / "site"
    folder.mkdir()
    return Site(folder)


def requiring(*names: str) -> str:
    return GOOD.replace("[gateway]\n", f"[gateway]\nrequire_plugins = {[*names]}\n")


def run(site: Site, config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [*GRANTWAY, "gateway", "--config", str(config), *options],
        env={**os.environ, "PYTHONPATH": str(site.folder)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("--check",)], ids=["start", "check"])
def test_a_required_plugin_that_failed_is_named_with_line_and_reason(
    site: Site, tmp_path: Path, options: tuple[str, ...]
) -> None:
    site.install("acme-audit", "import no_such_library", version="1.2")
    config = write(tmp_path, requiring("acme-audit"))
    done = run(site, config, *options)
    assert done.returncode == 1
    assert f"{config}, line 2: gateway.require_plugins is not satisfied" in done.stderr
    assert f"The required plugin coupon of acme-audit 1.2 {REASON}" in done.stderr


def test_a_required_plugin_that_is_not_installed_is_named(site: Site, tmp_path: Path) -> None:
    done = run(site, write(tmp_path, requiring("acme-audit")), "--check")
    assert done.returncode == 1
    assert "The required plugin 'acme-audit' is not installed" in done.stderr


@pytest.mark.parametrize("wrong", ['"acme"', "[1]", '[""]'])
def test_rejects_anything_but_a_list_of_names(site: Site, tmp_path: Path, wrong: str) -> None:
    text = GOOD.replace("[gateway]\n", f"[gateway]\nrequire_plugins = {wrong}\n")
    done = run(site, write(tmp_path, text), "--check")
    assert done.returncode == 1
    assert "gateway.require_plugins" in done.stderr


def test_accepts_a_required_plugin_that_is_loaded(site: Site, tmp_path: Path) -> None:
    site.install("acme-audit", coupon())
    done = run(site, write(tmp_path, requiring("acme-audit", "grantway")), "--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_rejects_a_reload_that_requires_a_failed_plugin(site: Site, tmp_path: Path) -> None:
    site.install("acme-audit", "import no_such_library", version="1.2")
    config = write(tmp_path, GOOD)
    with gateway(config, PYTHONPATH=str(site.folder)) as process:
        # A failed plugin that is not required is logged once as a warning, with its traceback.
        assert process.log.count(NAMED) == 1
        assert process.log.count("Traceback (most recent call last)") == 1
        config.write_text(requiring("acme-audit"))
        response = requests.post(f"{process.admin}/reload", timeout=PATIENCE)
        assert response.status_code == 400
        assert REASON in response.text
        assert process.log.count(NAMED) == 1
