"""The descriptions of the packages are complete, and the layers are those that CI checks."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
PACKAGES = [
    each.parent.name
    for root in ("core/grantway", "plugins/grantway_plugins")
    for each in sorted((ROOT / root).glob("*/__init__.py"))
]


@pytest.mark.parametrize("package", PACKAGES)
def test_both_package_maps_have_every_package(package: str) -> None:
    assert re.search(rf"^\| `[\w/]*/{package}/` \|", ARCHITECTURE, re.MULTILINE)
    assert f"| `{package}` |" in CONTRIBUTING


@pytest.mark.parametrize("name", ["Plugin packages", "Core packages"])
def test_the_documented_layers_are_those_that_are_checked(name: str) -> None:
    layers = next(each["layers"] for each in CONTRACTS if each["name"] == name)
    assert "".join(f"    {layer}\n" for layer in layers) in ARCHITECTURE
