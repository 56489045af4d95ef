"""Profiles whose provider is a program, or whose requests a program completes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from grantway import ConfigurationError, LoginNeededError
from grantway_plugins import profiles
from grantway_plugins.cli import app
from grantway_plugins.executable import ExecutableError
from grantway_plugins.profiles import Profile
from tests.faults import FaultServer, respond
from tests.plugins.executable.programs import printing, script, token

COUPON = "urn:example:coupon"


def _profile(folder: Path, body: str) -> Profile:
    path = folder / "config.toml"
    path.write_text(f'[profiles.ci]\n{body}\nstore = {{ kind = "file", folder = "tokens" }}\n')
    return profiles.load("ci", path)


def _run(folder: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app.app, [*arguments, "--config", str(folder / "config.toml")])
    return done.exit_code, done.output


def test_a_program_is_the_provider(tmp_path: Path) -> None:
    script(tmp_path, f"echo x >>$0.runs\n{token()}")
    with _profile(tmp_path, 'provider = { command = ["./corp-token", "--team", "a"] }') as profile:
        assert profile.token().access_token == "at-1"
    with _profile(tmp_path, 'provider = { command = ["./corp-token", "--team", "a"] }') as profile:
        assert profile.token().access_token == "at-1"  # from the store
    with _profile(tmp_path, 'provider = { command = ["./corp-token", "--team", "b"] }') as profile:
        assert profile.token().access_token == "at-1"
    assert (tmp_path / "corp-token.runs").read_text() == "x\nx\n"


def test_a_program_performs_a_grant_that_no_plugin_registers(tmp_path: Path) -> None:
    script(tmp_path, f"cat >$0.request\n{token()}")
    body = (
        'provider = { command = ["./corp-token"], timeout = 60 }\n'
        f'grant = "{COUPON}"\nscope = "read write"\nclient_id = "ci"\n'
        'params = { coupon = "SPRING", tags = ["a", "b"] }'
    )
    with _profile(tmp_path, body) as profile:
        profile.token()
    assert json.loads((tmp_path / "corp-token.request").read_text())["parameters"] == {
        "grant_type": COUPON,
        "coupon": "SPRING",
        "tags": ["a", "b"],
        "scope": "read write",
        "client_id": "ci",
    }


def test_a_program_completes_the_requests_of_a_profile(tmp_path: Path) -> None:
    script(tmp_path, printing({"parameters": {"signature": "c2ln"}}))
    with FaultServer(respond()) as server:
        body = (
            f'provider = {{ token_endpoint = "{server.token_endpoint}" }}\n'
            f'grant = "{COUPON}"\nclient_id = "ci"\nparams = {{ coupon = "SPRING" }}\n'
            'params_command = { command = ["./corp-token"] }'
        )
        with _profile(tmp_path, body) as profile:
            profile.token()
        form = server.requests[0].form
    assert (form["coupon"], form["signature"]) == (["SPRING"], ["c2ln"])


def test_the_command_line_prints_the_token_of_a_program(tmp_path: Path) -> None:
    script(tmp_path, token())
    with _profile(tmp_path, 'provider = { command = ["./corp-token"] }'):
        assert _run(tmp_path, "token", "ci") == (0, "at-1\n")
        code, shown = _run(tmp_path, "status", "--json")
    assert code == 0
    (status,) = json.loads(shown)
    assert (status["provider"], status["state"]) == ("./corp-token", "fresh")


def test_an_error_names_file_line_and_setting(tmp_path: Path) -> None:
    script(tmp_path, "echo 'the vault is sealed' >&2; exit 1")
    with (
        _profile(tmp_path, 'provider = { command = ["./corp-token"] }') as profile,
        pytest.raises(ExecutableError) as caught,
    ):
        profile.token()
    assert str(caught.value).startswith(
        f"{tmp_path}/config.toml, line 2: profiles.ci.provider: ./corp-token exited with status 1, "
        "and wrote to stderr: the vault is sealed."
    )


def test_a_program_that_needs_a_login_says_how(tmp_path: Path) -> None:
    script(tmp_path, "echo 'run corp login' >&2; exit 77")
    with _profile(tmp_path, 'provider = { command = ["./corp-token"] }') as profile:
        with pytest.raises(
            LoginNeededError, match=r"^Profile ci: .* needs a login: run corp login"
        ):
            profile.token()
        code, shown = _run(tmp_path, "token", "ci")
    assert code != 0
    assert "run corp login" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('provider = { command = "corp-token" }', "line 2: profiles.ci.provider.command must be"),
        ('provider = { command = ["a"], timeout = 0 }', "profiles.ci.provider.timeout must be"),
        ('provider = { command = ["a"], output = "x" }', "profiles.ci.provider.output must be one"),
        ('provider = { command = ["a"], issuer = "b" }', "profiles.ci.provider.issuer"),
        (
            'provider = { command = ["a"] }\nlogin = "device"',
            "does not apply to a provider that is",
        ),
        (
            'provider = { command = ["a"] }\nparams_command = { command = ["b"] }',
            "params_command cannot be combined",
        ),
        (
            'provider = "https://example.com"\nparams_command = { command = ["b"] }',
            "params_command is only for grants other than browser and device logins",
        ),
        (
            f'provider = {{ command = ["a"] }}\ngrant = "{COUPON}"\nparams = {{ n = 1 }}',
            "line 4: profiles.ci.params.n must be text, or a list of texts",
        ),
        (
            'provider = { command = ["a"] }\ngrant = "client_credentials"\nparams = { n = "1" }',
            "profiles.ci.params.n is not a parameter of this grant",
        ),
    ],
)
def test_mistakes_are_reported_with_their_lines(tmp_path: Path, body: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _profile(tmp_path, body)
    assert problem in str(caught.value)
