"""Network settings in profiles and gateway files, against a private authority and a proxy."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from grantway import ConfigurationError, ConnectionFailedError
from grantway._transport.network import CA_VARIABLES
from grantway._transport.proxies import PROXY_VARIABLES
from grantway_plugins import profiles
from tests import faults
from tests.certificates import Identity, issue
from tests.faults import FaultServer
from tests.plugins.cli.home import Home
from tests.plugins.gateway.running.programs import PATIENCE, gateway, write
from tests.proxy import proxy


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CA_VARIABLES, *PROXY_VARIABLES, "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Identity:
    return issue(folder, "authority")


@pytest.fixture
def server(folder: Path, authority: Identity) -> Iterator[FaultServer]:
    """Run a token endpoint that requests a client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issue(folder, "server", authority).paths)
    with FaultServer(faults.respond(), tls=context) as server:
        yield server


def write_profile(folder: Path, server: FaultServer, own: str = "", common: str = "") -> Path:
    file = folder / "config.toml"
    file.write_text(
        f"{common}\n[profiles.work]\n"
        f'provider = {{token_endpoint = "{server.url}/token"}}\n'
        'client_id = "me"\nclient_secret = "secret"\ngrant = "client_credentials"\n'
        f'store = "memory"\n{own}\n'
    )
    return file


def token(file: Path) -> str:
    with profiles.load("work", file) as profile:
        return profile.token().access_token


def test_a_profile_trusts_a_ca_bundle_relative_to_its_file(
    tmp_path: Path, server: FaultServer, authority: Identity
) -> None:
    (tmp_path / "ca.pem").write_bytes(Path(authority.certificate).read_bytes())
    assert token(write_profile(tmp_path, server, 'ca_bundle = "ca.pem"')) == "at-1"
    common = '[network]\nca_bundle = "ca.pem"'
    assert token(write_profile(tmp_path, server, common=common)) == "at-1"
    with pytest.raises(ConnectionFailedError, match="set ca_bundle, or the variable"):
        token(write_profile(tmp_path, server))


def test_a_profile_uses_its_proxy(tmp_path: Path, server: FaultServer, authority: Identity) -> None:
    trust = f'ca_bundle = "{authority.certificate}"'
    with proxy() as between:
        common = f'[network]\n{trust}\nproxy = "{between.url}"'
        assert token(write_profile(tmp_path, server, common=common)) == "at-1"
        assert len(between.asked) == 1
        for own in ('proxy = ""', 'no_proxy = "127.0.0.1"'):
            assert token(write_profile(tmp_path, server, own, common)) == "at-1"
        assert len(between.asked) == 1


def test_an_unreachable_proxy_is_reported_with_its_line(
    tmp_path: Path, server: FaultServer
) -> None:
    with proxy(login="me:right") as between:
        file = write_profile(tmp_path, server, f'proxy = "{between.url}"')
        with pytest.raises(ConnectionFailedError) as failed:
            token(file)
        assert f"into profiles.work.proxy in {file}: " in str(failed.value)


def test_uses_the_environment_unless_the_file_disables_it(
    tmp_path: Path, server: FaultServer, authority: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", authority.certificate)
    assert token(write_profile(tmp_path, server)) == "at-1"
    with pytest.raises(ConnectionFailedError):
        token(write_profile(tmp_path, server, "trust_env = false"))


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ('ca_bundle = "absent.pem"', "line 8: profiles.work.ca_bundle {folder}/absent.pem cannot"),
        ('proxy = "ftp://x"', "line 8: profiles.work.proxy must be a proxy's address"),
        ("proxy = 5", "line 8: profiles.work.proxy must be an address"),
        ('trust_env = "no"', "line 8: profiles.work.trust_env must be true or false"),
        ('client_key = "x"', "line 8: profiles.work.client_key needs client_certificate beside it"),
        (
            'client_certificate = "absent.pem"',
            "line 8: profiles.work.client_certificate {folder}/absent.pem cannot be used (No such",
        ),
        (
            'client_certificate = "me.pem"\nclient_key = "other.key"',
            "line 9: profiles.work.client_key {folder}/other.key is not the key of",
        ),
        (
            'client_certificate = "me.pem"\nclient_key_password = {source = "env", name = "NO_X"}',
            "line 9: profiles.work.client_key_password is not available: the secret source 'env' c",
        ),
    ],
)
def test_reports_an_unusable_setting_with_its_line(
    tmp_path: Path, server: FaultServer, own: str, expected: str
) -> None:
    me, other = issue(tmp_path, "me"), issue(tmp_path, "other")
    assert me.private != other.private
    file = write_profile(tmp_path, server, own)
    with pytest.raises(ConfigurationError) as refused:
        token(file)
    assert f"{file}, {expected.format(folder=tmp_path)}" in str(refused.value)


UNUSABLE = """\
ca_bundle = "absent.pem"
client_certificate = "absent.crt"
client_key = "absent.key"
client_key_password = {source = "env", name = "NO_SUCH_VARIABLE"}
proxy = "ftp://proxy"
"""
UNUSABLE_MISTAKES = (
    ("ca_bundle", "{folder}/absent.pem cannot be used as trusted certificates"),
    ("client_certificate", "{folder}/absent.crt cannot be used (No such file"),
    ("client_key", "{folder}/absent.key cannot be used (No such file"),
    ("client_key_password", "environment variable NO_SUCH_VARIABLE is not set; set it"),
    ("proxy", "must be a proxy's address"),
)


