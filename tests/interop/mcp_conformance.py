"""The npm package @modelcontextprotocol/conformance."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests

from tests.interop import node_packages
from tests.interop.mcp_scenarios import EXTENSION
from tests.interop.program import Program
from tests.waiting import PATIENCE

_PROGRAM = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
#: The package's own limit for a scenario is 30 seconds.
_LIMIT = ("--timeout", str(int(PATIENCE * 1000)))
#: Printed after the last scenario of ``authorization``.
_END = re.compile(r"Total: \d+ passed, \d+ failed")


def judge_issuer(
    issuer: str,
    client_id: str,
    *,
    version: str,
    port: int,
    approve: Callable[[str], str],
    folder: Path,
) -> dict[str, str]:
    """Run the scenarios for authorization servers, and return the status of each check.

    Args:
        issuer: URL of the issuer.
        client_id: A public client with the redirect URI ``http://127.0.0.1:PORT/callback``.
        version: Version of the protocol.
        port: The port, which the package listens on.
        approve: Approves a request as the user, and returns the redirect.
        folder: Folder for the results.
    """
    options = ["--url", issuer, "--client-id", client_id, "--port", str(port)]
    options += ["--resource", "https://api.example.com/", "--spec-version", version]
    command = _command("authorization", *options)
    with Program([*command, "-o", str(folder)], cwd=node_packages.FOLDER) as program:
        url = ""
        listening = False
        while not url or not listening:
            line = program.read_line()
            listening |= line.startswith("Callback server started")
            if line.startswith(f"{issuer}/authorize?"):
                url = line.strip()
        requests.get(approve(url), timeout=PATIENCE).raise_for_status()
        while not _END.fullmatch(program.read_line().strip()):
            pass
    return _checks(folder)


def judge_server(url: str, scenario: str, version: str, folder: Path) -> dict[str, str]:
    """Run a scenario for MCP servers at a version, and return the status of each check."""
    options = ("--url", url, "--scenario", scenario, "--spec-version", version)
    _run("server", *options, *_LIMIT, "-o", str(folder))
    return _checks(folder)


def judge_client(
    command: str, scenario: str, version: str, folder: Path, environment: Mapping[str, str]
) -> dict[str, str]:
    """Run a scenario for MCP clients, and return the status of each check.

    Args:
        command: The client's command, to which the package appends the URL of a server.
        scenario: Name of the scenario.
        version: Version of the protocol, or ``extension``.
        folder: Folder for the results.
        environment: Environment variables to set for the client.
    """
    options = ["--command", command, "--scenario", scenario, *_LIMIT, "-o", str(folder)]
    if version != EXTENSION:
        options += ["--spec-version", version]
    _run("client", *options, environment=environment)
    return _checks(folder)


def listed(command: str) -> dict[str, tuple[str, ...]]:
    """Return the package's scenarios of a command, with the versions of the protocol of each."""
    option = {"client": "--client", "server": "--server", "authorization": "--authorization"}
    lines = _run("list", option[command])
    found = re.findall(r"^  - (\S+) \[(.*)\]$", lines, re.MULTILINE)
    assert found, lines
    return {name: tuple(versions.split(",")) for name, versions in found}


def _command(*arguments: str) -> list[str]:
    node_packages.install()
    return [str(node_packages.NODE), _PROGRAM, *arguments]


def _run(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    finished = subprocess.run(
        _command(*arguments),
        cwd=node_packages.FOLDER,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    # It is 1 if a check fails, or if the client failed although the scenario does not permit that.
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def _checks(folder: Path) -> dict[str, str]:
    """Return the worst status of each check in the results."""
    found: dict[str, str] = {}
    for file in folder.rglob("checks.json"):
        checks: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        for check in checks:
            if found.get(check["id"]) not in {"FAILURE", "WARNING"}:
                found[check["id"]] = check["status"]
    assert found, "there are no results"
    return found
