"""The secret source `command`."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import grantway
from grantway import Client, ConfigurationError, LoginNeededError, Provider, SecretUnavailableError
from grantway_plugins.executable import ExecutableError
from tests.faults import FaultServer, respond
from tests.plugins.executable.programs import printing, script
from tests.waiting import PATIENCE


def _source(folder: Path, text: str, **options: Any) -> Any:
    path = script(folder, text)
    return grantway.default_registry().secret_source(
        "command", command=[str(path)], **{"timeout": PATIENCE, **options}
    )


def test_plain_text_is_the_secret(tmp_path: Path) -> None:
    secret = _source(tmp_path, "echo s3cr3t").read()
    assert (secret.value, secret.expires_at) == ("s3cr3t", None)


def test_a_secret_may_have_several_lines(tmp_path: Path) -> None:
    secret = _source(tmp_path, r"printf -- '-----BEGIN\r\n\tabc\n-----END\n'").read()
    assert secret.value == "-----BEGIN\r\n\tabc\n-----END"


def test_the_protocol_states_when_the_secret_expires(tmp_path: Path) -> None:
    text = f"cat >$0.request\n{printing({'secret': {'value': 's3cr3t', 'expires_in': 300}})}"
    secret = _source(tmp_path, text, output="grantway").read()
    assert secret.value == "s3cr3t"
    assert secret.expires_at == pytest.approx(time.time() + 300, abs=PATIENCE)
    request = (tmp_path / "corp-token.request").read_text()
    assert request == '{"versions":[1],"request":"secret"}\n'


def test_the_setting_gives_a_lifetime(tmp_path: Path) -> None:
    secret = _source(tmp_path, "echo s3cr3t", lifetime=300).read()
    assert secret.expires_at == pytest.approx(time.time() + 300, abs=PATIENCE)


def test_runs_once_for_all_threads_until_the_secret_expires(tmp_path: Path) -> None:
    source = _source(tmp_path, "echo x >>$0.runs; sleep 0.05; echo s3cr3t", lifetime=300)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: source.read().value, range(8)))
    assert found == ["s3cr3t"] * 8
    source.read()
    assert (tmp_path / "corp-token.runs").read_text() == "x\n"


def test_runs_again_after_the_provider_rejected_the_secret(tmp_path: Path) -> None:
    source = _source(tmp_path, "echo x >>$0.runs; echo s3cr3t", lifetime=300)
    source.reject(source.read().value)
    source.read()
    assert (tmp_path / "corp-token.runs").read_text() == "x\nx\n"


@pytest.mark.parametrize(
    ("text", "options", "problem", "cause"),
    [
        ("exit 1", {}, "exited with status 1", ExecutableError),
        (
            "echo 'run corp login' >&2; exit 77",
            {},
            "needs a login: run corp login",
            LoginNeededError,
        ),
        ("exit 75", {}, "asks to try again later", grantway.ProviderUnavailableError),
        ("exit 0", {}, "printed nothing on stdout", ExecutableError),
        ("echo '<p>'", {}, "printed HTML on stdout", ExecutableError),
        (r"printf '\377'", {}, "printed text on stdout that is not UTF-8", ExecutableError),
        (r"printf '\033[32ms3cr3t'", {}, "printed control characters", ExecutableError),
        ("exec sleep 1000", {"timeout": 0.1}, "ran for more than 0.1 s", ExecutableError),
        ("echo s3cr3t", {"output": "grantway"}, "printed no JSON object", ExecutableError),
        (
            printing({"secret": {"value": 5}}),
            {"output": "grantway"},
            'replied with a "secret" whose "value" is not a text',
            ExecutableError,
        ),
        (
            printing({"secret": {"value": "s3cr3t"}}) + "\nexit 4",
            {"output": "grantway"},
            "exited with status 4",
            ExecutableError,
        ),
        (
            printing({"error": "access_denied", "error_description": "not you"}),
            {"output": "grantway"},
            "failed with access_denied: not you",
            grantway.AccessDeniedException,
        ),
    ],
)
def test_a_failure_names_the_program(
    tmp_path: Path, text: str, options: dict[str, Any], problem: str, cause: type[Exception]
) -> None:
    with pytest.raises(SecretUnavailableError) as caught:
        _source(tmp_path, text, **options).read()
    assert problem in str(caught.value)
    assert "secret source 'command'" in str(caught.value)
    assert f"{tmp_path}/corp-token" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    chain = [error := caught.value]
    while error.__cause__ is not None:
        chain.append(error := error.__cause__)
    assert type(chain[-1]) is cause


def test_rejects_invalid_options_before_running_anything() -> None:
    with pytest.raises(ConfigurationError, match="command: must be a list of texts"):
        grantway.default_registry().secret_source("command", command="corp-token")


def test_a_client_sends_the_secret_of_a_program(tmp_path: Path) -> None:
    with FaultServer(respond()) as server:
        provider = Provider(server.token_endpoint)
        client = Client(
            provider,
            client_id="ci",
            client_secret=_source(tmp_path, "echo s3cr3t"),
            auth="client_secret_post",
        )
        client.create_token(grant_type="client_credentials")
        assert server.requests[0].form["client_secret"] == ["s3cr3t"]
