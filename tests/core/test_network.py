"""Proxies, private authorities and client certificates, from arguments or the environment."""

from __future__ import annotations

import os
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from grantway import (
    Client,
    ConfigurationError,
    ConnectionFailedError,
    HttpTransport,
    Provider,
)
from grantway._transport.network import CA_VARIABLES, Network
from grantway._transport.proxies import PROXY_VARIABLES
from tests import faults
from tests.certificates import Identity, issue
from tests.faults import FaultServer
from tests.proxy import proxy

MARK = "hunter2"


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


@pytest.fixture(scope="module")
def identity(folder: Path, authority: Identity) -> Identity:
    return issue(folder, "server", authority)


@pytest.fixture
def server(identity: Identity) -> Iterator[FaultServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity.paths)
    with FaultServer(faults.respond(), tls=context) as server:
        yield server


def ask(server: FaultServer, **options: Any) -> str:
    """Request a token with a transport with these options."""
    transport = HttpTransport(connect_timeout=5, read_timeout=5, **options)
    with Client(
        Provider(f"{server.url}/token"), client_id="me", transport=transport, timeout=20
    ) as client:
        token = client.create_token(grant_type="refresh_token", refresh_token="rt", attempts=1)
    return token.access_token


def encrypted(identity: Identity, folder: Path, password: str) -> str:
    path = folder / "encrypted.key"
    path.write_bytes(
        identity.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password.encode()),
        )
    )
    return str(path)


# --- Trusted certificates ----------------------------------------------------------------------


def test_trusts_a_configured_authority(server: FaultServer, authority: Identity) -> None:
    assert ask(server, ca_bundle=authority.certificate) == "at-1"
    assert ask(server, ca_bundle=Path(authority.certificate)) == "at-1"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_trusts_an_authority_from_the_environment(
    server: FaultServer, authority: Identity, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, authority.certificate)
    assert ask(server) == "at-1"
    with pytest.raises(ConnectionFailedError, match="set ca_bundle, or the variable SSL_CERT_FILE"):
        ask(server, trust_env=False)


def test_discovery_reads_the_environment(
    identity: Identity, authority: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity.paths)

    def metadata(stage: faults.Stage) -> bool:
        if stage.read_request() is None:
            return False
        url = stage.server.url
        body = f'{{"issuer": "{url}", "token_endpoint": "{url}/token"}}'
        stage.send(faults.message(200, body.encode()))
        return True

    monkeypatch.setenv("SSL_CERT_FILE", authority.certificate)
    with FaultServer(metadata, tls=context) as server:
        assert Provider.discover(server.url).token_endpoint == f"{server.url}/token"


