"""The configuration file of the issuer: every option, and mistakes with their lines."""

from __future__ import annotations

import re
import shutil
import traceback
from dataclasses import fields
from pathlib import Path
from textwrap import dedent
from typing import Any

import certifi
import pytest

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer import (
    AwsAccount,
    IdentityAssertionPolicy,
    IssuerSettings,
    KeySettings,
    Lifetimes,
    OpenIDLogin,
    RoleCredentials,
    SessionSettings,
    _metrics_listener,
)
from grantway_plugins.issuer._config import IssuerFile, Options
from grantway_plugins.issuer._config.tables import TABLES
from grantway_plugins.issuer._config.tables.registration import RegistrationTable
from grantway_plugins.issuer._keys import opening
from grantway_plugins.server import Limits
from tests.docs.pages import DOCS

TOKEN = "t" * 22
#: Settings that have no key of the same name; they are checked with their tables.
BUILT = {
    "lifetimes",
    "trusted_issuers",
    "identity_assertions",
    "aws_accounts",
    "resources",
    "client_documents",
    "keys",
    "client_certificates",
    "login",
    "sessions",
}


def options_of(folder: Path, text: str, flags: dict[Any, Any] | None = None) -> Options:
    file = folder / "issuer.toml"
    file.write_text(dedent(text))
    return Options(flags or {}, lambda _, name: f"--{name}", IssuerFile(file))


