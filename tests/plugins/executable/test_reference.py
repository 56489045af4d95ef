"""The programs in the reference run as they are printed there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from grantway import InvalidGrantException, LoginNeededError, ProviderUnavailableError, RetryPolicy
from grantway_plugins.executable import Command, executable_client
from tests.docs.pages import DOCS, blocks
from tests.faults import FaultServer, free_port, respond

COUPON = "urn:example:coupon"
ONCE = RetryPolicy(attempts=1)


def _program(folder: Path, name: str, **options: object) -> Command:
    page = blocks(DOCS / "reference" / "executables.md")
    (block,) = (each for each in page if f'title="{name}"' in each.options)
    path = folder / name
    path.write_text(block.code.replace("/usr/bin/env python3", sys.executable))
    path.chmod(0o755)
    return Command((str(path),), **options)  # type: ignore[arg-type]


def test_the_shell_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    monkeypatch.setenv("AGENT_TOKEN_FILE", str(token))
    command = _program(tmp_path, "agent-token", environment=["AGENT_TOKEN_FILE"])
    client = executable_client(command)
    with pytest.raises(LoginNeededError, match="start the agent: agentctl up"):
        client.create_token(grant_type="client_credentials")
    token.write_text("at-1\n")
    found = client.create_token(grant_type="client_credentials")
    assert (found.access_token, found.expires_in) == ("at-1", 300)


def test_the_python_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = _program(tmp_path, "coupon-grant", environment=["COUPON_ENDPOINT"])
    client = executable_client(command, grants=[COUPON], retry=ONCE)
    rejection = {"error": "invalid_grant", "error_description": "no such coupon"}
    with FaultServer(respond(), respond(400, rejection)) as server:
        monkeypatch.setenv("COUPON_ENDPOINT", server.token_endpoint)
        found = client.create_token(grant_type=COUPON, extra={"coupon": "SPRING"})
        with pytest.raises(InvalidGrantException, match="no such coupon"):
            client.create_token(grant_type=COUPON, extra={"coupon": "AUTUMN"})
    assert found.access_token == "at-1"
    assert server.requests[0].form["coupon"] == ["SPRING"]
    monkeypatch.setenv("COUPON_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ProviderUnavailableError, match="asks to try again later"):
        client.create_token(grant_type=COUPON)