def test_arguments_take_precedence_over_the_environment(
    server: FaultServer, authority: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    assert ask(server, ca_bundle=authority.certificate) == "at-1"


def test_trusts_a_directory_of_certificates(
    server: FaultServer, authority: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.certificate)
    # The name that `openssl rehash` would give the file.
    from subprocess import run  # noqa: PLC0415

    hashed = run(
        ["openssl", "x509", "-hash", "-noout", "-in", authority.certificate],
        capture_output=True, text=True, check=True, timeout=20,
    ).stdout.strip()  # fmt: skip
    (tmp_path / f"{hashed}.0").write_bytes(Path(authority.certificate).read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert ask(server) == "at-1"


def test_an_untrusted_certificate_names_the_bundle(server: FaultServer, tmp_path: Path) -> None:
    other = issue(tmp_path, "other")
    with pytest.raises(ConnectionFailedError, match=r"are those in .*other\.pem \(ca_bundle\)"):
        ask(server, ca_bundle=other.certificate)


@pytest.mark.parametrize("variable", [None, *CA_VARIABLES])
@pytest.mark.parametrize("kind", ["missing", "empty", "nonsense", "key", "torn"])
def test_an_invalid_bundle_names_its_setting(
    tmp_path: Path,
    authority: Identity,
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
    kind: str,
) -> None:
    path = tmp_path / "bundle.pem"
    whole = Path(authority.certificate).read_bytes()
    contents = {
        "empty": b"",
        "nonsense": b"\xff\x00 no PEM",
        "key": Path(authority.key).read_bytes(),
        "torn": whole.replace(whole[100:140], b""),
    }
    if kind in contents:
        path.write_bytes(contents[kind])
    options = {"ca_bundle": str(path)} if variable is None else {}
    if variable is not None:
        monkeypatch.setenv(variable, str(path))
    name = variable or "ca_bundle"
    with pytest.raises(ConfigurationError, match=rf"^{name}: {path} cannot be used as") as refused:
        HttpTransport(**options)  # type: ignore[arg-type]
    assert list(refused.value.errors) == [name]
    HttpTransport(trust_env=False).close()


@pytest.mark.parametrize("value", ["", False, True, 5])
def test_a_bundle_is_a_path(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="ca_bundle: must be a path"):
        HttpTransport(ca_bundle=value)


# --- Client certificates -----------------------------------------------------------------------


@pytest.fixture
def strict(identity: Identity, authority: Identity) -> Iterator[FaultServer]:
    """A server that requires a client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity.paths)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with FaultServer(faults.respond(), tls=context) as server:
        yield server


def test_accepts_a_key_with_a_password(
    strict: FaultServer, authority: Identity, tmp_path: Path
) -> None:
    mine = issue(tmp_path, "client", authority)
    key = encrypted(mine, tmp_path, MARK)
    certificate = (mine.certificate, key)
    given = {"ca_bundle": authority.certificate, "client_certificate": certificate}
    assert ask(strict, **given, client_key_password=MARK) == "at-1"
    with pytest.raises(ConfigurationError, match=r"^client_key_password: is needed") as refused:
        HttpTransport(client_certificate=certificate)
    assert list(refused.value.errors) == ["client_key_password"]
    with pytest.raises(ConfigurationError, match=r"^client_key_password: does not open") as refused:
        HttpTransport(client_certificate=certificate, client_key_password=f"{MARK}x")
    assert MARK not in str(refused.value)
    assert MARK not in repr(vars(Network(client_certificate=certificate, client_key_password=MARK)))


def test_a_missing_client_certificate_is_named(strict: FaultServer, authority: Identity) -> None:
    """With TLS 1.3, the server's alert arrives after the request was passed to the socket."""
    with pytest.raises(ConnectionFailedError, match="requires a client certificate: set client_c"):
        ask(strict, ca_bundle=authority.certificate)
    assert strict.requests == []


def test_an_invalid_client_certificate_names_its_setting(
    authority: Identity, tmp_path: Path
) -> None:
    mine, other = issue(tmp_path, "client", authority), issue(tmp_path, "other", authority)
    for certificate, name, says in (
        ((mine.certificate, other.key), "client_key", "is not the key of"),
        (("/nowhere.pem", mine.key), "client_certificate", "/nowhere.pem cannot be used"),
        ((mine.certificate, "/nowhere.key"), "client_key", "/nowhere.key cannot be used"),
        (mine.certificate, "client_certificate", "and its key cannot be used"),
    ):
        with pytest.raises(ConfigurationError, match=f"^{name}: .*{says}") as refused:
            HttpTransport(client_certificate=certificate)
        assert list(refused.value.errors) == [name]
    with pytest.raises(ConfigurationError, match="client_key_password: needs client_certificate"):
        HttpTransport(client_key_password=MARK)


# --- Proxies -----------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_https_uses_the_proxy_from_the_environment(
    server: FaultServer, authority: Identity, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with proxy() as between:
        monkeypatch.setenv(variable, between.url)
        assert ask(server, ca_bundle=authority.certificate) == "at-1"
        assert between.asked == [f"127.0.0.1:{server.port}"]
        ask(server, ca_bundle=authority.certificate, trust_env=False)
        ask(server, ca_bundle=authority.certificate, proxies={})
        assert len(between.asked) == 1


def test_accepts_a_proxy_address_without_a_scheme(server: FaultServer, authority: Identity) -> None:
    with proxy() as between:
        assert ask(server, ca_bundle=authority.certificate, proxies=between.address) == "at-1"
        assert len(between.asked) == 1


def test_a_proxy_forwards_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(faults.respond()) as plain, proxy(login=f"me:{MARK}") as between:
        monkeypatch.setenv("http_proxy", f"http://me:{MARK}@{between.address}")
        assert ask(plain) == "at-1"
        assert between.asked == [f"{plain.url}/token"]


@pytest.mark.parametrize(
    "exempt",
    ["127.0.0.1", "*", "127.0.0.0/8", "login.example.com,127.0.0.1", "x 127.0.0.1:{port}"],
)
@pytest.mark.parametrize("variable", [None, "NO_PROXY", "no_proxy"])
def test_connects_directly_to_exempt_hosts(
    server: FaultServer,
    authority: Identity,
    monkeypatch: pytest.MonkeyPatch,
    exempt: str,
    variable: str | None,
) -> None:
    hosts = exempt.format(port=server.port)
    options = {"no_proxy": hosts} if variable is None else {}
    if variable is not None:
        monkeypatch.setenv(variable, hosts)
    with proxy() as between:
        monkeypatch.setenv("HTTPS_PROXY", between.url)
        assert ask(server, ca_bundle=authority.certificate, **options) == "at-1"
        assert not between.asked


@pytest.mark.parametrize(
    ("exempt", "host", "direct"),
    [
        ("example.com", "example.com", True),
        ("example.com", "login.example.com", True),
        (".example.com", "login.example.com", True),
        ("*.example.com", "login.example.com", True),
        ("example.com", "badexample.com", False),
        ("example.com:8443", "example.com", False),
        ("EXAMPLE.com", "Example.COM", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("fd00::/8", "[fd00::1]", True),
        ("[::1]", "[::1]", True),
        ("0.0.1", "127.0.0.1", False),
        ("", "example.com", False),
        (".", "example.com", False),
        ("nonsense/8", "10.1.2.3", False),
    ],
)
def test_no_proxy_exempts_the_listed_hosts(exempt: str, host: str, direct: bool) -> None:
    network = Network(proxies="http://proxy:1", no_proxy=exempt, trust_env=False)
    assert (network.proxy_for(f"https://{host}/token") is None) is direct


@pytest.mark.parametrize("given", [True, False])
def test_a_proxy_that_requires_a_login_names_the_setting(
    server: FaultServer, authority: Identity, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    with proxy(login="me:right") as between:
        address = f"http://me:{MARK}@{between.address}"
        options: dict[str, Any] = {"proxies": address} if given else {}
        name = "proxies" if given else "HTTPS_PROXY"
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(ConnectionFailedError) as failed:
            ask(server, ca_bundle=authority.certificate, **options)
        message = str(failed.value)
        assert f"The proxy http://***@{between.address} requires a login" in message
        assert f"(status 407): put a user name and password into {name}: " in message
        assert MARK not in message
        assert not server.requests


def test_a_plain_http_proxy_that_requires_a_login_names_the_setting() -> None:
    with FaultServer(faults.respond()) as plain, proxy(login="me:right") as between:
        with pytest.raises(ConnectionFailedError, match=r"requires a login .* into proxies: "):
            ask(plain, proxies=between.url)
        assert not plain.requests


def test_a_proxy_that_rejects_the_tunnel_names_the_setting(server: FaultServer) -> None:
    says = r"\(status 403\): check proxies and that"
    with proxy(status=403) as between, pytest.raises(ConnectionFailedError, match=says):
        ask(server, proxies=between.url)


@pytest.mark.parametrize("tls", [True, False])
def test_an_unreachable_proxy_names_the_setting(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        monkeypatch.setenv("ALL_PROXY", f"http://me:{MARK}@127.0.0.1:{port}")
        with FaultServer(faults.respond()) as plain, pytest.raises(ConnectionFailedError) as failed:
            ask(server if tls else plain)
    message = str(failed.value)
    assert f"Could not reach the proxy http://***@127.0.0.1:{port} on the way to" in message
    assert "Check ALL_PROXY" in message
    assert MARK not in message


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4"])
def test_socks_without_its_library_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    address = f"{scheme}://me:{MARK}@proxy:1080"
    with pytest.raises(ConfigurationError, match=rf"^proxies: {scheme}://\*\*\*@proxy:1080 needs"):
        HttpTransport(proxies=address)
    monkeypatch.setenv("ALL_PROXY", address)
    with pytest.raises(ConfigurationError, match=r"^ALL_PROXY: .* pip install PySocks") as refused:
        HttpTransport()
    assert MARK not in str(refused.value)
    monkeypatch.setenv("NO_PROXY", "*")
    HttpTransport().close()


@pytest.mark.parametrize(
    "address", ["ftp://proxy:1", "http://", "http://proxy:port", "http://proxy:0", "", 5]
)
def test_an_invalid_proxy_address_names_the_setting(address: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^proxies: must be") as refused:
        HttpTransport(proxies={"https": address})
    assert list(refused.value.errors) == ["proxies"]


def test_ignores_a_proxy_from_a_cgi_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    monkeypatch.setenv("HTTP_PROXY", "http://attacker:1")
    if sys.platform != "win32":
        assert Network().proxy_for("http://example.com/") is None
    assert os.environ["HTTP_PROXY"]
