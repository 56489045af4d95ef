"""Replies of programs: what becomes of each."""

from __future__ import annotations

import errno
import logging
import time
from typing import Any

import pytest

import grantway
from grantway import (
    GrantwayError,
    InvalidGrantException,
    LoginNeededError,
    ProviderUnavailableError,
    ResponseInvalidError,
    RetryPolicy,
    Token,
    UnknownTokenError,
)
from grantway_plugins.executable import Command, ExecutableError, _process, executable_client
from grantway_plugins.executable._process import start
from tests.plugins.executable.programs import SETTING, Program, printing, token
from tests.waiting import PATIENCE

COUPON = "urn:example:coupon"
PIN = "pin-4711-secret"


def _token(command: Command) -> Token:
    client = executable_client(command, grants=[COUPON], retry=RetryPolicy(attempts=1))
    return client.create_token(grant_type=COUPON, extra={"pin": PIN})


def _error(command: Command) -> GrantwayError:
    with pytest.raises(GrantwayError) as caught:
        _token(command)
    return caught.value


def test_returns_the_token_with_all_members(program: Program) -> None:
    found = _token(program(token(refresh_token="rt-1", id_token="a.b.c", scope="read", team="x")))
    assert (found.access_token, found.refresh_token, found.scope) == ("at-1", "rt-1", ("read",))
    assert found.expires_in == 3600
    assert found.extra == {"team": "x"}


@pytest.mark.parametrize("stated", ["2100-01-01T00:00:00Z", 4102444800])
def test_a_token_may_state_when_it_expires(program: Program, stated: object) -> None:
    found = _token(program(token(expires_in=None, expires_at=stated)))
    assert found.expires_at == pytest.approx(4102444800, abs=300)
    assert found.extra == {}


def test_the_setting_gives_a_lifetime_if_the_program_does_not(program: Program) -> None:
    text = printing({"token": {"access_token": "at-1"}})
    assert _token(program(text, lifetime=60)).expires_in == 60
    assert _token(program(text)).expires_in is None


UNUSABLE = {
    "nothing": ("exit 0", "printed nothing on stdout"),
    "html": ("echo '<html><h1>Log in</h1></html>'", "printed HTML on stdout, which begins: Log in"),
    "html with data": ("echo '<script>x = {};</script><h1>Log in</h1>'", "printed HTML on stdout"),
    "words": (
        "echo hello",
        'no JSON object on stdout; if it prints the secret itself, set output to "text"',
    ),
    "list": ("echo '[1]'", "printed no JSON object on stdout"),
    "truncated": ("""printf '{"version":1,"token":{"acc'""", "printed no JSON object on stdout"),
    "deep": ("""printf '{"a":'; head -c 100000 /dev/zero | tr '\\0' '['""", "no JSON object"),
    "bytes": ("""printf '\\377\\376'""", "printed no JSON object on stdout"),
    "no version": ("echo '{}'", 'without a version of the protocol; add "version": 1'),
    "true": ("""echo '{"version":true}'""", "without a version of the protocol"),
    "newer": ("""echo '{"version":2,"error":"unsupported_version"}'""", "replied in version 2"),
    "another result": (
        printing({"secret": {"value": "x"}}),
        'replied without a JSON object "token"',
    ),
    "empty token": (printing({"token": {}}), 'with an "access_token"'),
    "error object": (printing({"error": {"code": "x"}}), 'replied with an "error" that is no text'),
    "exit": (
        "echo 'cannot reach the vault' >&2; exit 1",
        "exited with status 1, and wrote to stderr: cannot reach the vault",
    ),
    "signal": ("kill -TERM $$", "was ended by signal SIGTERM"),
    "hangs": ("exec sleep 1000", "ran for more than 0.1 s"),
    "floods": ("exec yes", "printed more than 1 MiB"),
}