def assert_reports_all(message: str, file: Path, table: str, first: int) -> None:
    lines = message.splitlines()
    assert len(lines) == len(UNUSABLE_MISTAKES), message
    for number, (line, (key, rule)) in enumerate(
        zip(lines, UNUSABLE_MISTAKES, strict=True), start=first
    ):
        expected = f"{file}, line {number}: {table}.{key} "
        assert line.startswith(expected)
        assert rule.format(folder=file.parent) in line


def test_reports_every_unusable_setting_of_a_profile(tmp_path: Path, server: FaultServer) -> None:
    file = write_profile(tmp_path, server, UNUSABLE)
    with pytest.raises(ConfigurationError) as rejected:
        token(file)
    assert_reports_all(str(rejected.value), file, "profiles.work", first=8)


def test_reports_every_unusable_default_of_a_profile_file(
    tmp_path: Path, server: FaultServer
) -> None:
    file = write_profile(tmp_path, server, common=f"[network]\n{UNUSABLE}")
    with pytest.raises(ConfigurationError) as rejected:
        token(file)
    assert_reports_all(str(rejected.value), file, "network", first=2)


def test_reports_keys_and_passwords_without_a_certificate(
    tmp_path: Path, server: FaultServer
) -> None:
    own = 'client_key = "a"\nclient_key_password = "b"'
    with pytest.raises(ConfigurationError) as rejected:
        token(write_profile(tmp_path, server, own))
    for key in ("client_key", "client_key_password"):
        assert f"profiles.work.{key} needs client_certificate beside it" in str(rejected.value)


def test_a_command_reports_the_setting_without_python_advice(
    tmp_path: Path, server: FaultServer, authority: Identity
) -> None:
    home = Home(tmp_path / "home")
    home.env = {n: v for n, v in home.env.items() if n.upper() not in {*CA_VARIABLES}}
    home.write(write_profile(tmp_path, server).read_text())
    failed = home.run("token", "work")
    assert failed.returncode == 1
    assert "set ca_bundle, or the variable SSL_CERT_FILE" in failed.stderr
    assert "HttpTransport" not in failed.stderr
    assert home.run("token", "work", SSL_CERT_FILE=authority.certificate).stdout == "at-1\n"
    broken = home.run("doctor", SSL_CERT_FILE="/nowhere.pem")
    assert "SSL_CERT_FILE: /nowhere.pem cannot be used" in broken.stdout
    assert "unset SSL_CERT_FILE" in broken.stdout
    proxied = home.run("doctor", HTTPS_PROXY="http://me:hunter2@proxy:3128").stdout
    assert "HTTPS_PROXY: connections use the proxy http://***@proxy:3128" in proxied
    assert "hunter2" not in proxied
    assert "HttpTransport" not in proxied


def gateway_file(folder: Path, server: FaultServer, behind: FaultServer, more: str) -> Path:
    return write(
        folder,
        f"{more}\n[providers.idp]\n"
        f'token_endpoint = "{server.url}/token"\nclient_id = "me"\nclient_secret = "secret"\n'
        '[routes.orders]\npath = "/orders"\nprovider = "idp"\ntenant = "single"\n'
        f'on_failure = "closed"\nupstream = "{behind.url}"\n',
    )


def test_a_gateway_trusts_a_ca_bundle_for_providers_and_upstreams(
    tmp_path: Path, folder: Path, server: FaultServer, authority: Identity
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issue(folder, "behind", authority).paths)
    with FaultServer(faults.respond(), tls=context) as behind:
        more = f'[network]\nca_bundle = "{authority.certificate}"'
        file = gateway_file(tmp_path, server, behind, more)
        with gateway(file) as running:
            response = requests.get(f"{running.url}/orders", timeout=PATIENCE)
        assert response.status_code == 200, running.log
        assert behind.requests[0].headers["authorization"] == "Bearer at-1"
        file = gateway_file(tmp_path, server, behind, "")
        with gateway(file, SSL_CERT_FILE=authority.certificate) as running:
            assert requests.get(f"{running.url}/orders", timeout=PATIENCE).status_code == 200


def test_reports_an_unusable_gateway_setting_with_its_line(
    tmp_path: Path, server: FaultServer
) -> None:
    file = gateway_file(tmp_path, server, server, '[network]\nca_bundle = "absent.pem"')
    home = Home(tmp_path / "home")
    checked = home.run("gateway", "--config", str(file), "--check")
    assert checked.returncode == 1
    expected = f"{file}, line 6: network.ca_bundle {tmp_path}/absent.pem cannot be used"
    assert expected in checked.stderr


def test_reports_every_unusable_setting_of_a_gateway(tmp_path: Path, server: FaultServer) -> None:
    file = gateway_file(tmp_path, server, server, f"[network]\n{UNUSABLE}")
    home = Home(tmp_path / "home")
    checked = home.run("gateway", "--config", str(file), "--check")
    assert checked.returncode == 1
    assert_reports_all(checked.stderr.removeprefix("Error: ").rstrip(), file, "network", first=6)