def mistakes_in(folder: Path, text: str, flags: dict[Any, Any] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        options_of(folder, text, flags).build()
    return raised.value.message.replace(f"{folder / 'issuer.toml'}, ", "").splitlines()


def test_reads_every_table(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    settings, server = options_of(
        tmp_path,
        """
        [issuer]
        url = "https://login.example.com"
        name = "Example Login"
        subject = "operator"
        default_scopes = ["read"]
        scope_descriptions = { read = "Read your files" }
        cors_origins = ["https://app.example.com"]

        [server]
        listen = "127.0.0.1:8443"
        trusted_proxies = ["127.0.0.1"]
        log_format = "json"

        [database]
        url = "issuer.sqlite3"
        durability = "power"

        [registration]
        mode = "token"
        token = { source = "file", path = "token" }
        scopes = ["read"]
        rate = 5

        [lifetimes]
        access_token = 77

        [limits]
        connections = 9
        """,
    ).build()
    assert settings == IssuerSettings(
        issuer="https://login.example.com",
        name="Example Login",
        subject="operator",
        default_scopes=("read",),
        scope_descriptions={"read": "Read your files"},
        cors_origins=("https://app.example.com",),
        registration="token",
        registration_token=TOKEN,
        registration_scopes=("read",),
        registration_rate=5,
        lifetimes=Lifetimes(access_token=77),
    )
    assert server == {
        "host": "127.0.0.1",
        "port": 8443,
        "trusted_proxies": ("127.0.0.1",),
        "log_format": "json",
        "database": str(tmp_path / "issuer.sqlite3"),
        "durability": "power",
        "limits": Limits(connections=9),
    }


def test_reads_the_login_at_a_provider(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    shutil.copy(certifi.where(), tmp_path / "ca.pem")
    settings, _ = options_of(
        tmp_path,
        """
        [login]
        issuer = "https://login.example.com"
        client_id = "issuer"
        client_secret = { source = "file", path = "secret" }
        allow = { email = ["**@example.com"], groups = ["staff", "admins"] }
        parameters = { hd = "example.com" }
        ca_bundle = "ca.pem"
        provider_logout = true

        [sessions]
        idle = 600
        remember_consent = 3600
        """,
    ).build()
    assert settings.login == OpenIDLogin(
        issuer="https://login.example.com",
        client_id="issuer",
        client_secret="s3cret",
        allow={"email": ("**@example.com",), "groups": ("staff", "admins")},
        parameters={"hd": "example.com"},
        ca_bundle=str(tmp_path / "ca.pem"),
        provider_logout=True,
    )
    assert settings.sessions == SessionSettings(idle=600)
    assert settings.remember_consent == 3600


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        (
            '[login]\nissuer = "http://a.example"\nclient_id = "a"\n[sessions]\nidle = 1',
            ["line 2: login.issuer", "line 5: sessions.idle"],
        ),
        ('[login]\nclient_id = "a"', ["line 1: login.issuer is missing"]),
        ('[login]\nissuer = "https://a.example"', ["line 1: login.client_id is missing"]),
        ("[login]\noptions = {}", ["line 2: login.options requires plugin"]),
        ('[login]\nplugin = "a"\nissuer = "b"', ["line 3: login.issuer cannot be combined"]),
        ('[login]\nplugin = "unknown"', ["line 1: login cannot be used: issuer login: 'unknown'"]),
        ("[sessions]\nremember_consent = 60", ["line 2: sessions.remember_consent requires"]),
        (
            '[login]\nissuer = "https://a.example"\nclient_id = "a"\nallow = { email = [] }',
            ["line 4: login.allow must map"],
        ),
    ],
)
def test_names_the_mistakes_of_a_login(tmp_path: Path, text: str, mistakes: list[str]) -> None:
    found = mistakes_in(tmp_path, text)
    for mistake in mistakes:
        assert any(mistake in line for line in found), found


@pytest.mark.parametrize("url", [":memory:", "postgresql+psycopg://db/issuer"])
def test_a_database_that_is_not_a_file_is_no_path(tmp_path: Path, url: str) -> None:
    _, server = options_of(tmp_path, f'[database]\nurl = "{url}"\n').build()
    assert server["database"] == url


def test_reads_the_rules_of_identity_assertions(tmp_path: Path) -> None:
    text = """
        [[trusted_issuer]]
        issuer = "https://login.example"
        users = ["**"]
        subject_claim = "email"
        subject_prefix = "company:"

        [[identity_assertion]]
        audience = "https://files.example"
        clients = { agent = "agent-at-files" }
        scopes = ["read"]
        resources = ["https://files.example/mcp"]
        users = ["a*"]
        claims = ["email"]
        lifetime = 60

        [[identity_assertion]]
        audience = "https://mail.example"
        clients = { agent = "agent-at-mail" }
        """
    settings, _ = options_of(tmp_path, text).build()
    (trusted,) = settings.trusted_issuers
    assert (trusted.users, trusted.subject_claim) == (("**",), "email")
    assert trusted.subject_prefix == "company:"
    files, mail = settings.identity_assertions
    assert files == IdentityAssertionPolicy(
        "https://files.example",
        {"agent": "agent-at-files"},
        scopes=("read",),
        resources=("https://files.example/mcp",),
        users=("a*",),
        claims=("email",),
        lifetime=60,
    )
    assert (mail.users, mail.lifetime) == (("**",), 300)
    for lines, problem in (
        ('audience = "http://a.example"\nclients = { a = "b" }', "line 2: {}.audience http:"),
        ('audience = "https://a.example"', "line 1: {}.clients is missing"),
        ('clients = { a = "b" }', "line 1: {}.audience is missing"),
    ):
        found = mistakes_in(tmp_path, f"[[identity_assertion]]\n{lines}\n")
        says = problem.format("identity_assertion.1")
        assert any(each.startswith(says) for each in found), found


def test_names_the_tables_that_mix_accounts(tmp_path: Path) -> None:
    rules = 'users = ["**"]\nsubject_claim = "email"\n'
    tables = (
        f'[[trusted_issuer]]\nissuer = "https://{name}.example"\n{rules}' for name in ("a", "b")
    )
    with pytest.raises(ConfigurationError, match="trusted_issuer must keep accounts apart"):
        options_of(tmp_path, "".join(tables)).build()


def test_reads_trusted_issuers_and_accounts_from_tables_and_files(tmp_path: Path) -> None:
    (tmp_path / "trust.toml").write_text(
        '[trusted.b]\nissuer = "https://b.example"\nsubjects = ["b"]\njwks_file = "b.json"\n'
    )
    role = '{ access_key_id = "A", secret_access_key = "B", session_token = "C" }'
    text = f"""
        [[trusted_issuer]]
        issuer = "https://a.example"
        subjects = ["a"]

        [[trusted_issuer]]
        file = "trust.toml"

        [aws_portal.accounts.123456789012.roles]
        Admin = {role}
        """
    settings, _ = options_of(tmp_path, text).build()
    assert [each.issuer for each in settings.trusted_issuers] == [
        "https://a.example",
        "https://b.example",
    ]
    assert settings.trusted_issuers[1].jwks_file == str(tmp_path / "b.json")
    account = AwsAccount(
        "123456789012",
        "123456789012",
        "123456789012@example.com",
        {"Admin": RoleCredentials("A", "B", "C", 3600.0)},
    )
    assert settings.aws_accounts == (account,)
    (tmp_path / "accounts.toml").write_text(f"[accounts.123456789012.roles]\nAdmin = {role}\n")
    settings, _ = options_of(tmp_path, '[aws_portal]\nfile = "accounts.toml"\n').build()
    assert settings.aws_accounts == (account,)


def test_the_command_line_overrides_single_keys(tmp_path: Path) -> None:
    settings, server = options_of(
        tmp_path,
        """
        [issuer]
        name = "File"
        [server]
        listen = "127.0.0.1:1"
        [lifetimes]
        access_token = 77
        device_code = 78
        """,
        {"settings": {"name": "Flag"}, "server": {"port": 2}, "lifetimes": {"access_token": 79.0}},
    ).build()
    assert settings.name == "Flag"
    assert (server["host"], server["port"]) == ("127.0.0.1", 2)
    assert settings.lifetimes == Lifetimes(access_token=79.0, device_code=78.0)


def test_lists_all_mistakes_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "trust.toml").write_text("[trusted.a]\nissuer = 1\n")
    found = mistakes_in(
        tmp_path,
        """\
        [issuer]
        nmae = "x"
        url = "login.example.com"
        approve = "pag"
        cors_origins = "https://app.example.com"
        [server]
        listen = "127.0.0.1"
        [registration]
        mode = "token"
        token = { source = "env", name = "GRANTWAY_TEST_NOT_SET" }
        [lifetimes]
        access_token = "5"
        device_code = 0
        [limits]
        connections = "many"
        [[trusted_issuer]]
        file = "trust.toml"
        [[trusted_issuer]]
        issuer = "https://a.example"
        subjects = ["a"]
        max_lifetime = 0
        [[trusted_issuer]]
        subjects = ["a"]
        [aws_portal.accounts.1]
        name = "x"
        [srever]
        [[resource]]
        url = "orders"
        """,
        {"limits": {"header_bytes": 5}},
    )
    expected = [
        "line 2: issuer.nmae is an unknown key; did you mean name?",
        "line 3: issuer.url must be an http or https URL",
        'line 4: issuer.approve must be "page" or "auto"',
        'line 5: issuer.cors_origins must be a list, like ["https://app.example.com"]',
        "line 7: server.listen must be host and port",
        "line 10: registration.token is not available",
        "line 12: lifetimes.access_token must be a number",
        "line 13: lifetimes.device_code must be a number of seconds from 1 ",
        "line 15: limits.connections must be a whole number",
        "line 17: trusted_issuer.1.file cannot be used:",
        f"{tmp_path / 'trust.toml'}, line 2: trusted.a.issuer must be a string",
        "line 21: trusted_issuer.2.max_lifetime must be a number of seconds",
        "line 22: trusted_issuer.3.issuer is missing; give it, or file",
        "line 24: aws_portal.accounts.1 must be an account id",
        "line 24: aws_portal.accounts.1.roles is missing",
        "line 26: srever is an unknown key; did you mean server?",
        "line 28: resource.1.url must be an absolute URI without fragment",
        "--header_bytes must be a whole number from 1024",
    ]
    assert len(found) == len(expected), found
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(start)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("issuer = 3", "line 1: issuer must be a table"),
        ("[trusted_issuer]", "line 1: trusted_issuer must be an array of tables"),
        ("[plugins]\nacme = 1", "line 2: plugins.acme"),
        ("[aws_portal]", "line 1: aws_portal.accounts or file is required"),
        (
            '[registration]\nmode = "token"',
            'registration.token is required for registration.mode = "token"',
        ),
        ('[database]\nurl = { source = "fil" }', "database.url.source is not a known"),
        ("[metrics]", "line 1: metrics.listen is required"),
        (
            '[registration]\ngrant_types = ["device"]',
            "grant_types must be grant types of the",
        ),
        ('[tls]\ncertificate = "none.crt"', "create the file, or correct the path"),
    ],
)
def test_reports_single_mistakes(tmp_path: Path, text: str, says: str) -> None:
    found = mistakes_in(tmp_path, text)
    assert any(says in line for line in found), found


