"""Tests of ``grantway login`` with each login method, and of its failures."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from grantway import Provider
from grantway_plugins.cli import login_methods
from grantway_plugins.cli.login_methods import ChosenMethod, choose
from grantway_plugins.issuer import IssuerSettings, Lifetimes
from grantway_plugins.testing import LiveIssuer
from tests.faults import free_port
from tests.plugins.cli.home import GRANTWAY, PATIENCE, Home, Pty
from tests.raw_http import read_request
from tests.waiting import interrupt

ENTER = re.compile(r"Open +(\S+)\s+Enter +(\S+)")


@pytest.fixture
def grantway_issuer_settings() -> IssuerSettings:
    """Let the test decide on the issuer's pages."""
    return IssuerSettings(
        approve="page", lifetimes=Lifetimes(device_interval=1), registration="unrestricted"
    )


@pytest.fixture
def work(home: Home, grantway_issuer: LiveIssuer) -> Home:
    """Return a home with a profile named work."""
    home.write(f'[profiles.work]\nprovider = "{grantway_issuer.url}"\nscope = ["read"]\n')
    return home


@contextlib.contextmanager
def running(home: Home, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a login; kill it if it still runs at the end of the block."""
    with home.start("login", *arguments) as login:
        try:
            yield login
        finally:
            login.kill()


def device_prompt(login: subprocess.Popen[str]) -> tuple[str, str]:
    """Return the address and the code that a device login shows."""
    assert login.stdout is not None
    shown = ""
    while not (found := ENTER.search(shown)):
        line = login.stdout.readline()
        assert line, login.communicate()[1]
        shown += line
    return found[1], found[2]


def is_empty(home: Home) -> bool:
    """Return whether no token is stored, apart from a client registration."""
    return home.stored() is None


def test_logs_in_on_a_device(work: Home, grantway_issuer: LiveIssuer) -> None:
    with running(work, "work", "--device") as login:
        uri, code = device_prompt(login)
        assert is_empty(work)
        grantway_issuer.browser_driver().approve_device(uri, code)
        shown, errors = login.communicate(timeout=PATIENCE)
    assert (login.returncode, errors) == (0, "")
    assert "Logged in to work. The token expires in 59 min" in shown
    assert "\x1b" not in shown  # no terminal, so plain lines
    token = work.stored()
    assert token is not None
    assert token.scope == ("read",)
    assert token.refresh_token
    assert work.run("token", "work").stdout == f"{token.access_token}\n"


def test_a_denied_login_fails(work: Home, grantway_issuer: LiveIssuer) -> None:
    with running(work, "work") as login:
        uri, code = device_prompt(login)
        grantway_issuer.browser_driver().deny_device(uri, code)
        _, errors = login.communicate(timeout=PATIENCE)
    assert login.returncode == 1
    assert errors.startswith("Error: ")
    assert "Traceback" not in errors
    assert is_empty(work)


def test_ctrl_c_cancels_and_stores_nothing(work: Home) -> None:
    with running(work, "work", "--device") as login:
        device_prompt(login)
        _, errors = interrupt(login)
    assert (login.returncode, errors) == (130, "\nCancelled. Nothing was stored.\n")
    assert is_empty(work)


def test_a_terminal_shows_a_qr_code_and_a_countdown(
    work: Home, grantway_issuer: LiveIssuer
) -> None:
    with work.in_terminal("login", "work", "--device") as login:
        found = login.until(ENTER.pattern)
        first = login.until(r"Waiting for you to approve: (\d+:\d\d) left")[1]
        login.until(rf"approve: (?!{first})\d+:\d\d left")  # it counts down
        grantway_issuer.browser_driver().approve_device(found[1], found[2])
        assert login.end() == 0
    shown = login.shown
    assert "Logged in to work." in shown
    assert "▀" in shown or "▄" in shown  # the QR code
    assert not is_empty(work)


@pytest.fixture
def browser(tmp_path: Path) -> str:
    """Return a command for BROWSER that acts as a browser and its user."""
    program = tmp_path / "browser.py"
    program.write_text(
        textwrap.dedent(
            """
            import sys
            from grantway_plugins.issuer._browser_driver import BrowserDriver

            with BrowserDriver() as driver:
                decide = getattr(driver, f"{sys.argv[1]}_authorization")
                driver.visit(decide(sys.argv[2]))
            """
        ),
        encoding="utf-8",
    )
    return shlex.join([sys.executable, str(program)])


def test_logs_in_with_the_local_browser(work: Home, browser: str) -> None:
    # BROWSER selects the browser method, even in a container.
    done = work.run("login", "work", BROWSER=f"{browser} approve %s")
    assert done.returncode == 0, done.stderr
    assert "Logged in to work." in done.stdout
    assert not is_empty(work)


def test_a_login_denied_in_the_browser_fails(work: Home, browser: str) -> None:
    done = work.run("login", "work", "--browser", BROWSER=f"{browser} deny %s")
    assert done.returncode == 1
    assert "access_denied" in done.stderr
    assert is_empty(work)


def test_explains_what_to_do_if_no_browser_can_be_opened(work: Home) -> None:
    with work.start("login", "work", "--browser") as login:
        assert login.stdout is not None
        try:
            lines = [login.stdout.readline() for _ in range(3)]
            interrupt(login)
        finally:
            login.kill()
    assert "open this address on this machine" in lines[0]
    assert lines[1].startswith("http")
    assert "No browser could be opened" in lines[2]
    assert "--device" in lines[2]
    assert login.returncode == 130


def test_shows_the_address_before_starting_a_browser_in_the_foreground(
    work: Home, grantway_issuer: LiveIssuer
) -> None:
    work.env["BROWSER"] = "sh -c 'read line' %s"
    with work.start("login", "work", stdin=subprocess.PIPE) as login:
        assert login.stdout is not None
        try:
            url = next(line for line in login.stdout if line.startswith("http")).strip()
            driver = grantway_issuer.browser_driver()
            driver.visit(driver.approve_authorization(url))
            shown = login.stdout.readline()
            assert login.wait(PATIENCE) == 0
        finally:
            login.kill()
    assert "Logged in to work." in shown


@pytest.mark.parametrize("options", [["--port"], ["--listen"]])
def test_listens_on_the_chosen_port(work: Home, browser: str, options: list[str]) -> None:
    port = free_port()
    address = [*options, f"{port}" if options == ["--port"] else f"0.0.0.0:{port}"]
    done = work.run("login", "work", *address, BROWSER=f"{browser} approve %s")
    assert done.returncode == 0, done.stderr
    assert f"127.0.0.1%3A{port}%2Fcallback" in done.stdout


def test_listens_on_a_port_of_the_profile(work: Home, browser: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        taken = busy.getsockname()[1]
        free = free_port()
        text = work.config.read_text()
        work.write(f"{text}redirect_uri = 'http://localhost/cb'\nports = [{taken}]\n")
        done = work.run("login", "work", BROWSER=f"{browser} approve %s")
        assert done.returncode == 1
        assert f"cannot listen on port {taken}" in done.stderr
        # The client registers again, because the provider knows it only with the other port.
        work.write(f"{text}redirect_uri = 'http://localhost/cb'\nports = [{taken}, {free}]\n")
        done = work.run("login", "work", BROWSER=f"{browser} approve %s")
    assert done.returncode == 0, done.stderr
    assert f"localhost%3A{free}%2Fcb" in done.stdout


def test_logs_in_by_pasting(work: Home, grantway_issuer: LiveIssuer) -> None:
    with work.start("login", "work", "--paste", stdin=subprocess.PIPE) as login:
        assert login.stdout is not None
        assert login.stdin is not None
        try:
            url = next(line for line in login.stdout if line.startswith("http")).strip()
            back = grantway_issuer.browser_driver().approve_authorization(url)
            shown, errors = login.communicate(f"{back}\n", timeout=PATIENCE)
        finally:
            login.kill()
    assert (login.returncode, errors) == (0, "")
    assert "Logged in to work." in shown
    assert not is_empty(work)


LONG = "x" * 7000
#: A shell with a controlling terminal, so that Ctrl-C sends a signal.
SHELL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
script = 'trap : INT; "$@"; echo "status $?"; read end'
os.execvp("sh", ["sh", "-c", script, "sh", *sys.argv[1:]])
"""


def test_reads_a_long_pasted_address_without_showing_it(
    work: Home, grantway_issuer: LiveIssuer
) -> None:
    with work.in_terminal("login", "work", "--paste") as login:
        url = login.until(r"(http\S+authorize\S+)\n")[1]
        login.until("Paste it here")
        back = grantway_issuer.browser_driver().approve_authorization(url)
        login.type(f"mistyped\x15{back}&more={LONG}!\x7f\necho the next line\n")
        assert login.end() == 0, login.shown
    assert "Logged in to work." in login.shown
    (code,) = parse_qs(urlsplit(back).query)["code"]
    for secret in (code, LONG[:100], "mistyped", "the next line"):
        assert secret not in login.raw
    assert not is_empty(work)


def test_reads_a_long_address_from_a_pipe(work: Home, grantway_issuer: LiveIssuer) -> None:
    with work.start("login", "work", "--paste", stdin=subprocess.PIPE) as login:
        assert login.stdout is not None
        try:
            url = next(line for line in login.stdout if line.startswith("http")).strip()
            back = grantway_issuer.browser_driver().approve_authorization(url)
            _, errors = login.communicate(f"\n{back}&more={LONG}\n", timeout=PATIENCE)
        finally:
            login.kill()
    assert (login.returncode, errors) == (0, "")


@pytest.mark.parametrize(("key", "status"), [("\x04", 1), ("\x03", 130)])
def test_restores_the_terminal_settings(work: Home, key: str, status: int) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    with subprocess.Popen(
        [sys.executable, "-c", SHELL, *GRANTWAY, "login", "work", "--paste"],
        env={**work.env, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as shell:
        login = Pty(ours, shell)
        try:
            login.until("Paste it here")
            assert termios.tcgetattr(theirs) != before
            login.press(key, f"status {status}")
            assert termios.tcgetattr(theirs) == before
        finally:
            shell.kill()
            os.close(ours)
            os.close(theirs)


def test_ctrl_c_cancels_pasting(work: Home) -> None:
    with work.start("login", "work", "--paste", stdin=subprocess.PIPE) as login:
        assert login.stdout is not None
        try:
            next(line for line in login.stdout if "Copy its complete address" in line)
            _, errors = interrupt(login)
        finally:
            login.kill()
    assert (login.returncode, errors) == (130, "\nCancelled. Nothing was stored.\n")


def test_reports_input_that_ends_without_an_address(work: Home) -> None:
    done = work.run("login", "work", "--paste", typed="\n \n")
    assert done.returncode == 1
    assert "The input ended before an address was pasted." in done.stderr


@pytest.mark.parametrize("grant", ["", 'grant = "device_code"\n'])
def test_rejects_a_login_if_the_token_cannot_be_stored(
    home: Home, grantway_issuer: LiveIssuer, grant: str
) -> None:
    client = grantway_issuer.client()
    home.write(
        f'[profiles.work]\nprovider = "{grantway_issuer.url}"\n'
        f'client_id = "{client.client_id}"\n{grant}'
    )
    done = home.run_with_full_disk("login", "work")
    assert done.returncode == 1
    assert "could not be saved: File too large" in done.stderr
    assert "Enter" not in done.stdout
    assert not list(home.tokens.glob("*.json"))


def test_rejects_a_login_to_a_memory_store(work: Home) -> None:
    work.write(work.config.read_text() + 'store = "memory"\n')
    done = work.run("login", "work")
    assert (done.returncode, done.stdout) == (1, "")
    assert "config.toml, line 4: profiles.work.store is" in done.stderr


@pytest.mark.parametrize("pasted", ["", "nonsense\n", "http://127.0.0.1/callback?code=a&state=b\n"])
def test_rejects_an_invalid_pasted_address(work: Home, pasted: str) -> None:
    done = work.run("login", "work", "--paste", typed=pasted)
    assert done.returncode == 1
    assert done.stderr
    assert "Traceback" not in done.stderr
    assert is_empty(work)


def test_uses_the_login_method_of_the_profile(work: Home) -> None:
    work.write(work.config.read_text() + 'login = "paste"\n')
    assert "Open this address in any browser" in work.run("login", "work", typed="").stdout


# --- client registration --------------------------------------------------------------------------


def log_in(home: Home, issuer: LiveIssuer) -> str:
    """Log in on a device, and return the client_id."""
    with running(home, "work", "--device") as login:
        issuer.browser_driver().approve_device(*device_prompt(login))
        _, errors = login.communicate(timeout=PATIENCE)
    assert login.returncode == 0, errors
    with home.profile() as profile:
        assert profile.registrations is not None
        registered = profile.registrations.load()
        assert registered is not None
        return registered.access_token


def test_one_registration_serves_many_logins(work: Home, grantway_issuer: LiveIssuer) -> None:
    assert log_in(work, grantway_issuer) == log_in(work, grantway_issuer)


def test_an_expired_registration_is_replaced(work: Home, grantway_issuer: LiveIssuer) -> None:
    first = log_in(work, grantway_issuer)
    with work.profile() as profile:
        key = f"{profile.key} client"
        kept = profile.store.load(key)
        assert kept is not None
        profile.store.save(key, replace(kept, expires_at=time.time() - 1))
    work.age(-1)
    done = work.run("token", "work")
    assert done.returncode == 3
    assert "grantway login work" in done.stderr
    assert log_in(work, grantway_issuer) != first
    assert work.run("token", "work").returncode == 0


def test_a_registration_unknown_to_the_provider_is_replaced(
    work: Home, grantway_issuer: LiveIssuer
) -> None:
    first = log_in(work, grantway_issuer)
    with work.profile() as profile:
        key = f"{profile.key} client"
        kept = profile.store.load(key)
        assert kept is not None
        profile.store.save(key, replace(kept, access_token="f" * 32))
    assert log_in(work, grantway_issuer) not in {first, "f" * 32}


@pytest.mark.parametrize("method", ["--browser", "--paste"])
def test_replaces_an_unknown_registration_before_opening_the_browser(
    work: Home, grantway_issuer: LiveIssuer, method: str
) -> None:
    """Otherwise the provider shows an error page, and the command waits forever."""
    log_in(work, grantway_issuer)
    with work.profile() as profile:
        key = f"{profile.key} client"
        kept = profile.store.load(key)
        assert kept is not None
        profile.store.save(key, replace(kept, access_token="f" * 32))
    with work.start("login", "work", method, stdin=subprocess.PIPE) as login:
        assert login.stdout is not None
        try:
            url = next(line for line in login.stdout if line.startswith("http")).strip()
            driver = grantway_issuer.browser_driver()
            back = driver.approve_authorization(url)
            if method == "--browser":
                driver.visit(back)
            _, errors = login.communicate(f"{back}\n", timeout=PATIENCE)
        finally:
            login.kill()
    assert (login.returncode, errors) == (0, "")


def test_a_token_of_an_unknown_registration_needs_a_login(
    work: Home, grantway_issuer: LiveIssuer
) -> None:
    log_in(work, grantway_issuer)
    with work.profile() as profile:
        key = f"{profile.key} client"
        kept = profile.store.load(key)
        assert kept is not None
        profile.store.save(key, replace(kept, access_token="f" * 32))
    work.age(-1)
    done = work.run("token", "work")
    assert done.returncode == 3
    assert "grantway login work" in done.stderr


def test_reports_a_provider_without_registration(home: Home, grantway_issuer: LiveIssuer) -> None:
    url = grantway_issuer.url
    home.write(
        f'[profiles.work]\nprovider = {{token_endpoint = "{url}/token", '
        f'device_authorization_endpoint = "{url}/device_authorization"}}\n'
    )
    done = home.run("login", "work")
    assert done.returncode == 1
    assert "profiles.work.client_id is missing, and the provider has no registration" in done.stderr


def test_reports_why_a_registration_was_rejected(home: Home, grantway_issuer: LiveIssuer) -> None:
    home.write(
        f'[profiles.work]\nprovider = "{grantway_issuer.url}"\n'
        'redirect_uri = "http://elsewhere.example.com/callback"\n'
    )
    done = home.run("login", "work")
    assert done.returncode == 1
    assert "rejected the registration of a client: invalid_redirect_uri" in done.stderr
    assert "Register one manually, and use its client_id" in done.stderr


# --- choice of the login method -------------------------------------------------------------------

BOTH = Provider(
    token_endpoint="https://login.example.com/token",
    authorization_endpoint="https://login.example.com/authorize",
    device_authorization_endpoint="https://login.example.com/device",
)
HERE = "http://127.0.0.1/callback"
DESKTOP = {"BROWSER": "firefox"}


@pytest.mark.parametrize(
    ("environ", "method", "reason"),
    [
        (DESKTOP, "browser", ""),
        ({**DESKTOP, "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "device", "SSH"),
        ({**DESKTOP, "SSH_TTY": "/dev/pts/0"}, "device", "SSH"),
        ({**DESKTOP, "container": "podman"}, "browser", ""),
        ({"container": "podman", "DISPLAY": ":0"}, "device", "container"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "DISPLAY": ":0"}, "device", "container"),
    ],
)
def test_chooses_the_method_by_environment(
    environ: dict[str, str], method: str, reason: str
) -> None:
    choice = choose(BOTH, HERE, environ)
    assert choice.method == method
    assert reason in choice.reason


def test_chooses_device_without_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")  # only Linux names the display in a variable
    monkeypatch.setattr(login_methods, "_CONTAINER_MARKERS", ())
    assert choose(BOTH, HERE, {}) == ChosenMethod("device", "there is no display")


def test_detects_a_container_by_its_marker_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(login_methods, "_CONTAINER_MARKERS", (str(tmp_path),))
    assert choose(BOTH, HERE, {"DISPLAY": ":0"}) == ChosenMethod("device", "this is a container")


def test_chooses_the_method_by_provider_and_redirect_uri() -> None:
    remote = {"SSH_TTY": "/dev/pts/0"}
    only_browser = replace(BOTH, device_authorization_endpoint=None)
    only_device = replace(BOTH, authorization_endpoint=None)
    assert choose(only_browser, HERE, remote).method == "paste"
    assert choose(only_device, HERE, DESKTOP).method == "device"
    assert choose(BOTH, "https://app.example.com/callback", DESKTOP).method == "paste"
    assert (
        choose(BOTH, "https://app.example.com/callback", remote, listens=True).method == "browser"
    )
    assert choose(only_device, HERE, DESKTOP, listens=True).method == "device"


def test_rejects_a_provider_without_login_endpoints(home: Home) -> None:
    home.write(
        '[profiles.work]\nprovider = {token_endpoint = "https://login.example.com/token"}\n'
        'client_id = "app"\n'
    )
    done = home.run("login", "work")
    assert done.returncode == 1
    assert "neither an authorization_endpoint nor a device_authorization_endpoint" in done.stderr


def test_logs_in_with_a_grant_that_needs_no_user(home: Home, grantway_issuer: LiveIssuer) -> None:
    client = grantway_issuer.client(grant_types=["client_credentials"])
    home.write(
        f'[profiles.robot]\nprovider = "{grantway_issuer.url}"\ngrant = "client_credentials"\n'
        f'client_id = "{client.client_id}"\nclient_secret = {{source = "env", name = "ROBOT"}}\n'
    )
    secret = client.auth.client_secret  # type: ignore[attr-defined]
    done = home.run("login", "robot", ROBOT=secret)
    assert done.returncode == 0, done.stderr
    assert "Requesting a token with client_credentials." in done.stdout


def test_ctrl_c_during_a_request_says_that_the_token_is_still_stored(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        home.write(
            "[profiles.robot]\nprovider = "
            f'{{token_endpoint = "http://127.0.0.1:{server.getsockname()[1]}/token"}}\n'
            'grant = "client_credentials"\nclient_id = "robot"\n'
        )
        with running(home, "robot") as login:
            connection, _ = server.accept()
            with connection:
                read_request(connection)  # before it is sent, Ctrl-C would cancel the request
                login.send_signal(signal.SIGINT)
                assert login.stderr is not None
                shown = login.stderr.readline() + login.stderr.readline()
                body = b'{"access_token": "at", "token_type": "Bearer", "expires_in": 60}'
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)
                )
                login.communicate(timeout=PATIENCE)
    assert login.returncode == 130
    assert shown == "\nCancelled. If the provider has already issued a token, it is still stored.\n"
    assert home.run("token", "robot").stdout == "at\n"


# --- AWS sessions ---------------------------------------------------------------------------------


def test_logs_in_to_an_aws_session(home: Home, grantway_issuer: LiveIssuer) -> None:
    config = home.folder / "aws-config"
    config.write_text(
        "[sso-session corp]\nsso_region = eu-west-1\n"
        "sso_start_url = https://d-0000000000.awsapps.com/start\n"
    )
    aws = {
        "AWS_CONFIG_FILE": str(config),
        "AWS_ENDPOINT_URL_SSO_OIDC": grantway_issuer.url,
    }
    home.env.update(aws)
    with running(home, "--sso-session", "corp") as login:
        grantway_issuer.browser_driver().approve_device(*device_prompt(login))
        shown, errors = login.communicate(timeout=PATIENCE)
    assert (login.returncode, errors) == (0, "")
    assert "The AWS tools share it" in shown
    assert list((home.folder / ".aws" / "sso" / "cache").glob("*.json"))
    cache = home.folder / ".aws" / "sso" / "cache"
    cached = sorted(cache.glob("*.json"))
    again = home.run_with_full_disk("login", "--sso-session", "corp")
    assert again.returncode == 1
    assert "could not be saved: File too large" in again.stderr
    assert "Enter" not in again.stdout
    assert sorted(cache.glob("*.json")) == cached
    token = home.run("token", "--sso-session", "corp")
    assert (token.returncode, len(token.stdout.split())) == (0, 1)
    assert home.run("logout", "--sso-session", "corp").stdout == "Logged out of corp.\n"
    assert home.run("token", "--sso-session", "corp").returncode == 3


def test_uses_the_session_settings_of_the_profile_file(
    home: Home, grantway_issuer: LiveIssuer, browser: str
) -> None:
    config = home.folder / "aws-config"
    config.write_text(
        "[sso-session corp]\nsso_region = eu-west-1\n"
        "sso_start_url = https://d-0000000000.awsapps.com/start\n"
    )
    home.env.update(
        AWS_CONFIG_FILE=str(config),
        AWS_ENDPOINT_URL_SSO_OIDC=grantway_issuer.url,
        BROWSER=f"{browser} approve %s",
    )
    port = free_port()
    home.write(f"[sso_sessions.corp]\nports = [{port}]\n")
    done = home.run("login", "--sso-session", "corp")
    assert done.returncode == 0, done.stderr
    assert f"127.0.0.1%3A{port}%2Foauth%2Fcallback" in done.stdout
    home.write('[sso_sessions.corp]\nlogin = "device"\n')
    with running(home, "--sso-session", "corp") as login:
        grantway_issuer.browser_driver().approve_device(*device_prompt(login))
        assert login.wait(PATIENCE) == 0


def test_sends_no_session_refresh_token_if_the_next_cannot_be_stored(
    home: Home, grantway_issuer: LiveIssuer
) -> None:
    config = home.folder / "aws-config"
    config.write_text(
        "[sso-session corp]\nsso_region = eu-west-1\n"
        "sso_start_url = https://d-0000000000.awsapps.com/start\n"
    )
    home.env.update(AWS_CONFIG_FILE=str(config), AWS_ENDPOINT_URL_SSO_OIDC=grantway_issuer.url)
    with running(home, "--sso-session", "corp") as login:
        grantway_issuer.browser_driver().approve_device(*device_prompt(login))
        login.communicate(timeout=PATIENCE)
    file = next(
        each
        for each in (home.folder / ".aws" / "sso" / "cache").glob("*.json")
        if "refreshToken" in each.read_text()
    )
    expired = {**json.loads(file.read_text()), "expiresAt": "2020-01-02T03:04:05Z"}
    expired.pop("grantway")
    file.write_text(json.dumps(expired))
    done = home.run_with_full_disk("token", "--sso-session", "corp")
    assert (done.returncode, done.stdout) == (1, "")
    assert "could not be saved: File too large" in done.stderr
    assert "keeps the new token" not in done.stderr  # nothing was sent
    assert json.loads(file.read_text()) == expired
    done = home.run("token", "--sso-session", "corp")
    assert done.returncode == 0, done.stderr
    assert json.loads(file.read_text())["refreshToken"] != expired["refreshToken"]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("login.example.com", "https://login.example.com"),
        ("login.example.com:8443/realms/a", "https://login.example.com:8443/realms/a"),
        ("localhost:8400", "http://localhost:8400"),
        ("127.0.0.1:8400", "http://127.0.0.1:8400"),
    ],
)
def test_suggests_the_command_for_a_host_without_https(home: Home, name: str, address: str) -> None:
    home.write('[profiles.work]\nprovider = "https://login.example.com"\n')
    done = home.run("login", name)
    assert done.returncode == 1
    assert f"no profile is named '{name}'" in done.stderr
    assert done.stderr.endswith(f"run: grantway login {address}\n")
