"""Mistakes in ``[connections]`` are reported with their lines."""

# Each case is one line: the old text, the new text, and the message.
# ruff: noqa: E501

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._running.building import build_runtime
from grantway_plugins.gateway._running.connections import connection_warnings
from grantway_plugins.gateway._running.server import check
from tests.docs.pages import DOCS
from tests.plugins.gateway.running.test_config import mistakes_in

#: Fixed, because names of tests contain it.
KEY = base64.b64encode(bytes(range(32))).decode()
GOOD = f"""\
[gateway]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
start = "degraded"
store = {{ kind = "memory" }}

[inbound]
resource = "https://gateway.example.com"
[[inbound.issuer]]
issuer = "https://login.example.com"

[connections]
url = "https://gateway.example.com"
key = "{KEY}"
login = {{ issuer = "https://login.example.com", client_id = "pages", client_secret = "very secret" }}
[connections.providers.github]
name = "GitHub"
scope = ["repo"]

[providers.github]
token_endpoint = "https://github.example.com/token"
authorization_endpoint = "https://github.example.com/authorize"
client_id = "my-gateway"
client_secret = "very secret and never shown"

[routes.github]
path = "/github"
upstream = "http://127.0.0.1:9000"
provider = "github"
grant = "connection"
tenant = "user"
on_failure = "closed"
"""


def test_reads_a_valid_file(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(GOOD)
    config = ConfigFile(path)
    assert config.connections is not None
    assert config.connections["path"] == "/connect"
    assert config.connection_providers["github"]["scope"] == ("repo",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[connections.providers.github]", "[connections.providers.gitlab]", "16: connections.providers.gitlab is not a provider in this file"),
        ("[connections.providers.github]", "[connections.providers.gitlab]", "29: routes.github.provider has no table [connections.providers.github]; add it"),
        ('login = { issuer = "https://login.example.com"', 'login = { issuer = "https://login.example.org"', "15: connections.login.issuer must be the issuer of a table [[inbound.issuer]]"),
        ('url = "https://gateway.example.com"\n', "", "12: connections.url is required"),
        ('url = "https://gateway.example.com"\n', 'url = "http://gateway.example.com"\n', "13: connections.url must be the https URL of the gateway"),
        ('url = "https://gateway.example.com"\n', 'url = "https://gateway.example.com/a"\n', "13: connections.url must be the https URL of the gateway"),
        (f'key = "{KEY}"', 'key = "c2hvcnQ="', "14: connections.key must be 32 bytes, or their base64 text"),
        (f'key = "{KEY}"', 'key = { source = "env", name = "GRANTWAY_NOT_SET" }', "14: connections.key is not available: the secret source 'env' cannot be read"),
        (f'key = "{KEY}"\n', "", "12: connections.key is missing; name the source of 32 random bytes in base64"),
        ('client_secret = "very secret" }', 'client_secret = { source = "file", path = "no.txt" } }', "15: connections.login.client_secret is not available"),
        ('[connections.providers.github]\nname = "GitHub"\nscope = ["repo"]\n', "", "12: connections.providers must be tables: give at least one table [connections.providers.NAME]"),
        ('url = "https://gateway', 'keep_alive = -1\nurl = "https://gateway', "13: connections.keep_alive must be 0, which never refreshes, or at least 1"),
        ('url = "https://gateway', 'keep_alive = nan\nurl = "https://gateway', "13: connections.keep_alive must be 0"),
        ("[connections.providers.github]", "[connections.providers.-]", "16: connections.providers.- cannot have this name"),
        ('name = "GitHub"', 'nam = "GitHub"', "17: connections.providers.github.nam is an unknown key; did you mean name?"),
        ('name = "GitHub"', 'grant = "client_credentials"', '17: connections.providers.github.grant must be "authorization_code" or "device_code"'),
        ('name = "GitHub"', 'extra = { state = "x" }', "17: connections.providers.github.extra.state is set by the login; remove it"),
        ('tenant = "user"', 'tenant = "single"', '31: routes.github.tenant must be "user" with grant = "connection"'),
        ('tenant = "user"', 'tenant = "user"\nscope = ["repo"]', "32: routes.github.scope belongs in [connections.providers.github]"),
        ('tenant = "user"', 'tenant = "user"\ntenants = "listed"', '32: routes.github.tenants cannot be "listed" with grant = "connection"'),
        ('tenant = "user"', 'tenant = "user"\nanonymous = true', "31: routes.github.tenant needs a verified caller"),
        ('path = "/github"', 'path = "/connect/github"', "12: connections.path contains the path of the route github in line 26; change one"),
        ('path = "/github"', 'path = "/connect"', "12: connections.path contains the path of the route github"),
        ('url = "https://gateway', 'path = "/a/../b"\nurl = "https://gateway', "13: connections.path cannot be matched"),
        ('url = "https://gateway', 'path = "/"\nurl = "https://gateway', "13: connections.path must be a path like /connect"),
        ("[routes.github]", '[token_endpoint]\npath = "/connect/token"\nprovider = "github"\nallow = []\nclients = {}\n[routes.github]', "12: connections.path is also the path of the token endpoint; change one"),
        ('"memory"', '"file", folder = "tokens"', "5: gateway.store.kind cannot be file with [connections]"),
    ],
)  # fmt: skip
def test_reports_a_mistake_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    found = mistakes_in(tmp_path, GOOD.replace(old, new, 1))
    assert any(each.startswith(message) for each in found), found
    assert not any(KEY in each for each in found)


