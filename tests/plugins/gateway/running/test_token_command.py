"""A gateway whose tokens come from a program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from grantway import ConfigurationError, ProviderPausedError, Token
from grantway_plugins.executable import ExecutableError
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._running.building import build_runtime
from grantway_plugins.gateway._running.runtime import Runtime
from tests.plugins.executable.programs import script, token

GATEWAY = """
[providers.corp]
token_command = { command = ["./corp-token"], timeout = 60 }
client_id = "gateway"
%s

[routes.orders]
path = "/orders"
upstream = "http://127.0.0.1:9000"
provider = "corp"
tenant = "header:X-Tenant"
on_failure = "closed"
grant = "urn:ietf:params:oauth:grant-type:token-exchange"
params = { subject_token = "{tenant}", subject_token_type = "urn:example:tenant" }
"""


@contextmanager
def _running(folder: Path, more: str = "") -> Iterator[Runtime]:
    file = folder / "gateway.toml"
    file.write_text(GATEWAY % more)
    runtime = build_runtime(ConfigFile(file))
    try:
        yield runtime
    finally:
        runtime.components.close()


def _token(runtime: Runtime, tenant: str) -> Token:
    pool = runtime.upstream.routes[0].credential
    found: Token = pool.credential(tenant).token()  # type: ignore[union-attr]
    return found


def test_each_tenant_has_a_token_of_the_program(tmp_path: Path) -> None:
    script(tmp_path, f"cat >>$0.requests\n{token()}")
    secret = 'client_secret = { source = "command", command = ["./corp-secret"] }'
    script(tmp_path, "echo s3cr3t", name="corp-secret")
    with _running(tmp_path, secret) as runtime:
        assert _token(runtime, "acme").access_token == "at-1"
        assert _token(runtime, "acme").access_token == "at-1"
        assert _token(runtime, "other").access_token == "at-1"
    lines = (tmp_path / "corp-token.requests").read_text().splitlines()
    parameters = [json.loads(line)["parameters"] for line in lines]
    assert [each["subject_token"] for each in parameters] == ["acme", "other"]
    assert {each["client_secret"] for each in parameters} == {"s3cr3t"}


def test_a_failure_names_file_and_line_and_counts_as_a_failure_of_the_provider(
    tmp_path: Path,
) -> None:
    script(tmp_path, "echo x >>$0.runs; exit 1")
    setting = r"gateway\.toml, line 3: providers\.corp\.token_command"
    with _running(tmp_path, "breaker = { failures = 1, least_calls = 1 }") as runtime:
        with pytest.raises(ExecutableError, match=setting):
            _token(runtime, "acme")
        with pytest.raises(ProviderPausedError):
            _token(runtime, "other")
    assert (tmp_path / "corp-token.runs").read_text() == "x\n"


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (
            'issuer = "https://example.com"',
            "issuer does not apply to a provider with token_command",
        ),
        ('auth = "client_secret_basic"', "auth does not apply to a provider with token_command"),
    ],
)
def test_mistakes_are_reported(tmp_path: Path, more: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem), _running(tmp_path, more):
        pass
