"""Output of the commands in pipes and terminals."""

from __future__ import annotations

import base64
import json
import re
import time

import pytest

import grantway
from tests import faults
from tests.faults import FaultServer, Stage
from tests.plugins.cli.home import Home

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\u200b"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


@pytest.mark.parametrize("columns", ["10", "80"])
@pytest.mark.parametrize("forced", [{}, {"FORCE_COLOR": "1"}])
def test_prints_one_line_per_row_to_a_pipe(
    home: Home, columns: str, forced: dict[str, str]
) -> None:
    shown = home.run("grants", COLUMNS=columns, **forced).stdout
    (line,) = (line for line in shown.splitlines() if "device_code*" in line)
    assert "urn:ietf:params:oauth:grant-type:device_code" in line
    assert "replay" in shown.splitlines()[0]
    shown = home.run("plugins", COLUMNS=columns, **forced).stdout
    (line,) = (line for line in shown.splitlines() if line.startswith("grantway/device_code "))
    assert "loaded" in line


def test_prints_one_block_per_row_to_a_narrow_terminal(home: Home) -> None:
    with home.in_terminal("grants", columns=30) as shown:
        assert shown.end() == 0
    assert "urn:ietf:params:oauth:grant-type:device_code\n  owner" in shown.shown
    assert "device_code* scope\n" in shown.shown
    with home.in_terminal("grants", columns=200) as shown:
        assert shown.end() == 0
    assert re.search(r"device_code +grantway.* device_code\* scope\n", shown.shown)


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_other_commands_do_not_wrap_lines(home: Home, command: str) -> None:
    provider = f'provider = "https://login.example.com/{"tenant/" * 30}"\n'
    home.write(f"[profiles.work]\n{provider}provdier = 1\n[profiles.other]\n{provider}")
    narrow, wide = (
        re.sub(r"in [0-9.]+ ms", "in some ms", home.run(command, COLUMNS=columns).stdout)
        for columns in ("20", "1000")
    )
    assert narrow == wide != ""


def device_provider(server: FaultServer) -> str:
    return (
        "[profiles.work]\nprovider = "
        f'{{token_endpoint = "{server.url}/token", '
        f'device_authorization_endpoint = "{server.url}/device"}}\nclient_id = "app"\n'
    )


STARTED = {
    "device_code": "dc",
    "user_code": f"AB{EVIL}CD",
    "verification_uri": "https://login.example.com/device",
    "interval": 1,
}


def test_escapes_control_characters_from_the_provider(home: Home) -> None:
    refusal = {"error": f"a{EVIL}", "error_description": EVIL, "error_uri": EVIL}
    script = faults.respond(200, STARTED), faults.respond(400, refusal)
    with FaultServer(*script) as server:
        home.write(device_provider(server))
        done = home.run("login", "work", "--device")
    assert done.returncode == 1
    assert "ABevilCD" in done.stdout
    assert "aevil" in done.stderr
    assert not CONTROL.search(done.stdout + done.stderr)


ADDRESSES = ["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_rejects_a_verification_address_that_is_not_http(home: Home, address: str) -> None:
    with FaultServer(faults.respond(200, {**STARTED, "verification_uri": address})) as server:
        home.write(device_provider(server))
        done = home.run("login", "work", "--device")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not an http or https URL" in done.stderr
    assert address not in done.stderr


@pytest.mark.parametrize("address", ADDRESSES)
def test_does_not_open_a_login_page_that_is_not_http(home: Home, address: str) -> None:
    def metadata(stage: Stage) -> bool:
        found = {
            "issuer": server.url,
            "token_endpoint": f"{server.url}/token",
            "authorization_endpoint": address,
        }
        return faults.respond(200, found)(stage)

    with FaultServer(metadata) as server:
        home.write(f'[profiles.work]\nprovider = "{server.url}"\nclient_id = "app"\n')
        done = home.run("login", "work", "--browser", BROWSER="echo opened %s")
    assert (done.returncode, done.stdout) == (1, "")
    assert "authorization_endpoint: must be an absolute https address" in done.stderr
    assert address not in done.stderr


def test_status_escapes_control_characters(home: Home) -> None:
    home.write('[profiles.work]\nprovider = "https://login.example.com"\nclient_id = "app"\n')
    claims = base64.urlsafe_b64encode(json.dumps({"email": f"alice{EVIL}@x"}).encode()).decode()
    token = grantway.Token(
        "at",
        expires_at=time.time() + 60,
        scope=("read", f"wr{EVIL}ite"),
        id_token=f"e30.{claims.rstrip('=')}.c2ln",
    )
    with home.profile() as profile:
        profile.store.save(profile.key, token)
    shown = home.run("status").stdout
    assert "aliceevil@x" in shown
    assert "read wrevilite" in shown
    assert not CONTROL.search(shown)
    (as_json,) = json.loads(home.run("status", "--json").stdout)
    assert not CONTROL.search(as_json["subject"] + "".join(as_json["scope"]))


def test_prints_names_that_the_locale_cannot_encode(home: Home) -> None:
    home.write('[profiles.work]\nprovider = "https://login.example.com"\n"Zo\u00eb" = 1\n')
    done = home.run("status", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert '"Zo?" is an unknown key' in done.stdout