@pytest.mark.parametrize(("text", "problem"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_reply_names_program_setting_and_remedy(
    program: Program, text: str, problem: str, request: pytest.FixtureRequest
) -> None:
    hangs = "hangs" in request.node.name
    command = program(text, **({"timeout": 0.1} if hangs else {}))
    error = _error(command)
    assert type(error) is ExecutableError
    assert isinstance(error, ResponseInvalidError)
    assert error.message.startswith(f"{SETTING}: {command.command[0]} ")
    assert problem in error.message
    assert "Run the program by hand" in error.message
    assert (error.program, error.setting) == (command.command[0], SETTING)
    assert error.token is None


def test_an_error_has_the_exit_status_and_stderr(program: Program) -> None:
    error = _error(program("echo locked >&2; exit 3"))
    assert isinstance(error, ExecutableError)
    assert (error.exit_status, error.stderr) == (3, "locked")
    assert error.code == "executable_failed"


ERRORS: dict[str, tuple[dict[str, Any], type[GrantwayError]]] = {
    "oauth": ({"error": "invalid_grant"}, InvalidGrantException),
    "own": ({"error": "coupon_spent"}, UnknownTokenError),
    "login": ({"error": "login_needed"}, LoginNeededError),
    "later": ({"error": "retry_later", "retry_after": 90}, ProviderUnavailableError),
}


@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.parametrize(("message", "kind"), ERRORS.values(), ids=ERRORS)
def test_an_error_of_the_program_becomes_its_exception(
    program: Program, message: dict[str, Any], kind: type[GrantwayError], status: int
) -> None:
    said = f"Log in with corp login {PIN}"
    error = _error(program(f"{printing({**message, 'error_description': said})}\nexit {status}"))
    assert type(error) is kind
    assert "Log in with corp login ***" in error.message
    assert PIN not in error.message
    assert "corp-token" in error.message


def test_an_error_code_cannot_contain_a_parameter(program: Program) -> None:
    assert PIN not in _error(program(printing({"error": f"bad_{PIN}"}))).message


def test_retry_later_has_its_seconds(program: Program) -> None:
    error = _error(program(printing({"error": "retry_later", "retry_after": 90.5})))
    assert isinstance(error, ProviderUnavailableError)
    assert error.retry_after == 91


def test_a_program_that_asks_for_it_is_run_again(program: Program, tmp_path: Any) -> None:
    text = f"[ -e {tmp_path}/once ] || {{ touch {tmp_path}/once; exit 75; }}\n{token()}"
    client = executable_client(program(text), grants=[COUPON], retry=RetryPolicy(base=0.001))
    assert client.create_token(grant_type=COUPON).access_token == "at-1"


def test_a_program_that_the_system_could_not_start_is_started_again(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")]

    def begin(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return start(*arguments)

    monkeypatch.setattr(_process, "start", begin)
    client = executable_client(program(token()), retry=RetryPolicy(base=0.001))
    assert client.create_token(grant_type="client_credentials").access_token == "at-1"


def test_a_failed_program_is_not_run_again(program: Program, tmp_path: Any) -> None:
    client = executable_client(program(f"echo x >>{tmp_path}/runs; exit 1"))
    with pytest.raises(ExecutableError):
        client.create_token(grant_type="client_credentials")
    assert (tmp_path / "runs").read_text() == "x\n"


@pytest.mark.parametrize(
    ("status", "kind"), [(75, ProviderUnavailableError), (77, LoginNeededError)]
)
def test_two_exit_statuses_need_no_json(
    program: Program, status: int, kind: type[GrantwayError]
) -> None:
    error = _error(program(f"echo 'run corp login' >&2; exit {status}"))
    assert type(error) is kind
    assert "run corp login" in error.message


SPOILT = {
    "status": f"{token(refresh_token='rt-2')}\necho 'cannot save at-1' >&2\nexit 3",
    "bytes": f"printf '\\377\\n'\n{token(refresh_token='rt-2')}",
    "noise": f"echo 'Fetching...'\n{token(refresh_token='rt-2')}\necho '{{\"level\": \"info\"}}'",
    "version": """echo '{"version":2,"token":{"access_token":"at-1","refresh_token":"rt-2"}}'""",
    "no version": """echo '{"token":{"access_token":"at-1","refresh_token":"rt-2"}}'""",
    "same line": f"printf 'Fetching... '\n{token(refresh_token='rt-2')}",
    "NUL": f"printf '\\0'\n{token(refresh_token='rt-2')}",
    "list": """echo '[{"version":1,"token":{"access_token":"at-1","refresh_token":"rt-2"}}]'""",
    "no end": """echo '{"version":1,"token":{"access_token":"at-1","refresh_token":"rt-2"}'""",
    "log": f'{token(refresh_token="rt-2")}\necho \'INFO reply {{"access_token": "old"}}\'',
    "bare": """echo '{"access_token":"at-1","refresh_token":"rt-2"}'""",
    "error": printing(
        {"error": "server_error", "token": {"access_token": "at-1", "refresh_token": "rt-2"}}
    ),
    "hangs": f"{token(refresh_token='rt-2')}\nexec sleep 1000",
    "killed": f"{token(refresh_token='rt-2')}\nkill -KILL $$",
    "refresh token alone": printing({"token": {"refresh_token": "rt-2"}}),
}


@pytest.mark.parametrize("text", SPOILT.values(), ids=SPOILT)
def test_a_token_of_a_failed_program_is_in_the_error(
    program: Program, text: str, request: pytest.FixtureRequest
) -> None:
    hangs = "hangs" in request.node.name
    # A busy machine may need more time until the program has printed.
    for timeout in (0.1, 1, 10) if hangs else (PATIENCE,):
        error = _error(program(text, timeout=timeout))
        if error.token is not None:
            break
    assert isinstance(error, ResponseInvalidError)
    assert "printed a token" in error.message
    assert SETTING in error.message
    assert error.token is not None
    assert error.token.refresh_token == "rt-2"
    assert "at-1" not in error.message
    assert "rt-2" not in error.message


def test_values_that_python_cannot_represent_lose_no_token(program: Program) -> None:
    digits, line_feed = "9" * 5000, "\n"
    members = f'"refresh_token":"rt-2","n":{digits},"s":"{line_feed}"'
    text = f"""echo '{{"version":1,"token":{{"access_token":"at-1",{members}}}}}'"""
    assert _token(program(text)).refresh_token == "rt-2"


# Each took half a minute or more, in which no other thread ran.
SLOW_TO_READ = {
    "nested": """yes '{"a":' | head -n 150000""",
    "long word": "head -c 65536 /dev/zero | tr '\\0' a >&2; exit 1",
    "escape sequences": printing({"error": "x", "error_description": "\x9d" * 170_000}),
}


@pytest.mark.parametrize("text", SLOW_TO_READ.values(), ids=SLOW_TO_READ)
def test_reads_any_output_quickly(program: Program, text: str) -> None:
    command = program(text)
    began = time.thread_time()
    _error(command)
    assert time.thread_time() - began < 5


def test_stderr_is_shown_from_its_end(program: Program) -> None:
    error = _error(program("yes 'a line' | head -n 200 >&2; echo 'the reason' >&2; exit 1"))
    assert "a line the reason. Run" in error.message


def test_stderr_of_a_successful_program_is_logged(
    program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    text = f"echo 'your certificate expires tomorrow; pin {PIN} at-1' >&2\n{token()}"
    with caplog.at_level(logging.WARNING, "grantway"):
        _token(program(text))
    assert "wrote to stderr: your certificate expires tomorrow; pin *** ***" in caplog.text
    assert PIN not in caplog.text


SECRETS = [
    "password=hunter2",
    'token: "hunter2"',
    '"client_secret": "a hunter2 b"',
    "{'client_secret': 'a hunter2 b'}",
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiI0NzExIn0.c2lnbmF0dXJl",
    "ghp_0123456789abcdefghijABCDEFGHIJ",
    PIN,
    "https://bob:hunter2@git.example.com/",
    "Authorization: Basic aHVudGVyMg==",
    "pin-4711\x1b[0m-secret",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_stderr_is_shown_without_secrets(program: Program, secret: str) -> None:
    quoted = secret.replace('"', '\\"')
    error = _error(program(f'echo "cannot open /usr/lib/corp/cache: {quoted}" >&2; exit 1'))
    assert "cannot open /usr/lib/corp/cache: " in error.message
    assert "***" in error.message
    for hidden in (secret, "hunter2", "aHVudGVyMg", PIN):
        assert hidden not in error.message


def test_stderr_cannot_control_the_terminal(program: Program) -> None:
    error = _error(program("printf '\\033]0;title\\007\\033[2Jgone' >&2; exit 1"))
    assert "stderr: gone." in error.message
    assert error.message.isprintable()


def test_rejects_nothing_that_python_cannot_represent(program: Program) -> None:
    text = """echo '{"version":1,"token":{"access_token":"at-1","expires_at":NaN,"n":1e999}}'"""
    assert _token(program(text)).access_token == "at-1"


def test_the_error_is_a_grantway_error() -> None:
    assert issubclass(ExecutableError, grantway.TransportError)
