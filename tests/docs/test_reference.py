"""Tests that every public name, hook, exception and command is documented."""

from __future__ import annotations

import inspect
import re

import click
import pytest
import yaml

import grantway
from grantway import _exceptions as exceptions, hookspecs
from grantway_plugins.cli.app import COMMANDS, app
from tests.docs.pages import DOCS, ROOT, blocks

REFERENCE = {page.name: page.read_text(encoding="utf-8") for page in DOCS.glob("reference/*.md")}
DOCUMENTED = re.findall(r"^::: (\S+)$", "\n".join(REFERENCE.values()), re.MULTILINE)


@pytest.mark.parametrize("name", grantway.__all__)
def test_documents_every_public_name(name: str) -> None:
    documented = {path.rpartition(".")[2] for path in DOCUMENTED}
    text = "\n".join(REFERENCE.values())
    assert name in documented or f"`grantway.{name}`\n:" in text


@pytest.mark.parametrize("path", DOCUMENTED)
def test_every_documented_name_exists(path: str) -> None:
    module, _, name = path.rpartition(".")
    try:
        home = __import__(module, fromlist=[name])
    except ModuleNotFoundError:
        pytest.fail(f"there is no module {module}")
    assert hasattr(home, name)


def test_documents_every_hook_with_an_example() -> None:
    hooks = [name for name in dir(hookspecs) if name.startswith("grantway_")]
    assert hooks
    assert "::: grantway.hookspecs\n" in REFERENCE["hooks.md"]
    for name in hooks:
        text = inspect.getdoc(getattr(hookspecs, name)) or ""
        assert f"def {name}(" in text, f"{name} has no example"


def tree() -> dict[str, str | None]:
    """Return each exception class and its base class, as drawn on the page."""
    page = blocks(DOCS / "reference" / "exceptions.md")
    drawing = next(block.code for block in page if block.code.startswith("GrantwayError"))
    above: dict[str, str | None] = {}
    path: list[str] = []
    for line in drawing.splitlines():
        found = re.match(r"([| `]*-? ?)(\w+)", line)
        assert found, line
        depth = len(found[1]) // 3
        path = [*path[:depth], found[2]]
        above[found[2]] = path[depth - 1] if depth else None
    return above


def test_the_tree_of_exceptions_is_correct() -> None:
    classes = {
        name: kind
        for name, kind in vars(exceptions).items()
        if inspect.isclass(kind) and issubclass(kind, exceptions.GrantwayError)
    }
    real = {
        name: kind.__bases__[0].__name__ if name != "GrantwayError" else None
        for name, kind in classes.items()
    }
    assert tree() == real


def test_documents_every_exception() -> None:
    documented = {path.rpartition(".")[2] for path in DOCUMENTED}
    assert set(tree()) <= documented


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_documents_every_command_and_option(command: str) -> None:
    text = REFERENCE["command-line.md"]
    assert f"## grantway {command}\n" in text
    section = text.split(f"## grantway {command}\n")[1].split("\n## ")[0]
    found = app.get_command(click.Context(app), command)
    assert found is not None
    for option in found.params:
        for name in option.opts:
            assert f"`{name}" in section, name


def test_every_page_is_in_the_navigation() -> None:
    class Loader(yaml.SafeLoader):
        """A loader that ignores references to Python objects."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    config = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)

    def listed(entries: object) -> set[str]:
        if isinstance(entries, str):
            return {entries}
        inner = entries.values() if isinstance(entries, dict) else entries
        return set().union(*(listed(each) for each in inner))  # type: ignore[attr-defined]

    assert listed(config["nav"]) == {
        page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")
    }


def test_the_site_loads_nothing_from_other_hosts() -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in config
    assert "http" not in config
