"""The issuer that the examples talk to."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.interop.program import Program

READY = "grantway issuer listening on "


@pytest.fixture(scope="session")
def issuer() -> Iterator[str]:
    """The address of ``grantway serve``, run as the documentation says."""
    start = "from grantway_plugins.cli import main; main()"
    options = ["--port", "0", "--database", ":memory:", "--approve", "auto"]
    options += ["--device-interval-seconds", "0"]
    with Program([sys.executable, "-c", start, "serve", *options]) as program:
        line = program.read_line()
        while not line.startswith(READY):
            line = program.read_line()
        yield line.removeprefix(READY).strip()
