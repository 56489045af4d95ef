"""Registry fixtures and a temporary home directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.registry.conftest import fresh_process, site
from tests.plugins.cli.home import Home

__all__ = ["fresh_process", "home", "site"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return an empty home directory without profiles."""
    return Home(tmp_path)
