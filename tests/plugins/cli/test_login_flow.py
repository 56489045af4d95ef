"""``grantway login`` with a grant whose login a plugin provides."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest

import grantway
from grantway_plugins.cli.login_screen import LoginScreen
from grantway_plugins.cli.terminal import Terminal
from grantway_plugins.grants import ciba as ciba_grant
from tests import faults
from tests.core.registry.distributions import Site
from tests.faults import FaultServer, free_port
from tests.plugins.cli.home import Home
from tests.waiting import interrupt

PLUGIN = """
import click
import grantway

class Schema(grantway.GrantSchema):
    phone = grantway.Text(required=True, example='"+44 20 7946 0000"')
    code = grantway.Text(required=True, example='"123456"')
    scope = grantway.Scope()

def log_in(login):
    login.screen.say(f"A code was sent to {login.params['phone']}.\\x1b[31m")
    return login.request(code=login.screen.ask_secret("Code"))

def link(login):
    login.screen.show_address("https://login.example.com/approve?\\x1b[2J")
    login.screen.say("interactive" if login.screen.interactive else "not interactive")
    return login.request(code=login.screen.ask("Code"))

def broken(login):
    raise ValueError(login.screen.ask_secret("Code"))

def rejected(login):
    raise grantway.FlowCancelledError("the bank does not know this phone")

def aborted(login):
    raise click.Abort

def exported():
    return {"urn:example:otp": log_in}

@grantway.hookimpl
def grantway_register_grants():
    grant_types = {"urn:example:otp", *exported()} - {"authorization_code"}
    return [grantway.Grant(each, Schema(), secret=frozenset({"code"})) for each in grant_types]

@grantway.hookimpl
def grantway_register_login_flows():
    return exported()
