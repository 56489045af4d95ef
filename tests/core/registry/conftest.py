"""Fixtures: a folder for test distributions, and an empty default registry."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from grantway._plugins import default_registry as process
from grantway._plugins.failures import forget_reports
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
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the default registry after each test."""
    monkeypatch.setattr(process, "_current", None)
    monkeypatch.setattr(process, "_installed", None)
    monkeypatch.setattr(process, "_application", {})
    forget_reports()
