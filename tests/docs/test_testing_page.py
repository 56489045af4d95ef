"""Tests that the reference page of ``grantway.testing`` is complete."""

from __future__ import annotations

import inspect

import pytest

from grantway import testing
from grantway.testing import faults
from grantway.testing._rules import RULES
from grantway_plugins.testing import _plugin as plugin
from tests.docs.pages import DOCS

PAGE = (DOCS / "reference" / "testing.md").read_text(encoding="utf-8")
FIXTURES = [name for name in vars(plugin) if name.startswith("grantway_")]
ACTS = [
    name
    for name, each in vars(faults).items()
    if inspect.isfunction(each) and each.__module__ == faults.__name__ and name != "message"
]


@pytest.mark.parametrize("name", testing.__all__)
def test_documents_every_public_name(name: str) -> None:
    assert getattr(testing, name)
    assert f"::: grantway.testing.{name}\n" in PAGE or name in {"Act", "faults"}


@pytest.mark.parametrize("name", FIXTURES)
def test_documents_every_fixture(name: str) -> None:
    assert f"\n| `{name}` | " in PAGE


@pytest.mark.parametrize("name", ["registration", *(rule.__name__ for rule in RULES)])
def test_documents_every_rule(name: str) -> None:
    assert f"\n| `{name.replace('_', '-')}` | " in PAGE


@pytest.mark.parametrize("name", [*ACTS, "chunk_cut", "chunks_cut", "drip_head"])
def test_documents_every_fault(name: str) -> None:
    assert f"`{name}`" in PAGE or f"`{name}(" in PAGE


def test_rejects_unknown_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Clock'"):
        testing.Clock  # noqa: B018 - looking it up is the test
    assert set(testing.__all__) <= set(dir(testing))
