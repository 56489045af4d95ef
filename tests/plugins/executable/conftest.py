"""The programs of the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grantway_plugins.executable import Command
from tests.plugins.executable.programs import SETTING, Program, script
from tests.waiting import PATIENCE


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Write shell scripts into the folder of the test."""

    def write(text: str, **options: Any) -> Command:
        path = script(tmp_path, text, options.pop("name", "corp-token"))
        return Command((str(path),), **{"timeout": PATIENCE, "setting": SETTING, **options})

    return write
