"""Plugins can be written and type-checked with public names only."""

from __future__ import annotations

import ast
import json
import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

import grantway
from grantway import hookspecs
from grantway_plugins.cli.new_plugin import KINDS, NewPlugin
from tests import forked
from tests.docs.pages import ROOT
from tests.docs.test_reference import DOCUMENTED
from tests.typing import every_hook
from tests.unmeasured import environment

HOOKS = {name for name in vars(hookspecs) if name.startswith("grantway_")}
#: Packages with documented names.
PUBLIC = ("grantway", "grantway_plugins.issuer", "grantway_plugins.gateway")


def types_in_signatures() -> list[str]:
    """Return grantway's types in the signatures of hooks."""
    tree = ast.parse(Path(hookspecs.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    used = {
        node.id
        for function in tree.body
        if isinstance(function, ast.FunctionDef) and function.name in HOOKS
        for part in (function.args, function.returns)
        if part is not None
        for node in ast.walk(part)
        if isinstance(node, ast.Name)
    }
    return sorted(imported & used)


@pytest.mark.parametrize("name", types_in_signatures())
def test_each_type_in_the_signature_of_a_hook_is_public_and_documented(name: str) -> None:
    homes = [package for package in PUBLIC if name in import_module(package).__all__]
    assert homes
    assert any(f"{home}.{name}" in DOCUMENTED for home in homes)


def test_the_typed_plugin_uses_every_hook() -> None:
    assert {name for name in vars(every_hook) if name.startswith("grantway_")} == HOOKS
    registry = grantway.build_registry({"acme": every_hook}, only=["grantway"], strict=True)
    assert every_hook.GRANT_TYPE in registry.grants


#: Source folders of plugins in separate distributions.
DISTRIBUTIONS = [
    f"{ROOT}/tests/distribution/{name}/src" for name in ("grantway-openid4vci", "grantway-ssh")
]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a package of each kind as installed ones, and the plugin that uses every hook."""
    folder = tmp_path_factory.mktemp("packages")
    for kind in KINDS:
        plugin = NewPlugin(f"acme-{kind}", kind)
        plugin.write(folder / plugin.name)
        metadata = folder / plugin.name / "src" / f"acme_{kind}-0.1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: acme-{kind}\nVersion: 1\n"
        )
        points = f"[grantway.v1]\nacme-{kind} = acme_{kind}.plugin\n"
        (metadata / "entry_points.txt").write_text(points)
    source = Path(every_hook.__file__).read_text(encoding="utf-8")
    (folder / "every_hook.py").write_text(source, encoding="utf-8")
    return folder


def passes(folder: Path, *command: str, **variables: str) -> str:
    """Run a module of Python in a folder; return its output."""
    done = forked.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def sources() -> list[str]:
    return [f"acme-{kind}/{part}" for kind in KINDS for part in ("src", "tests")]


@pytest.mark.slow
def test_the_tests_of_each_new_package_pass(packages: Path) -> None:
    path = os.pathsep.join(f"{packages}/acme-{kind}/src" for kind in KINDS)
    tests = [each for each in sources() if each.endswith("tests")]
    shown = passes(
        packages,
        *("pytest", "-q", "-c", "acme-grant/pyproject.toml", "-p", "no:cacheprovider"),
        *("--rootdir", ".", *tests),
        PYTHONPATH=path,
    )
    assert "skipped" not in shown


@pytest.mark.slow
def test_plugins_pass_mypy_in_strict_mode(packages: Path) -> None:
    """One run checks all of them, with grantway's settings and cache."""
    checked = [*(f"{packages}/{each}" for each in sources()), *DISTRIBUTIONS]
    passes(ROOT, "mypy", *checked, f"{packages}/every_hook.py", MYPYPATH=os.pathsep.join(checked))


@pytest.mark.slow
def test_plugins_pass_pyright_in_strict_mode(packages: Path) -> None:
    """One run checks all of them."""
    settings = {
        "include": [*sources(), *DISTRIBUTIONS, "every_hook.py"],
        "extraPaths": [
            *sources(),
            *DISTRIBUTIONS,
            *(f"{ROOT}/{each}" for each in ("core", "grants", "plugins")),
        ],
        "pythonVersion": "3.11",
        "typeCheckingMode": "strict",
    }
    (packages / "pyrightconfig.json").write_text(json.dumps(settings))
    passes(packages, "pyright", "--pythonpath", sys.executable)
