"""Connections to providers that were removed from the gateway's file, or that changed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from grantway import Token
from grantway._exceptions import ConfigurationError
from grantway_plugins.gateway._connections.details import Details
from grantway_plugins.gateway._connections.reencryption import reencrypt
from grantway_plugins.gateway._connections.service import Connections
from tests.plugins.cli.test_clients import grantway
from tests.plugins.gateway.connections.scenes import ANN, BEN, gateway_file, login, run_file
from tests.plugins.gateway.connections.test_configuration import KEY as OLD
from tests.plugins.gateway.connections.test_reencryption import NEW
from tests.plugins.gateway.running.conftest import Backends

Result = TypeVar("Result")
COMMAND = ("gateway", "connections")


@pytest.fixture
def file(backends: Backends, tmp_path: Path) -> Path:
    """Write the file of a gateway with a database."""
    store = f'{{ kind = "sql", url = "sqlite:///{tmp_path}/gateway.sqlite3" }}'
    return gateway_file(backends, tmp_path, store=store)


def run(file: Path, work: Callable[[Connections], Coroutine[Any, Any, Result]]) -> Result:
    """Do work in a gateway."""
    runtime, connections = run_file(file)

    async def main() -> Result:
        try:
            return await work(connections)
        finally:
            await runtime.components.close_async()

    return asyncio.run(main())


def remove(text: str) -> str:
    """Return the text of a file with another provider instead of the one."""
    for name in ("connections.providers", "providers", "routes"):
        text = text.replace(f"[{name}.github]", f"[{name}.gitlab]")
    return text.replace('provider = "github"', 'provider = "gitlab"')


def connect(file: Path) -> str:
    """Connect two users, remove the provider from the file, and return the file's old text."""

    async def work(connections: Connections) -> None:
        for user in (ANN, BEN):
            token = Token(f"at-{user.subject}", refresh_token="rt", expires_at=1e12)
            await connections.connected(user, "github", token)

    run(file, work)
    text = file.read_text()
    file.write_text(remove(text))
    return text


async def tokens(connections: Connections) -> list[str]:
    """Return the access tokens of the two users at the provider."""
    found = []
    for user in (ANN, BEN):
        with suppress(Exception):
            credential = connections.credential("github", user.id)
            found.append((await credential.token_async()).access_token)
    return found


@pytest.mark.slow
def test_the_command_lists_and_deletes_them(file: Path) -> None:
    text, config = connect(file), ("--config", str(file))
    listed = grantway(*COMMAND, "list", "--json", *config)
    assert [each["in_file"] for each in json.loads(listed.stdout)] == [False, False]
    assert "2 connections are to github, which has no table" in listed.stderr
    assert "grantway gateway connections disconnect-all github" in listed.stderr
    one = grantway(*COMMAND, "disconnect", ANN.id, "github", *config)
    assert one.returncode == 0, one.stderr
    assert one.stdout == (
        "Disconnected, but not revoked at the provider: the provider is not in the gateway's file\n"
    )
    file.write_text(text)
    assert run(file, tokens) == ["at-ben"]
    file.write_text(remove(text))
    asked = grantway(*COMMAND, "disconnect-all", "github", *config)
    assert asked.returncode != 0, "it asks for a confirmation"
    everyone = grantway(*COMMAND, "disconnect-all", "github", "--yes", *config)
    assert everyone.returncode == 0, everyone.stderr
    assert everyone.stdout == "Disconnected: 1, of which revoked: 0\n"
    none = grantway(*COMMAND, "disconnect-all", "github", "--yes", *config)
    assert "No user has a connection to github" in none.stderr
    file.write_text(text)
    assert run(file, tokens) == []
    audit = json.loads(grantway(*COMMAND, "audit", BEN.id, "--json", *config).stdout)
    assert (audit[0]["event"], audit[0]["reason"]) == (
        "disconnected",
        "the provider is not in the gateway's file",
    )


@pytest.mark.slow
def test_the_command_revokes_all_connections_before_the_removal(
    file: Path, backends: Backends
) -> None:
    token = []

    async def work(connections: Connections) -> None:
        token.append(await asyncio.to_thread(login, connections, backends.issuer))
        await connections.connected(ANN, "github", token[0])

    run(file, work)
    done = grantway(*COMMAND, "disconnect-all", "github", "--yes", "--config", str(file))
    assert done.stdout == "Disconnected: 1, of which revoked: 1\n", done.stderr
    assert token[0].access_token not in done.stdout + done.stderr


def test_reencrypt_finds_their_tokens(file: Path) -> None:
    text = connect(file)
    file.write_text(file.read_text().replace(OLD, f"{NEW},{OLD}"))
    result = run(file, reencrypt)
    assert (result.tokens, result.records, result.finished) == (2, 2, True)
    file.write_text(text.replace(OLD, NEW))
    assert run(file, tokens) == ["at-ann", "at-ben"]


def test_a_record_that_does_not_name_the_token_is_kept(file: Path) -> None:
    text = connect(file)

    async def forget(connections: Connections) -> None:
        known = await connections.records.connection(ANN.id, "github")
        assert known is not None
        details = Details(ANN).sealed(connections.sealed, ANN.id, "github")
        assert await connections.records.change(replace(known, details=details))
        with pytest.raises(ConfigurationError, match=r"Put the tables \[providers.github\]"):
            await connections.remove(ANN.id, "github")
        after = await connections.records.connection(ANN.id, "github")
        assert after is not None
        assert after.state == "connected"

    run(file, forget)
    file.write_text(text)
    assert run(file, tokens) == ["at-ann", "at-ben"]


@pytest.mark.parametrize("way", ["disconnect", "connect"])
def test_the_token_of_a_former_client_is_deleted(file: Path, way: str) -> None:
    text = connect(file)

    async def end(connections: Connections) -> None:
        if way == "disconnect":
            assert (await connections.disconnect(ANN, "github")).existed
        else:
            await connections.connected(ANN, "github", Token("new", refresh_token="rt"))

    file.write_text(re.sub(r'client_id = "(?!pages)[^"]+"', 'client_id = "another"', text))
    run(file, end)
    file.write_text(text)
    assert run(file, tokens) == ["at-ben"]
