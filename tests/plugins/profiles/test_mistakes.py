"""Mistakes in a profile file are reported with file, line, key and rule, without secrets."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import pytest

from grantway._exceptions import ConfigurationError
from grantway_plugins import profiles
from grantway_plugins.profiles import ProfileFile
from grantway_plugins.profiles._sso_sessions import SsoSessionSettings

GOOD = '[profiles.work]\nprovider = "https://login.example.com"\nclient_id = "app"\n'
LOGIN = '[profiles.work]\nprovider = "https://login.example.com"\n'
LOGIN_OFFLINE = "[profiles.work]\nprovider = {token_endpoint = 'https://login.example.com/token'}\n"


def error_in(tmp_path: Path, text: str, name: str = "work") -> str:
    """Return the error for a profile file, without the file's path."""
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        profiles.load(name, path)
    return str(refused.value).replace(f"{path}", "FILE")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[profiles.work]\n", "FILE, line 1: profiles.work.provider is missing; give the issuer"),
        (f"{GOOD}scpoe = 'read'\n", "FILE, line 4: profiles.work.scpoe is an unknown key; did you"),
        (
            f"{GOOD}zzzzzz = 1\n",
            "FILE, line 4: profiles.work.zzzzzz is an unknown key; there are a",
        ),
        (
            f"{GOOD}'zz z' = 1\n",
            'FILE, line 4: profiles.work."zz z" is an unknown key; there are a',
        ),
        (f"{GOOD}scope = 7\n", "FILE, line 4: profiles.work.scope must be a list of names or a"),
        (
            f"{GOOD}client_secret = 7\n",
            "FILE, line 4: profiles.work.client_secret must be text, or a table",
        ),
        (f"{GOOD}login = 'phone'\n", "FILE, line 4: profiles.work.login must be one of auto, bro"),
        (f"{GOOD}login = 7\n", "FILE, line 4: profiles.work.login must be one of auto, browser, d"),
        (
            f"{GOOD}timeout = '5'\n",
            "FILE, line 4: profiles.work.timeout must be a number of seconds",
        ),
        (
            f"{GOOD}timeout = true\n",
            "FILE, line 4: profiles.work.timeout must be a number of seconds",
        ),
        (f"{GOOD}timeout = 0\n", "FILE, line 4: profiles.work.timeout must be a number of seconds"),
        (f"{GOOD}ports = 8765\n", "FILE, line 4: profiles.work.ports must be a list of port num"),
        (f"{GOOD}ports = [true]\n", "FILE, line 4: profiles.work.ports must be a list of port n"),
        (f"{GOOD}listen = 'here'\n", "FILE, line 4: profiles.work.listen must be an IP address o"),
        (
            f"{GOOD}redirect_uri = 'http://localhost:1/'\nports = [8765]\n",
            "FILE, line 5: profiles.work.ports must be omitted, because redirect_uri has the port",
        ),
        (
            f"{GOOD}redirect_uri = 'my-app:/cb'\nports = [8765]\n",
            "FILE, line 4: profiles.work.redirect_uri must be a URL",
        ),
        (f"{GOOD}extra = 'a'\n", "FILE, line 4: profiles.work.extra must be a table of text"),
        (f"{GOOD}extra.a = 7\n", "FILE, line 4: profiles.work.extra.a must be text, or a list of"),
        (f"{GOOD}store = 7\n", "FILE, line 4: profiles.work.store must be the name of a store"),
        (f"{GOOD}store = {{folder = 'a'}}\n", "FILE, line 4: profiles.work.store.kind must be the"),
        (
            f"{GOOD}[profiles.work.freshness]\nadvisry = 5\n",
            "FILE, line 5: profiles.work.freshness.advisry is an unknown key; did you mean ad",
        ),
        (
            f"{GOOD}freshness = {{advisory = 5, mandatory = 9}}\n",
            "FILE, line 4: profiles.work.freshness.mandatory must not be greater than advisory",
        ),
        (
            f"{GOOD}client_secret = 's'\nclient_assertion = 'a'\n",
            "FILE, line 5: profiles.work.client_assertion cannot be combined with client_secret",
        ),
        (
            f"{GOOD}auth = 'none'\nclient_assertion = 'a'\n",
            "FILE, line 5: profiles.work.client_assertion cannot be combined with auth; remove one",
        ),
        (
            f"{GOOD}client_assertion_type = 'a'\n",
            "FILE, line 4: profiles.work.client_assertion_type needs client_assertion beside it",
        ),
        (
            f"{GOOD}client_secret = {{path = 'a'}}\n",
            "FILE, line 4: profiles.work.client_secret.source must name a secret source",
        ),
        (
            f"{LOGIN}client_secret = 's'\n",
            "FILE, line 3: profiles.work.client_secret needs client_id beside it",
        ),
        (
            f"{LOGIN}grant = 'client_credentials'\n",
            "FILE, line 1: profiles.work.client_id is missing; only browser and device logins",
        ),
        (f"{GOOD}params = {{a = 1}}\n", "FILE, line 4: profiles.work.params is only for grants"),
        (
            f"{GOOD}grant = 'client_credentials'\nparams = {{scope = 'a'}}\n",
            "FILE, line 5: profiles.work.params.scope belongs outside params, as scope",
        ),
        (
            f"{GOOD}grant = 'client_credentials'\nlogin = 'device'\n",
            "FILE, line 5: profiles.work.login does not apply to client_credentials",
        ),
        (
            f"{GOOD}grant = 'client_credential'\n",
            "FILE, line 4: profiles.work.grant 'client_credential' is not registered",
        ),
        (
            f"{GOOD}grant = 'client_credentials'\nparams = {{a = 1}}\n",
            (
                "FILE, line 5: profiles.work.params.a is not a parameter of this grant; "
                "provider-specific ones go into the table extra"
            ),
        ),
        (
            f"{GOOD}grant = 'urn:ietf:params:oauth:grant-type:token-exchange'\nscope = 'read'\n",
            "FILE, line 1: profiles.work.params.subject_token is required",
        ),
        (
            f"{GOOD}grant = 'device_code'\nlogin = 'browser'\n",
            "FILE, line 5: profiles.work.login does not fit the grant device_code",
        ),
        (
            "[profiles.work]\nprovider = 'http://login.example.com'\n",
            "FILE, line 2: profiles.work.provider http://login.example.com would send secrets",
        ),
        (
            "[profiles.work]\nprovider = 'login.example.com'\n",
            "FILE, line 2: profiles.work.provider must be an absolute https address",
        ),
        (
            "[profiles.work]\nprovider = 7\n",
            "FILE, line 2: profiles.work.provider must be the issu",
        ),
        (
            "[profiles.work.provider]\ndialect = 'github'\n",
            "FILE, line 1: profiles.work.provider needs issuer",
        ),
        (
            "[profiles.work.provider]\ntoken_endpint = 'https://a.example'\n",
            "FILE, line 2: profiles.work.provider.token_endpint is an unknown key; did you mean",
        ),
        ("profiles = 7\n", "FILE, line 1: profiles must be tables, like [profiles.work]"),
        ("[profiles]\nwork = 7\n", "FILE, line 2: profiles.work must be a table, like [profiles.w"),
        (f"{GOOD}[profile.x]\n", "FILE, line 4: profile is an unknown key; did you mean profiles?"),
        ("[profiles.wrok]\n", "FILE: no profile is named 'work'; did you mean wrok?"),
        ("", "FILE: no profile is named 'work'; there are none."),
        ("[profiles.work\n", "FILE, line 1: Expected ']' at the end of a table declaration."),
        (f"{GOOD}a = 1\na = 2\n", "FILE, line 5: Cannot overwrite a value."),
    ],
)
def test_reports_a_mistake(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in error_in(tmp_path, text)


def test_reports_all_mistakes_in_the_order_of_the_file(tmp_path: Path) -> None:
    shown = error_in(tmp_path, f"{GOOD}scope = 7\n\n# a comment\nscpoe = 7\nlogin = 7\n")
    assert re.findall(r"line (\d+): profiles\.work\.(\w+)", shown) == [
        ("4", "scope"),
        ("7", "scpoe"),
        ("8", "login"),
    ]


def test_reports_a_missing_and_an_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: no such file"):
        profiles.load("work", tmp_path / "none.toml")
    with pytest.raises(ConfigurationError, match=r": is a directory, not a file"):
        profiles.load("work", tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigurationError, match=r"binary\.toml, line 2: is not UTF-8"):
        profiles.load("work", binary)


def test_rejects_an_invalid_profile_name(tmp_path: Path) -> None:
    text = GOOD.replace("work", '"a/b"')
    assert error_in(tmp_path, text, "a/b").startswith(
        'FILE, line 1: profiles."a/b" is not a valid profile name'
    )


def test_a_mistake_does_not_affect_other_profiles(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"{GOOD}[profiles.bad]\nprovdier = 1\n")
    file = ProfileFile(path)
    assert file.names == ["work", "bad"]
    assert file.table("work")["client_id"] == "app"
    with pytest.raises(ConfigurationError, match="did you mean provider"):
        file.table("bad")


def test_errors_show_no_secret(tmp_path: Path) -> None:
    text = (
        (
            f"{GOOD}client_secret = 's3cr3t-\x7f-value'\n"
            "params = {password = 's3cr3t-value'}\nextra = {a = {b = 's3cr3t-value'}}\n"
        )
        .replace("\x7f", "\\u00e9")
        .replace("'s3cr3t-\\u00e9-value'", '"s3cr3t-\\u00e9-value"')
    )
    shown = error_in(tmp_path, text)
    assert "profiles.work.client_secret has a character" in shown
    assert "s3cr3t" not in shown


def test_tracebacks_with_local_variables_show_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    secret = "client_secret = 's3cr3t-value'\n"
    for text in (f"{GOOD}{secret}scope = 7\n", f"{GOOD}{secret}auth = 'nonsense'\n"):
        path.write_text(text.replace(LOGIN, LOGIN_OFFLINE))
        with pytest.raises(ConfigurationError) as refused:
            profiles.load("work", path).client()
        frames = refused.value.__traceback__
        assert frames is not None
        # Without the frame of this test, which contains the secret.
        report = traceback.TracebackException(
            refused.type, refused.value, frames.tb_next, capture_locals=True
        )
        assert "profile.py" in "".join(report.format())
        assert "s3cr3t" not in "".join(report.format())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[sso_sessions.corp]\nlogin = 'paste'\n", "sso_sessions.corp.login must be one of auto"),
        ("[sso_sessions.corp]\nports = []\n", "sso_sessions.corp.ports must be a list of port n"),
        ("[sso_sessions.corp]\nlisten = 'x'\n", "sso_sessions.corp.listen must be an IP address"),
        ("[sso_sessions.corp]\nport = 1\n", "sso_sessions.corp.port is an unknown key; did you me"),
        ("[sso_sessions.corp]\nproxy = 1\n", "sso_sessions.corp.proxy must be an address, like"),
        ("[sso_sessions]\ncorp = 1\n", "sso_sessions.corp must be a table, like [sso_sessions"),
        ("sso_sessions = 1\n", "sso_sessions must be tables, like [sso_sessions.work]"),
    ],
)
def test_reports_a_mistake_in_the_settings_of_a_session(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        SsoSessionSettings("corp", path)
    assert re.search(rf"config.toml, line \d: {re.escape(expected)}", str(refused.value))


def test_a_session_without_settings_has_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRANTWAY_CONFIG", str(tmp_path / "config.toml"))
    assert SsoSessionSettings("corp").table == {"login": "auto"}
    (tmp_path / "config.toml").write_text("[sso_sessions.other]\nports = [1]\n", encoding="utf-8")
    assert SsoSessionSettings("corp").table == {"login": "auto"}
    assert SsoSessionSettings("other").table == {"login": "auto", "ports": (1,)}
