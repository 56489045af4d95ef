"""Run a program that coverage does not measure, because it counts its imports."""

from __future__ import annotations

import os


def environment() -> dict[str, str]:
    """Return this process's environment without the variable that starts coverage."""
    return {name: text for name, text in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}
