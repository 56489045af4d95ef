"""Accepting connections when no file descriptor is left."""

from __future__ import annotations

import os
import re
import socket
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.interop.program import Program
from tests.waiting import PATIENCE

SILENT = 300
SERVE = f"exec {sys.executable} -m grantway_plugins.cli serve --port 0 --database :memory:"
#: The limit of connections is met first unless the program has other files open.
HOARD = """
import os, sys
from grantway_plugins.issuer import serve
kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(150)]
serve(database=":memory:")
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no limit of open files")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (SERVE, "maximum of 128 open connections"),
        (f"exec {sys.executable} -c '{HOARD}'", "ulimit -n"),
    ],
    ids=["connections", "files"],
)
def test_idle_sockets_neither_block_the_issuer_nor_fill_its_log(
    command: str, message: str, tmp_path: Path
) -> None:
    with ExitStack() as opened:
        program = opened.enter_context(
            Program(["bash", "-c", f"ulimit -n 256; {command}"], cwd=tmp_path)
        )
        found = re.search(r"http://\S+", program.read_line())
        assert found is not None
        parts = urlsplit(found[0])
        for _ in range(SILENT):
            with suppress(ConnectionError):
                opened.enter_context(
                    socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)
                )
        for _ in range(5):
            assert requests.get(f"{found[0]}/health", timeout=PATIENCE).status_code == 200
        log = program.errors()
    assert message in log
    assert len(log) < 2000
    assert "Traceback" not in log
