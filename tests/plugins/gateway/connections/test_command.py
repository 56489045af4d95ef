"""``grantway gateway connections`` beside the database of a gateway."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from grantway import Token
from grantway_plugins.gateway._connections.service import Connections
from tests.plugins.cli.test_clients import grantway
from tests.plugins.gateway.connections.scenes import ANN, BEN, gateway_file, login, run_file
from tests.plugins.gateway.connections.test_configuration import KEY as OLD
from tests.plugins.gateway.connections.test_reencryption import NEW, OTHER
from tests.plugins.gateway.running.conftest import Backends

pytestmark = pytest.mark.slow

COMMAND = ("gateway", "connections")


@pytest.fixture
def file(backends: Backends, tmp_path: Path) -> Path:
    """Write the file of a gateway with a database."""
    store = f'{{ kind = "sql", url = "sqlite:///{tmp_path}/gateway.sqlite3" }}'
    return gateway_file(backends, tmp_path, store=store)


@pytest.fixture
def connected(file: Path, backends: Backends) -> Token:
    """Connect two users, and break the connection of the second; return the first token."""
    runtime, connections = run_file(file)
    token = login(connections, backends.issuer)

    async def main(connections: Connections) -> None:
        await connections.connected(ANN, "github", token)
        await connections.connected(BEN, "github", Token("at", expires_at=1.0))
        assert await connections.broken(BEN.id, "github", "expired")
        await runtime.components.close_async()

    asyncio.run(main(connections))
    return token


def test_lists_audits_and_removes_connections(
    file: Path, connected: Token, backends: Backends
) -> None:
    config = ("--config", str(file))
    listed = grantway(*COMMAND, "list", "--json", *config)
    assert listed.returncode == 0, listed.stderr
    first, second = sorted(json.loads(listed.stdout), key=lambda each: str(each["subject"]))
    assert (first["user"], first["subject"], first["state"]) == (ANN.id, "ann", "connected")
    assert first["due_at"] > first["connected_at"]
    assert (second["subject"], second["state"], second["due_at"]) == ("ben", "broken", None)
    only = grantway(*COMMAND, "list", "--state", "broken", "--provider", "github", *config)
    assert BEN.id in only.stdout
    assert ANN.id not in only.stdout
    audit = json.loads(grantway(*COMMAND, "audit", BEN.id, "--json", *config).stdout)
    assert [(each["event"], each["reason"]) for each in audit] == [
        ("broken", "expired"),
        ("connected", None),
    ]
    removed = grantway(*COMMAND, "disconnect", ANN.id, "github", *config)
    assert removed.stdout == "Disconnected, and revoked at the provider\n", removed.stderr
    (event, _) = json.loads(grantway(*COMMAND, "audit", ANN.id, "--json", *config).stdout)
    assert (event["event"], event["reason"]) == ("revoked", "operator")
    again = grantway(*COMMAND, "disconnect", ANN.id, "github", *config)
    assert again.returncode != 0
    assert f"{ANN.id} has no connection to github" in again.stderr
    unknown = grantway(*COMMAND, "disconnect", ANN.id, "gitlab", *config)
    assert f"{ANN.id} has no connection to gitlab" in unknown.stderr
    unknown_user = grantway(*COMMAND, "audit", "stranger", "--json", *config)
    assert json.loads(unknown_user.stdout) == []
    assert "No events of stranger are kept" in unknown_user.stderr
    for each in (listed, only, removed, again):
        assert connected.access_token not in each.stdout + each.stderr
        assert "Traceback" not in each.stderr


def test_ends_a_rotation_of_keys(file: Path, connected: Token) -> None:
    config, text = ("--config", str(file)), file.read_text()
    file.write_text(text.replace(OLD, OTHER))
    wrong = grantway(*COMMAND, "reencrypt", *config)
    assert wrong.returncode != 0
    assert "Keep the older keys" in wrong.stderr
    assert "Nothing was removed" in wrong.stderr
    assert OTHER not in wrong.stderr + wrong.stdout
    unreadable = grantway(*COMMAND, "list", *config)
    assert ANN.id in unreadable.stdout
    assert "If you removed a key, add it after the newest" in unreadable.stderr
    file.write_text(text.replace(OLD, f"{NEW},{OLD}"))
    done = grantway(*COMMAND, "reencrypt", *config)
    assert done.returncode == 0, done.stderr
    assert "Encrypted again: 2 tokens and 2 records of 2 connections" in done.stdout
    file.write_text(text.replace(OLD, NEW))
    after = grantway(*COMMAND, "reencrypt", *config)
    assert "Encrypted again: 0 tokens and 0 records of 2 connections" in after.stdout
    runtime, connections = run_file(file)

    async def main() -> Token:
        held = await connections.credential("github", ANN.id).token_async()
        await runtime.components.close_async()
        return held

    assert asyncio.run(main()).access_token == connected.access_token


def test_says_why_a_file_cannot_be_used(backends: Backends, tmp_path: Path) -> None:
    memory = gateway_file(backends, tmp_path)
    failed = grantway(*COMMAND, "list", "--config", str(memory))
    assert "memory of the gateway" in failed.stderr
    text = memory.read_text()
    memory.write_text(text.replace(OLD, "short"))
    failed = grantway(*COMMAND, "list", "--config", str(memory))
    assert "gateway.toml" in failed.stderr
    assert "32 bytes" in failed.stderr


def test_a_provider_that_is_down_does_not_prevent_a_list(
    file: Path, connected: Token, backends: Backends
) -> None:
    text = file.read_text().replace('start = "degraded"', 'start = "strict"')
    file.write_text(text.replace(backends.issuer.url, "http://127.0.0.1:1"))
    listed = grantway(*COMMAND, "list", "--config", str(file))
    assert listed.returncode == 0, listed.stderr
    assert ANN.id in listed.stdout
