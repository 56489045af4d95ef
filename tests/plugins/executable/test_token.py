"""Tokens of programs: in credentials, stores, threads and event loops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from grantway import (
    ConfigurationError,
    Credential,
    InvalidGrantException,
    RequestInvalidError,
    UnknownGrantTypeError,
)
from grantway_plugins.executable import Command, ExecutableError, executable_client
from grantway_plugins.stores import MemoryStore
from tests.plugins.executable.programs import SETTING, Program, printing, script, token

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
SUBJECT = {
    "subject_token": "subject-4711",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
}
#: Answers a refresh with another token than the first request.
ROTATING = f"""
read request
echo "$request" >>"$0.requests"
case $request in
*'"grant_type":"refresh_token"'*) {{ {token(access_token="at-2", refresh_token="rt-2")}
}} ;;
*) {{ {token(refresh_token="rt-1")}
}} ;;
esac
"""


def _requests(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "corp-token.requests").read_text().splitlines()
    return [json.loads(line) for line in lines]


def _credential(command: Command, store: MemoryStore) -> Credential:
    return executable_client(command).credential(grant_type="client_credentials", store=store)


def test_gets_the_checked_parameters_on_its_standard_input(
    program: Program, tmp_path: Path
) -> None:
    client = executable_client(program(ROTATING), client_id="ci", client_secret="s3cr3t")
    client.create_token(grant_type=EXCHANGE, scope=["read", "write"], **SUBJECT)
    (request,) = _requests(tmp_path)
    assert request == {
        "versions": [1],
        "request": "token",
        "parameters": {
            "grant_type": EXCHANGE,
            "scope": "read write",
            **SUBJECT,
            "client_id": "ci",
            "client_secret": "s3cr3t",
        },
    }


def test_runs_nothing_for_invalid_parameters(program: Program, tmp_path: Path) -> None:
    client = executable_client(program(ROTATING))
    with pytest.raises(RequestInvalidError, match="subject_token"):
        client.create_token(grant_type=EXCHANGE)
    with pytest.raises(UnknownGrantTypeError):
        client.create_token(grant_type="urn:example:coupon")
    assert not (tmp_path / "corp-token.requests").exists()


def test_performs_a_grant_that_no_plugin_registers(program: Program, tmp_path: Path) -> None:
    client = executable_client(program(ROTATING), grants=["urn:example:coupon"])
    client.create_token(grant_type="urn:example:coupon", extra={"coupon": "SPRING"})
    assert _requests(tmp_path)[0]["parameters"]["coupon"] == "SPRING"


def test_a_refresh_token_is_passed_to_the_program_and_its_successor_is_stored(
    program: Program, tmp_path: Path
) -> None:
    store = MemoryStore()
    credential = _credential(program(ROTATING), store)
    first = credential.token()
    assert first.access_token == "at-1"
    credential.invalidate(first)
    assert credential.token().access_token == "at-2"
    assert _requests(tmp_path)[1]["parameters"]["refresh_token"] == "rt-1"
    stored = store.load(credential.key)
    assert stored is not None
    assert stored.refresh_token == "rt-2"


def test_a_rotated_refresh_token_is_stored_before_the_failure_is_reported(
    program: Program, tmp_path: Path
) -> None:
    store = MemoryStore()
    credential = _credential(program(ROTATING), store)
    first = credential.token()
    script(tmp_path, f"{token(access_token='at-2', refresh_token='rt-2')}\nexit 3")
    credential.invalidate(first)
    with pytest.raises(ExecutableError, match="printed a token and then failed: it exited with"):
        credential.token()
    stored = store.load(credential.key)
    assert stored is not None
    assert (stored.access_token, stored.refresh_token) == ("at-2", "rt-2")
    script(tmp_path, "exit 1")
    assert credential.token().access_token == "at-2"  # without running the program again


def test_a_failed_refresh_keeps_the_refresh_token(program: Program, tmp_path: Path) -> None:
    store = MemoryStore()
    credential = _credential(program(ROTATING), store)
    credential.invalidate(credential.token())
    script(tmp_path, "exit 1")
    with pytest.raises(ExecutableError):
        credential.token()
    stored = store.load(credential.key)
    assert stored is not None
    assert stored.refresh_token == "rt-1"


def test_threads_that_wait_for_a_token_share_one_run(program: Program, tmp_path: Path) -> None:
    credential = _credential(program(f"echo x >>$0.runs; sleep 0.05\n{token()}"), MemoryStore())
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: credential.token().access_token, range(8)))
    assert found == ["at-1"] * 8
    assert (tmp_path / "corp-token.runs").read_text() == "x\n"


def test_tasks_share_one_run_and_the_loop_is_not_blocked(program: Program, tmp_path: Path) -> None:
    go = tmp_path / "go"
    text = f"echo x >>$0.runs; while [ ! -e {go} ]; do sleep 0.01; done\n{token()}"
    credential = _credential(program(text), MemoryStore())

    async def main() -> Iterable[str]:
        tasks = [asyncio.create_task(credential.token_async()) for _ in range(8)]
        await asyncio.sleep(0)  # the tasks have started the program, or will
        go.touch()  # the program ends only if the loop gets here
        return [each.access_token for each in await asyncio.gather(*tasks)]

    assert asyncio.run(main()) == ["at-1"] * 8
    assert (tmp_path / "corp-token.runs").read_text() == "x\n"


def test_the_event_loop_runs_while_the_program_does(program: Program, tmp_path: Path) -> None:
    go = tmp_path / "go"
    client = executable_client(program(f"while [ ! -e {go} ]; do sleep 0.01; done\n{token()}"))

    async def main() -> str:
        running = asyncio.create_task(client.create_token_async(grant_type="client_credentials"))
        await asyncio.sleep(0)
        go.touch()  # the program ends only if the loop gets here
        return (await running).access_token

    assert asyncio.run(main()) == "at-1"


def test_a_token_that_arrives_after_its_task_was_cancelled_is_stored(
    program: Program, tmp_path: Path
) -> None:
    go, store = tmp_path / "go", MemoryStore()
    text = f"touch $0.runs; while [ ! -e {go} ]; do sleep 0.01; done\n{token(refresh_token='rt-1')}"
    credential = _credential(program(text), store)

    async def main() -> None:
        asking = asyncio.create_task(credential.token_async())
        while not (tmp_path / "corp-token.runs").exists():  # noqa: ASYNC110 - a program sets it
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        go.touch()

    asyncio.run(main())
    stored = store.load(credential.key)
    assert stored is not None
    assert stored.refresh_token == "rt-1"


def test_two_programs_have_two_tokens(program: Program) -> None:
    store = MemoryStore()
    first = _credential(program(token()), store)
    second = _credential(program(token(access_token="at-9"), name="other"), store)
    assert (first.token().access_token, second.token().access_token) == ("at-1", "at-9")


def test_a_setting_error_is_raised_by_each_call(program: Program, tmp_path: Path) -> None:
    client = executable_client(program(token()))
    (tmp_path / "corp-token").chmod(0o777)
    with pytest.raises(ConfigurationError, match=f"{SETTING}.*chmod go-w"):
        client.create_token(grant_type="client_credentials")
    (tmp_path / "corp-token").chmod(0o755)
    assert client.create_token(grant_type="client_credentials").access_token == "at-1"


def test_an_oauth_error_removes_a_useless_refresh_token(program: Program, tmp_path: Path) -> None:
    credential = executable_client(program("exit 1")).credential(
        grant_type="refresh_token", refresh_token="rt-0", store=MemoryStore()
    )
    script(tmp_path, printing({"error": "invalid_grant"}))
    with pytest.raises(Exception, match=r"login|log in") as caught:
        credential.token()
    assert isinstance(caught.value.__cause__, InvalidGrantException)


FORMATS = {
    "text": "echo at-1",
    "exec-credential": """test -n "$KUBERNETES_EXEC_INFO" && echo '{
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": "at-1", "expirationTimestamp": "2100-01-01T00:00:00Z"}}'""",
    "google": """test "$GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES" = 1 && echo '{
        "version": 1, "success": true, "id_token": "at-1", "expiration_time": 4102444800,
        "token_type": "urn:ietf:params:oauth:token-type:jwt"}'""",
}


