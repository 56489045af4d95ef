"""Tracebacks that show local variables contain no secret of a request, setting or reply."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

import grantway
from grantway import Client, Grant, GrantSchema, GrantwayError, Provider
from grantway_plugins.executable import Command, executable_client, executable_parameters
from tests.faults import FaultServer, respond
from tests.plugins.executable.programs import Program, printing, token

COUPON = "urn:example:coupon"
#: Module level, so that the frames of the tests do not show them.
REQUEST = {"pin": "very-secret-pin"}
SECRET = {"client_secret": "very-secret-client"}
VARIABLE = "very-secret-variable"

FAILURES = {
    "stderr": "cat >&2; env >&2; exit 1",
    "html": "echo '<p>'; cat",
    "login": "exit 77",
    "rejection": printing({"error": "invalid_grant", "error_description": "x"}),
    "spoilt token": f"{token(access_token='very-secret-token')}\nexit 1",
    "spoilt result": f"{printing({'parameters': {'a': 'very-secret-a'}})}\nexit 1",
    "spoilt secret": f"{printing({'secret': {'value': 'very-secret-value'}})}\nexit 1",
    "cannot start": "",
}


def _command(program: Program, name: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("PROGRAM_TOKEN", VARIABLE)
    written = program(FAILURES[name])
    if not FAILURES[name]:
        Path(written.command[0]).write_text("no program")
    arguments = (written.command[0], "--password", "very-secret-argument")
    return Command(arguments, environment=["PROGRAM_*"], output=written.output)


def _assert_hidden(error: BaseException) -> None:
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert "very-secret" not in "".join(shown.format())
    assert "very-secret" not in repr(error)


@pytest.mark.parametrize("name", FAILURES)
def test_a_token_request(program: Program, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    client = executable_client(_command(program, name, monkeypatch), grants=[COUPON], **SECRET)
    with pytest.raises(GrantwayError) as caught:
        client.create_token(grant_type=COUPON, extra=REQUEST)
    _assert_hidden(caught.value)


@pytest.mark.parametrize("name", FAILURES)
def test_parameters(program: Program, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    command = _command(program, name, monkeypatch)
    with FaultServer(respond()) as server:
        client = Client(
            Provider(server.token_endpoint),
            client_id="ci",
            grants=[Grant(COUPON, GrantSchema())],
            middleware=[executable_parameters(command, COUPON)],
            **SECRET,
        )
        with pytest.raises(GrantwayError) as caught:
            client.create_token(grant_type=COUPON, extra=REQUEST)
    _assert_hidden(caught.value)


@pytest.mark.parametrize("output", ["text", "grantway"])
@pytest.mark.parametrize("name", FAILURES)
def test_a_secret(
    program: Program, monkeypatch: pytest.MonkeyPatch, name: str, output: str
) -> None:
    command = _command(program, name, monkeypatch)
    source = grantway.default_registry().secret_source(
        "command", command=command.command, environment=["PROGRAM_*"], output=output
    )
    if output == "text" and name == "rejection":
        source.read()  # its output is text
        return
    with pytest.raises(GrantwayError) as caught:
        source.read()
    _assert_hidden(caught.value)
