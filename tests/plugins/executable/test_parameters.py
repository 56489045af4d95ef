"""Programs that complete the parameters of requests that grantway sends."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grantway import (
    AccessDeniedException,
    Client,
    FlowCancelledError,
    InvalidGrantException,
    LoginNeededError,
    Provider,
)
from grantway._types.fields import GrantSchema
from grantway._types.grant import Grant
from grantway_plugins.executable import Command, ExecutableError, executable_parameters
from tests.faults import FaultServer, respond
from tests.plugins.executable.programs import SETTING, Program, printing
from tests.waiting import PATIENCE, until

SIGNED = "urn:example:signed"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(respond()) as running:
        yield running


def _client(server: FaultServer, command: Command, timeout: float = PATIENCE) -> Client:
    return Client(
        Provider(server.token_endpoint),
        client_id="ci",
        client_secret="s3cr3t",
        auth="client_secret_post",
        grants=[Grant(SIGNED, GrantSchema())],
        middleware=[executable_parameters(command, SIGNED)],
        timeout=timeout,
    )


def _send(client: Client) -> Any:
    return client.create_token(grant_type=SIGNED, extra={"device": "d-1"})


def test_adds_the_parameters_of_the_program(
    server: FaultServer, program: Program, tmp_path: Path
) -> None:
    text = printing({"parameters": {"signature": "c2ln", "audience": ["a", "b"]}})
    _send(_client(server, program(f"cat >$0.request\n{text}")))
    assert json.loads((tmp_path / "corp-token.request").read_text()) == {
        "versions": [1],
        "request": "parameters",
        "grant_type": SIGNED,
        "parameters": {"device": "d-1"},
        "client_id": "ci",
        "token_endpoint": server.token_endpoint,
    }
    assert server.requests[0].form == {
        "grant_type": [SIGNED],
        "device": ["d-1"],
        "signature": ["c2ln"],
        "audience": ["a", "b"],
        "client_id": ["ci"],
        "client_secret": ["s3cr3t"],
    }


def test_leaves_other_grants_alone(server: FaultServer, program: Program) -> None:
    client = _client(server, program("exit 1"))
    client.create_token(grant_type="client_credentials")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        ("exit 1", ExecutableError, "exited with status 1"),
        ("exit 77", LoginNeededError, "needs a login"),
        (printing({"error": "access_denied"}), AccessDeniedException, "access_denied"),
        (printing({"parameters": {"client_id": "x"}}), ExecutableError, "'client_id', which"),
        (printing({"parameters": {"a": 1}}), ExecutableError, "'a' that is neither text nor"),
        (printing({"parameters": {"a": [1]}}), ExecutableError, "'a' that is neither text nor"),
        (f"{printing({'parameters': {}})}\nexit 2", ExecutableError, "exited with status 2"),
    ],
)
def test_sends_nothing_if_the_program_fails(
    server: FaultServer, program: Program, text: str, kind: type[Exception], problem: str
) -> None:
    with pytest.raises(kind, match=problem) as caught:
        _send(_client(server, program(text)))
    assert SETTING in str(caught.value)
    assert server.requests == []


def test_the_provider_may_repeat_no_parameter_of_the_program(program: Program) -> None:
    rejection = {"error": "invalid_grant", "error_description": "bad signature c2lnbmF0dXJl"}
    with FaultServer(respond(400, json.dumps(rejection).encode())) as server:
        client = _client(server, program(printing({"parameters": {"proof": "c2lnbmF0dXJl"}})))
        with pytest.raises(InvalidGrantException) as caught:
            _send(client)
    assert "bad signature ***" in str(caught.value)


def test_does_not_block_an_event_loop(
    server: FaultServer, program: Program, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    text = f"while [ ! -e {go} ]; do sleep 0.01; done\n{printing({'parameters': {'a': 'b'}})}"
    client = _client(server, program(text))

    async def main() -> None:
        sending = asyncio.create_task(client.create_token_async(grant_type=SIGNED))
        await asyncio.sleep(0)
        go.touch()  # the program ends only if the loop gets here
        await sending

    asyncio.run(main())
    assert server.requests[0].form["a"] == ["b"]


def test_the_caller_can_cancel_the_wait(
    server: FaultServer, program: Program, tmp_path: Path
) -> None:
    go, cancel = tmp_path / "go", threading.Event()
    client = _client(server, program(f"touch $0.runs; while [ ! -e {go} ]; do sleep 0.01; done"))

    def cancel_later() -> None:
        until((tmp_path / "corp-token.runs").exists)
        cancel.set()

    threading.Thread(target=cancel_later).start()
    with pytest.raises(FlowCancelledError):
        client.create_token(grant_type=SIGNED, cancel=cancel)
    go.touch()
    assert server.requests == []


def test_the_program_ends_with_the_timeout_of_the_call(
    server: FaultServer, program: Program
) -> None:
    client = _client(server, program("exec sleep 1000"))
    with pytest.raises(ExecutableError, match=r"did not finish within|ran for more than"):
        client.create_token(grant_type=SIGNED, timeout=0.1)