def test_settings_that_depend_on_the_address_are_reported_with_their_line(tmp_path: Path) -> None:
    text = '[issuer]\nurl = "https://login.example.com"\n'
    (found,) = mistakes_in(tmp_path, text)
    assert "registration.mode must be off, token or open" in found
    (found,) = mistakes_in(tmp_path, text.replace("https", "http"))
    assert found.startswith("line 2: issuer.url must be an https URL")
    assert found.endswith("set server.insecure_http")
    (found,) = mistakes_in(tmp_path, '[issuer]\nsigning_keys = ["missing.pem"]\n')
    assert found.startswith(f"line 2: issuer.signing_keys {tmp_path / 'missing.pem'}: cannot be ")
    assert found.count("cannot be read") == 1


@pytest.mark.parametrize(
    ("text", "library", "says"),
    [
        (
            '[metrics]\nlisten = "127.0.0.1:0"',
            "prometheus_client",
            "line 2: metrics.listen",
        ),
        (
            "[keys]\nenabled = true",
            "joserfc",
            "line 1: keys cannot be used: signing keys need",
        ),
        (
            '[issuer]\naccess_token_format = "jwt"',
            "joserfc",
            "line 2: issuer.access_token_format cannot be used: signing keys need joserfc",
        ),
    ],
)
def test_finds_missing_libraries_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, library: str, says: str
) -> None:
    for module in (opening, _metrics_listener):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name == library else name)
    (found,) = mistakes_in(tmp_path, text)
    assert found.startswith(says)
    assert "pip install 'grantway[" in found


