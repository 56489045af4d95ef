"""The fixtures of the registry, and a home in which the commands find their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.registry.conftest import fresh_process, site
from tests.plugins.cli.home import Home

__all__ = ["fresh_process", "home", "site"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A person's home on this machine, with no profile in it yet."""
    return Home(tmp_path)
