"""Fixtures: a folder for test distributions, and an empty default registry."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from grantway._plugins import default_registry as process
from tests.core.registry.distributions import Site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("GRANTWAY_PLUGINS", raising=False)
    yield Site(tmp_path)
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """Restore the default registry after each test."""
    with process.set_aside():
        yield