def test_errors_show_no_secret(tmp_path: Path) -> None:
    text = f'[registration]\nmode = "off"\ntoken = "{TOKEN}"\n'
    found = mistakes_in(tmp_path, text)
    assert found == ['line 3: registration.token requires registration.mode = "token"']


def test_tracebacks_with_local_variables_show_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_values: object) -> dict[str, Any]:
        raise RuntimeError

    monkeypatch.setattr(RegistrationTable, "read", fail)
    options = options_of(tmp_path, f'[registration]\nmode = "token"\ntoken = "{TOKEN}"\n')
    with pytest.raises(RuntimeError) as raised:
        options.build()
    report = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    assert TOKEN not in "".join(report.format())


def test_messages_name_keys_of_the_file_instead_of_arguments(tmp_path: Path) -> None:
    (found,) = mistakes_in(tmp_path, '[server]\nlisten = "192.0.2.1:8443"\n')
    assert "set tls.certificate and tls.key" in found
    assert "set server.insecure_http" in found
    assert "line 2: server.listen must be 127.0.0.1 without TLS" in found
    (found,) = mistakes_in(tmp_path, '[tls]\nkey = "x.key"\n')
    assert found == "line 2: tls.key requires tls.certificate"
    first, end, _ = Path(certifi.where()).read_text("utf-8").partition("END CERTIFICATE-----")
    (tmp_path / "tls.crt").write_text(f"{first}{end}", "utf-8")
    (found,) = mistakes_in(tmp_path, '[tls]\ncertificate = "tls.crt"\n')
    assert found.startswith(f"line 1: tls.key {tmp_path / 'tls.crt'} has no private key")


def test_reads_the_signing_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = ("A" * 43 + "=", "B" * 42 + "A=")
    monkeypatch.setenv("KEYS", f"{first}, {second}\n")
    settings, _ = options_of(
        tmp_path,
        """
        [issuer]
        access_token_format = "jwt"

        [keys]
        enabled = true
        algorithms = ["EdDSA"]
        rotation_interval = 86400
        publication = 600
        encryption_keys = { source = "env", name = "KEYS" }
        """,
    ).build()
    assert settings.keys == KeySettings(True, ("EdDSA",), 86400, 600, (first, second))
    assert settings.access_token_format == "jwt"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('algorithms = ["HS256"]', "must be one or more different ones of"),
        ("publication = 1", "must be a number of seconds from 10"),
        ("rotation_interval = 60", "must be a number of seconds from 172800"),
        ('encryption_keys = "short"', "must be 32 bytes"),
        ('enabled = "yes"', "must be true or false"),
    ],
)
def test_mistakes_in_the_signing_keys(tmp_path: Path, line: str, problem: str) -> None:
    (found,) = mistakes_in(tmp_path, f"[keys]\n{line}\n")
    name = line.partition(" ")[0]
    assert found.startswith(f"line 2: keys.{name} {problem}")


def test_the_file_sets_every_setting() -> None:
    keys: dict[str, set[str]] = {}
    for kind in TABLES:
        names = [name for key in kind().fields for name in kind.names.get(key, (key,))]
        keys.setdefault(kind.part, set()).update(names)
    assert {each.name for each in fields(IssuerSettings)} - BUILT <= keys["settings"]
    assert {each.name for each in fields(Lifetimes)} == keys["lifetimes"]
    assert {each.name for each in fields(Limits)} == keys["limits"]


def test_the_reference_lists_every_key() -> None:
    page = (DOCS / "reference" / "issuer-config.md").read_text(encoding="utf-8")
    listed: dict[str, set[str]] = {}
    for part in page.split("\n## ")[1:]:
        if heading := re.match(r"`\[+(\w+)\]+`\n", part):
            rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", part, re.MULTILINE)
            listed[heading[1]] = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    assert listed == {kind.table: set(kind().fields) for kind in TABLES}