@pytest.mark.parametrize("output", FORMATS)
def test_supports_programs_of_other_tools(program: Program, output: str) -> None:
    client = executable_client(program(FORMATS[output], output=output))
    found = client.create_token(grant_type="client_credentials")
    assert found.access_token == "at-1"
    assert (found.expires_at is None) == (output == "text")


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("exit 0", "printed nothing on stdout"),
        ("echo '<p>Log in</p>'", "printed HTML on stdout"),
        ("echo no token >&2; exit 1", "exited with status 1, and wrote to stderr: no token"),
    ],
)
def test_unusable_output_of_such_a_program(
    program: Program, output: str, text: str, problem: str
) -> None:
    client = executable_client(program(text, output=output))
    with pytest.raises(ExecutableError, match=problem):
        client.create_token(grant_type="client_credentials")


def test_a_failure_that_a_program_for_google_auth_reports(program: Program) -> None:
    text = """echo '{"version": 1, "success": false, "code": "401", "message": "log in first"}'"""
    client = executable_client(program(text, output="google"))
    with pytest.raises(ExecutableError, match="its message is: log in first"):
        client.create_token(grant_type="client_credentials")


def test_a_json_object_without_the_token(program: Program) -> None:
    client = executable_client(
        program("""echo '{"status": {"token": 5}}'""", output="exec-credential")
    )
    with pytest.raises(ExecutableError, match=r"without text at status\.token"):
        client.create_token(grant_type="client_credentials")
