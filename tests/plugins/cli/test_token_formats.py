"""The protocols of ``grantway token --format``. ``tests/interop`` has tests with real programs."""

from __future__ import annotations

import io
import json
import time
from typing import Any
from unittest.mock import Mock

import pytest

import grantway
from grantway_plugins.cli import fresh_token
from grantway_plugins.cli.token import cache_location
from grantway_plugins.cli.token_formats import FormatError, Output
from tests.plugins.cli.home import Home

HOST = ("git.example.com",)
PROFILE = '[profiles.work]\nprovider = "https://login.example.com"\nclient_id = "a"\n'


@pytest.fixture
def work(home: Home) -> Home:
    """Return a home with a profile without a token."""
    home.write(PROFILE)
    return home


def save(home: Home, token: grantway.Token, *, cached: bool = False) -> None:
    with home.profile() as profile:
        profile.store.save(profile.key, token)
        if cached:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("XDG_STATE_HOME", home.env["XDG_STATE_HOME"])
                cache_location(profile, token)


def asked(output: Output, request: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, int]:
    """Return what a helper prints for a request, and its exit status."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(request.encode())))
    return output.without_token() or (output.text("at-1", "Bearer", 1e9), 0)


@pytest.mark.parametrize("cached", [True, False])
def test_prints_a_header(work: Home, *, cached: bool) -> None:
    save(work, grantway.Token("at-1", "bearer", expires_at=time.time() + 3600), cached=cached)
    assert work.run("token", "work", "--format", "header").stdout == "Authorization: Bearer at-1\n"


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("form", ["header", "kubectl"])
def test_rejects_tokens_that_are_no_bearer_tokens(work: Home, form: str, *, cached: bool) -> None:
    save(work, grantway.Token("at-1", "DPoP", expires_at=time.time() + 3600), cached=cached)
    done = work.run("token", "work", "--format", form)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Error: --format {form} is for bearer tokens" in done.stderr


@pytest.mark.parametrize("form", ["header", "kubectl", "git", "docker"])
@pytest.mark.parametrize("token", ["at\nusername=root", "at\r\nX: y", "a t", "at\x00", "\xe9"])
def test_rejects_tokens_that_would_break_the_protocol(form: str, token: str) -> None:
    with pytest.raises(FormatError, match="characters that") as failed:
        Output(form).text(token, "Bearer", None)
    assert token not in str(failed.value)


@pytest.mark.parametrize("form", ["json", "kubectl", "git"])
@pytest.mark.parametrize("end", [-1.0, 253_402_300_800.0, 1e18, 1e300, float("inf"), float("nan")])
def test_an_expiry_that_is_no_date_is_unknown(form: str, end: float) -> None:
    output = Output(form)
    assert output.text("at-1", "Bearer", end) == output.text("at-1", "Bearer", None)


def exec_info(api: str = "v1", **spec: Any) -> str:
    api = f"client.authentication.k8s.io/{api}"
    return json.dumps({"kind": "ExecCredential", "apiVersion": api, "spec": spec})


@pytest.mark.parametrize(("info", "version"), [(None, "v1"), (exec_info("v1beta1"), "v1beta1")])
def test_prints_an_exec_credential(
    monkeypatch: pytest.MonkeyPatch, info: str | None, version: str
) -> None:
    monkeypatch.delenv("KUBERNETES_EXEC_INFO", raising=False)
    if info:
        monkeypatch.setenv("KUBERNETES_EXEC_INFO", info)
    output = Output("kubectl")
    assert output.without_token() is None
    assert json.loads(output.text("at-1", "Bearer", 1e9)) == {
        "apiVersion": f"client.authentication.k8s.io/{version}",
        "kind": "ExecCredential",
        "status": {"token": "at-1", "expirationTimestamp": "2001-09-09T01:46:40Z"},
    }
    assert json.loads(output.text("at-1", "Bearer", None))["status"] == {"token": "at-1"}


@pytest.mark.parametrize(
    ("info", "hosts", "message"),
    [
        (exec_info("v1alpha1"), (), "set apiVersion: client.authentication.k8s.io/v1 under"),
        ("<html>", (), "set apiVersion"),
        ("[" * 100_000, (), "set apiVersion"),
        ("[]", (), "set apiVersion"),
        (exec_info(), HOST, "set provideClusterInfo: true"),
        (exec_info(cluster={"server": "https://other.example"}), HOST, "not one of those in"),
        (exec_info(cluster={"server": "http://git.example.com"}), HOST, "not one of those in"),
        (exec_info(cluster={"server": "git.example.com"}), HOST, "not one of those in"),
    ],
)
def test_explains_a_request_of_kubectl_that_it_cannot_serve(
    monkeypatch: pytest.MonkeyPatch, info: str, hosts: tuple[str, ...], message: str
) -> None:
    monkeypatch.setenv("KUBERNETES_EXEC_INFO", info)
    with pytest.raises(FormatError, match=message):
        Output("kubectl", hosts=hosts).without_token()


@pytest.mark.parametrize(
    ("hosts", "request_", "username"),
    [
        (HOST, "protocol=https\nhost=git.example.com\n", "oauth2"),
        (HOST, "protocol=https\nhost=GIT.example.com:443\npath=a.git\n\n", "oauth2"),
        (HOST, "protocol=https\nhost=git.example.com\nusername=alice\nwwwauth[]=x\n", "alice"),
        (("localhost:8080",), "protocol=http\nhost=localhost:8080\n", "oauth2"),
        (("[::1]:8080",), "protocol=http\nhost=[::1]:8080\n", "oauth2"),
    ],
)
def test_git_gets_the_token_for_a_host(
    monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, ...], request_: str, username: str
) -> None:
    shown = asked(Output("git", "get", hosts), request_, monkeypatch)
    assert shown == (f"username={username}\npassword=at-1\npassword_expiry_utc=1000000000\n", 0)


@pytest.mark.parametrize(
    "request_",
    [
        "",
        "protocol=https\n",
        "protocol=http\nhost=git.example.com\n",
        "protocol=https\nhost=git.example.com.evil.example\n",
        "protocol=https\nhost=evil.example\npath=git.example.com\n",
        "protocol=https\nhost=git.example.com:8443\n",
        "protocol=https\nhost=git.example.com@evil.example\n",
        "protocol=ssh\nhost=git.example.com\n",
        "protocol=https\nhost=git.example.com\nhost=evil.example\n",
        "protocol=https\nhost=git.example.com\nusername=another\n",
        "protocol=https\nhost=evil.example\n\nhost=git.example.com\n",
        "\xff\x00",
    ],
)
def test_git_gets_no_token_otherwise(monkeypatch: pytest.MonkeyPatch, request_: str) -> None:
    output = Output("git", "get", HOST, username="me")
    assert asked(output, request_, monkeypatch) == ("", 0)


@pytest.mark.parametrize("operation", ["store", "erase", "later-operation"])
def test_git_operations_other_than_get_do_nothing(
    monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    request = "protocol=https\nhost=git.example.com\nusername=a\npassword=b\n"
    assert asked(Output("git", operation, HOST), request, monkeypatch) == ("", 0)


@pytest.mark.parametrize("server", ["git.example.com", "https://git.example.com/v2/"])
def test_docker_gets_the_token_for_a_registry(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    text, status = asked(Output("docker", "get", HOST, "<token>"), f"{server}\n", monkeypatch)
    assert status == 0
    assert json.loads(text) == {"ServerURL": server, "Username": "<token>", "Secret": "at-1"}


@pytest.mark.parametrize(
    ("operation", "request_", "shown"),
    [
        ("get", "ghcr.io", ("credentials not found in native keychain\n", 1)),
        ("get", "http://git.example.com", ("credentials not found in native keychain\n", 1)),
        (
            "get",
            "https://git.example.com@ghcr.io",
            ("credentials not found in native keychain\n", 1),
        ),
        ("list", "", ('{"git.example.com": "oauth2"}\n', 0)),
    ],
)
def test_docker_gets_no_token_otherwise(
    monkeypatch: pytest.MonkeyPatch, operation: str, request_: str, shown: tuple[str, int]
) -> None:
    assert asked(Output("docker", operation, HOST), request_, monkeypatch) == shown


@pytest.mark.parametrize("operation", ["store", "erase", "version"])
def test_docker_cannot_store_a_password(monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    text, status = asked(Output("docker", operation, HOST), "{}", monkeypatch)
    assert status == 1
    assert "use grantway login" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "git", "--host", "h", "get"], "needs the NAME of a profile"),
        (["work", "get", "--format", "git"], "needs --host"),
        (["work", "get", "--format", "docker"], "needs --host"),
        (["work", "get"], "only for --format git and docker"),
        (["work", "--username", "me"], "only for --format git and docker"),
        (["work", "--host", "h", "--format", "header"], "only for --format git, docker and kub"),
        (["work", "get", "--format", "git", "--host", "https://h"], "must be a host, like"),
        (["work", "get", "--format", "git", "--host", ""], "must be a host, like"),
        (["work", "--format", "yaml"], "'yaml' is not one of"),
        (["work", "--format", "aws"], "needs --sso-session or --sso-profile"),
    ],
)
def test_invalid_options_are_usage_errors(work: Home, arguments: list[str], message: str) -> None:
    save(work, grantway.Token("at-1", expires_at=time.time() + 3600), cached=True)
    done = work.run("token", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.parametrize("form", ["header", "kubectl"])
def test_exit_status_3_means_that_a_login_is_needed(work: Home, form: str) -> None:
    done = work.run("token", "work", "--format", form)
    assert (done.returncode, done.stdout) == (3, "")
    assert "grantway login work" in done.stderr


def test_a_helper_reports_that_a_login_is_needed(work: Home) -> None:
    request = "protocol=https\nhost=git.example.com\n"
    done = work.run("token", "work", "get", "--format", "git", "--host", *HOST, typed=request)
    assert (done.returncode, done.stdout) == (3, "")
    assert "grantway login work" in done.stderr


def test_closed_input_is_an_empty_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert Output("git", "get", HOST).without_token() == ("", 0)


def test_reports_a_closed_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(SystemExit, match="cannot write the token to standard output: it is closed"):
        fresh_token.print_output("at-1\n")


def test_ctrl_c_while_it_reads_the_request_prints_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", Mock(**{"buffer.read.side_effect": KeyboardInterrupt}))
    with pytest.raises(SystemExit, match="Aborted"):
        fresh_token._print_formatted(Output("git", "get", HOST), "at-1", "Bearer", None)


def test_reports_a_token_that_the_output_cannot_encode(work: Home) -> None:
    save(work, grantway.Token("at-\xe9", expires_at=time.time() + 3600), cached=True)
    done = work.run("token", "work", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: cannot write the token to standard output: its encoding lacks a character.\n"
    )
