"""Run ``grantway demo`` the way a new user does."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys

import pytest

from tests import forked

GRANTWAY = [sys.executable, "-m", "grantway_plugins.cli"]
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [*GRANTWAY, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("dialect", ["rfc6749", "aws-sso-oidc"])
def test_json_output_is_one_object_with_every_grant(dialect: str) -> None:
    done = run("demo", "--json", "--dialect", dialect)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is True
    assert set(report["grants"]) == {DEVICE_CODE, "authorization_code", "refresh_token"}
    for outcome in report["grants"].values():
        assert outcome["ok"] is True
        assert outcome["milliseconds"] > 0
        assert {"access_token", "token_type", "expires_in", "refresh_token"} <= set(
            outcome["fields"]
        )


def test_shows_each_step_without_secrets() -> None:
    done = run("demo")
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    for step in ("POST /client/register", "POST /device_authorization", "authorization_pending"):
        assert step in shown
    for grant_type in (DEVICE_CODE, "authorization_code", "refresh_token"):
        assert f"grant_type={grant_type}" in shown
    assert "access_token=***" in shown
    secret_fields = r"(access_token|refresh_token|device_code|code|code_verifier|client_secret)"
    values = re.findall(rf"\b{secret_fields}=(\S+)", shown)
    assert values
    assert {value for _, value in values} == {"***"}


def test_ctrl_c_stops_the_demo_and_leaves_no_files() -> None:
    with forked.Popen(
        [*GRANTWAY, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        address = re.search(r"127\.0\.0\.1:(\d+)", demo.stdout.readline())
        assert address is not None
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=20)
    assert demo.returncode != 0
    assert "Traceback" not in errors
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address[1])), timeout=5)
