"""The public names: one list, one home each, and nothing loaded before it is needed."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import grantway


def type_checking_imports() -> dict[str, str]:
    """Name -> home, as the block for type checkers says."""
    tree = ast.parse(Path(inspect.getfile(grantway)).read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name: node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }


def test_every_name_is_listed_once_and_has_one_home() -> None:
    listed = [name for names in grantway._HOMES.values() for name in names]
    assert sorted(listed) == sorted(set(listed))
    assert sorted(grantway.__all__) == sorted(listed)


def test_type_checkers_see_what_the_program_gets() -> None:
    assert type_checking_imports() == grantway._HOME


@pytest.mark.parametrize("name", grantway.__all__)
def test_a_name_is_what_its_home_calls_it(name: str) -> None:
    home = import_module(f"grantway.{grantway._HOME[name]}")
    assert getattr(grantway, name) is getattr(home, name)
    assert name in dir(grantway)


def test_every_exception_is_public() -> None:
    exceptions = import_module("grantway._exceptions")
    defined = {
        name
        for name, value in vars(exceptions).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert defined <= set(grantway.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Clinet"):
        grantway.Clinet  # noqa: B018


def test_importing_the_package_loads_no_library() -> None:
    code = (
        "import sys, grantway, grantway_plugins.aws;"
        "print([m for m in ('requests', 'urllib3', 'marshmallow', 'pluggy', 'cachetools',"
        " 'http.client') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