"""


def install(site: Site, flow: str = "log_in") -> None:
    site.install("acme-otp", PLUGIN.replace('otp": log_in', f'otp": {flow}'), name="otp")


def respond(**fields: Any) -> faults.Act:
    return faults.respond(200, {"access_token": "at", "token_type": "Bearer", **fields})


def describe(home: Home, server: FaultServer, more: str = "") -> None:
    home.write(
        f'[profiles.bank]\nprovider = {{token_endpoint = "{server.token_endpoint}"}}\n'
        'client_id = "c"\ngrant = "urn:example:otp"\nscope = "read"\n'
        f'resource = "https://api.example.com"\nparams = {{phone = "+44"}}\n{more}'
    )


@pytest.fixture
def typed(site: Site, home: Home) -> Home:
    """Return a home in whose processes the plugin is installed."""
    install(site)
    home.env["PYTHONPATH"] = str(site.folder)
    return home


def test_logs_in_with_the_flow_of_a_plugin(home: Home, site: Site) -> None:
    install(site)
    issued = respond(expires_in=3600, refresh_token="rt-1")
    with FaultServer(issued, respond(access_token="at-2", expires_in=3600)) as server:
        describe(home, server)
        done = home.run("login", "bank", typed="\n 123456 \n", PYTHONPATH=str(site.folder))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("A code was sent to +44.")
        assert "Logged in to bank. The token expires in 59 min 59 s and is refreshed" in done.stdout
        assert "123456" not in done.stdout
        assert "\x1b" not in done.stdout
        (sent,) = server.requests
        assert sent.form["grant_type"] == ["urn:example:otp"]
        assert sent.form["code"] == ["123456"]
        assert sent.form["phone"] == ["+44"]
        assert sent.form["scope"] == ["read"]
        assert sent.form["resource"] == ["https://api.example.com"]

        (shown,) = json.loads(home.run("status", "bank", "--json").stdout)
        assert (shown["state"], shown["refreshable"]) == ("fresh", True)
        assert home.run("token", "bank").stdout == "at\n"
        (file,) = home.tokens.glob("*.json")
        file.write_text(json.dumps(json.loads(file.read_text()) | {"expires_at": 1.0}))
        assert home.run("token", "bank").stdout == "at-2\n"
        assert server.requests[1].form["grant_type"] == ["refresh_token"]
        assert server.requests[1].form["resource"] == ["https://api.example.com"]
        assert home.run("logout", "bank").stdout.endswith("Logged out of bank.\n")
        done = home.run("token", "bank")
    assert done.returncode == 3
    assert "Profile bank needs a login; run: grantway login bank" in done.stderr
    assert len(server.requests) == 2


@pytest.fixture
def here(site: Site, home: Home) -> Iterator[tuple[Home, FaultServer]]:
    """Return a home and a server for commands in this process, whose input is empty."""
    install(site)
    with FaultServer(respond()) as server:
        describe(home, server)
        yield home, server


def test_shows_an_address_and_reports_the_end_of_the_input(
    here: tuple[Home, FaultServer], site: Site
) -> None:
    home, server = here
    install(site, "link")
    done = home.run("login", "bank")
    assert done.returncode == 1
    assert "Open this address:\nhttps://login.example.com/approve?" in done.stdout
    assert "not interactive\nCode: " in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == (
        "Error: The input ended without an answer. Run the command in a terminal.\n"
    )
    assert not server.requests
    assert home.stored("bank") is None


@pytest.mark.parametrize(
    ("flow", "status", "message"),
    [
        ("rejected", 1, "Error: the bank does not know this phone\n"),
        ("aborted", 130, "Cancelled. Nothing was stored.\n"),  # Ctrl-C at a prompt of click
        ("lambda login: 'token'", 1, "otp of acme-otp 1.0, returned a str, not a grantway.Token"),
        ("lambda login: 1 / 0", 1, "raised ZeroDivisionError in "),
        ("'acme_otp:missing'", 1, "The plugin otp of acme-otp 1.0 could not be loaded: "),
        ("'acme_otp:PLUGINS'", 1, "has no attribute 'PLUGINS'"),
    ],
)
def test_failures_store_nothing(
    here: tuple[Home, FaultServer], site: Site, flow: str, status: int, message: str
) -> None:
    home, server = here
    install(site, flow)
    done = home.run("login", "bank")
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not server.requests
    assert not list(home.tokens.glob("*.json"))


def test_an_exception_with_what_the_user_typed_is_not_shown(typed: Home, site: Site) -> None:
    install(site, "broken")
    with FaultServer() as server:
        describe(typed, server)
        done = typed.run("login", "bank", typed="secret-code\n")
    assert done.returncode == 1
    assert "raised ValueError in " in done.stderr
    assert "acme_otp.py, line " in done.stderr
    assert "secret-code" not in done.stdout + done.stderr


def test_ctrl_c_cancels_and_stores_nothing(typed: Home) -> None:
    with FaultServer() as server:
        describe(typed, server)
        with typed.start("login", "bank", stdin=subprocess.PIPE) as login:
            assert login.stdout is not None
            assert login.stdout.readline() == "A code was sent to +44.\n"
            _, errors = interrupt(login)
    assert (login.returncode, errors) == (130, "\nCancelled. Nothing was stored.\n")
    assert not list(typed.tokens.glob("*.json"))
    assert not server.requests


def test_a_terminal_does_not_show_the_secret(typed: Home) -> None:
    with FaultServer(respond(expires_in=3600)) as server:
        describe(typed, server)
        with typed.in_terminal("login", "bank") as login:
            login.until(r"Code \(it is not shown\): ")
            login.type("123456\n")
            assert login.end() == 0
    assert "123456" not in login.raw
    assert "Logged in to bank." in login.shown


def test_asks_until_there_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n  \n ann\x1b[2J \n"))
    shown = io.StringIO()
    monkeypatch.setattr("sys.stdout", shown)
    assert LoginScreen(Terminal()).ask("Name [bold]") == "ann"
    assert shown.getvalue() == "Name [bold]: " * 3


@pytest.mark.parametrize("secret", ["pass  word", "a\tb", "zero\u200dwidth"])
def test_a_secret_is_not_changed(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"\r\n{secret}\n".encode())))
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert LoginScreen(Terminal()).ask_secret("Password") == secret


def test_an_address_that_is_too_long_for_a_qr_code_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr("sys.stdout", shown)
    terminal = Terminal()
    terminal.interactive = True
    address = f"https://login.example.com/{'x' * 4000}"
    LoginScreen(terminal).show_address(address)
    assert shown.getvalue() == f"Open this address:\n{address}\n"


@pytest.mark.parametrize("address", ["--help", "file:///bin/sh", "javascript:alert()", "x"])
def test_the_browser_opens_only_web_addresses(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr("sys.stdout", shown)
    monkeypatch.setenv("BROWSER", "true %s")
    LoginScreen(Terminal()).open_browser(address)
    assert shown.getvalue().startswith("No browser could be opened.")
    LoginScreen(Terminal()).open_browser("HTTPS://login.example.com")
    assert shown.getvalue().count("No browser") == 1


@pytest.mark.parametrize("method", ["--device", "--browser", "--paste"])
def test_a_login_method_does_not_apply(here: tuple[Home, FaultServer], method: str) -> None:
    home, server = here
    done = home.run("login", "bank", method)
    assert done.returncode == 2
    assert f"{method} does not apply to the grant urn:example:otp" in done.stderr
    assert not server.requests


def test_a_mistake_in_the_profile_is_reported_with_its_line(
    here: tuple[Home, FaultServer],
) -> None:
    home, server = here
    describe(home, server, "login = 'device'\n")
    done = home.run("login", "bank")
    assert f"{home.config}, line 8: profiles.bank.login does not apply to urn:ex" in done.stderr
    text = home.config.read_text().replace("phone =", "fone =").replace("login = 'device'\n", "")
    home.write(text)
    done = home.run("login", "bank")
    assert "profiles.bank.params.fone" in done.stderr
    assert not server.requests


def test_another_grant_has_another_token(here: tuple[Home, FaultServer]) -> None:
    home, _ = here
    with home.profile("bank") as profile:
        keys = {profile.key}
    home.write(
        home.config.read_text()
        .replace('grant = "urn:example:otp"\n', "")
        .replace('params = {phone = "+44"}\n', "")
    )
    with home.profile("bank") as profile:
        keys.add(profile.key)
    assert len(keys) == 2


@pytest.mark.parametrize(
    "grant_type", ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"]
)
def test_own_login_flows_cannot_be_replaced(grant_type: str) -> None:
    class Plugin:
        @grantway.hookimpl
        def grantway_register_login_flows(self) -> dict[str, grantway.LoginFlow]:
            return {grant_type: lambda _login: grantway.Token("at")}

    with pytest.raises(grantway.GrantConflictError) as conflict:
        grantway.build_registry({"otp": Plugin()})
    assert f"The login flow '{grant_type}' is registered by grantway and" in str(conflict.value)


CIBA = """
[profiles.bank]
provider = "{url}"
client_id = "c"
grant = "urn:openid:params:grant-type:ciba"
scope = "openid read"
resource = "https://api.example.com"
extra = {{tenant = "t", login_hint = "ann"}}
"""


@pytest.fixture
def ciba(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """Run a provider with CIBA, which is polled without a pause."""
    monkeypatch.setattr("grantway_grants._polling.LEAST_INTERVAL", 0.01)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    endpoints = {
        "issuer": url,
        "token_endpoint": f"{url}/token",
        "backchannel_authentication_endpoint": f"{url}/bc-authorize",
    }
    script = (
        faults.respond(200, endpoints),
        faults.respond(200, {"auth_req_id": "request-1", "expires_in": 60, "interval": 0.01}),
        respond(refresh_token="rt-1", expires_in=3600),
    )
    with FaultServer(*script, port=port) as server:
        yield server


def test_logs_in_with_ciba(home: Home, ciba: FaultServer) -> None:
    home.write(CIBA.format(url=ciba.url))
    done = home.run("login", "bank")
    assert (done.returncode, done.stderr) == (0, "")
    _, started, token = ciba.requests
    assert started.form["login_hint"] == ["ann"]
    assert started.form["scope"] == ["openid read"]
    assert started.form["resource"] == token.form["resource"] == ["https://api.example.com"]
    assert started.form["tenant"] == token.form["tenant"] == ["t"]
    assert "login_hint" not in token.form
    (message,) = started.form["binding_message"]
    assert f"Approve the login on your device. It shows {message}.\n" in done.stdout
    stored = home.stored("bank")
    assert stored is not None
    assert stored.refresh_token == "rt-1"


def test_ciba_asks_for_the_user(ciba: FaultServer) -> None:
    screen = Mock(ask=Mock(return_value="ann"))
    provider = grantway.Provider.discover(ciba.url)
    with grantway.Client(provider, client_id="c") as client:
        flow = client.registry.login_flows[ciba_grant.GRANT_TYPE]
        token = flow(grantway.LoginContext(client, ciba_grant.GRANT_TYPE, screen))
    assert token.access_token == "at"
    screen.ask.assert_called_once_with(f"Your user name or email address at 127.0.0.1:{ciba.port}")
    assert ciba.requests[1].form["login_hint"] == ["ann"]
    assert ciba.requests[1].form["scope"] == ["openid"]