INBOUND = GOOD[GOOD.index("[inbound]") : GOOD.index("[connections]")]
CONNECTIONS = GOOD[GOOD.index("[connections]") : GOOD.index("[providers.github]")]


def test_an_unknown_provider_is_reported_once(tmp_path: Path) -> None:
    text = GOOD.replace('provider = "github"', 'provider = "gitub"')
    assert mistakes_in(tmp_path, text) == [
        "29: routes.github.provider is not a provider in this file; did you mean github?"
    ]


def test_users_are_identified_by_verified_tokens(tmp_path: Path) -> None:
    found = mistakes_in(tmp_path, GOOD.replace(INBOUND, ""))
    assert found == [
        "7: connections needs a table [inbound], which identifies the users by verified tokens",
        "26: routes.github.tenant needs a table [inbound], which verifies the callers",
    ]


def test_routes_with_connections_need_the_table(tmp_path: Path) -> None:
    found = mistakes_in(tmp_path, GOOD.replace(CONNECTIONS, ""))
    assert found == [
        "22: routes.github.grant needs a table [connections], with which users connect accounts"
    ]


def test_a_provider_needs_the_endpoint_of_its_grant(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(GOOD.replace("authorization_endpoint", "device_authorization_endpoint"))
    with pytest.raises(Exception, match=r"line 16: connections\.providers\.github.*authorization"):
        build_runtime(ConfigFile(path))


def test_a_reload_reuses_what_did_not_change(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(GOOD)
    first = build_runtime(ConfigFile(path))
    path.write_text(GOOD.replace('path = "/github"', 'path = "/gh"'))
    second = build_runtime(ConfigFile(path), before=first)
    assert second.connections is first.connections
    path.write_text(GOOD.replace('["repo"]', '["user"]'))
    third = build_runtime(ConfigFile(path), before=second)
    assert third.connections is not None
    assert first.connections is not None
    assert third.connections is not second.connections
    assert third.connections.records is first.connections.records
    name = "an-id"
    assert (
        third.connections.credential("github", name).key
        == first.connections.credential("github", name).key
    )
    third.components.close()


def test_warns_about_memory_and_about_a_missing_login(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    login = next(line for line in GOOD.splitlines() if line.startswith("login"))
    path.write_text(GOOD.replace(login, ""))
    memory, no_login = connection_warnings(ConfigFile(path))
    assert "a restart disconnects all users" in memory
    assert "has no login" in no_login
    summary, *warnings = check(path).splitlines()
    assert summary.endswith("is valid: 1 route, 1 provider, 0 tenants")
    assert warnings == [f"Warning: {memory}", f"Warning: {no_login}"]


def test_the_file_in_the_docs_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (DOCS / "how-to/connect-user-accounts.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "connections.key").write_text(KEY)
    for name in ("PAGES_SECRET", "GITHUB_SECRET"):
        monkeypatch.setenv(name, "very secret")
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    config = ConfigFile(path)
    assert config.connections is not None
    assert list(connection_warnings(config)) == []
