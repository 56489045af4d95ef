"""Tests of mutual TLS against a local server that requests client certificates."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

import grantway
from grantway._exceptions import (
    ConfigurationError,
    InsecureEndpointError,
    InvalidClientException,
    TransportError,
)
from grantway._requests.retry import RetryPolicy
from grantway_plugins.client_auth import MutualTls
from tests.certificates import Identity, issue
from tests.plugins.client_auth.scripted import Scripted, form, token


class Provider(ThreadingHTTPServer):
    """A server that issues a token to the client named in the certificate."""

    daemon_threads = True

    def __init__(self, identity: Identity, trusted: Identity, *, required: bool) -> None:
        super().__init__(("127.0.0.1", 0), Endpoint)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*identity.paths)
        context.load_verify_locations(trusted.certificate)
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.seen: list[str] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore failed handshakes, which some tests cause."""


class Endpoint(BaseHTTPRequestHandler):
    """The token endpoint, which records the client certificates."""

    protocol_version = "HTTP/1.1"
    server: Provider

    def do_POST(self) -> None:
        asked = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        assert isinstance(self.connection, ssl.SSLSocket)
        shown = self.connection.getpeercert() or {}
        subject = shown.get("subject", ((("commonName", "nobody"),),))
        name = dict(pair for part in subject for pair in part)["commonName"]
        self.server.seen.append(f"{self.path} {name}")
        good = name == asked["client_id"]
        body = {"access_token": "at-1", "token_type": "Bearer"} if good else {}
        text = json.dumps(body or {"error": "invalid_client"}).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Log nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Identity:
    return issue(folder, "authority")


@pytest.fixture(scope="module")
def mine(folder: Path, authority: Identity) -> Identity:
    return issue(folder, "my-client", authority)


@pytest.fixture(params=[True, False], ids=["required", "optional"])
def provider(
    folder: Path, authority: Identity, request: pytest.FixtureRequest
) -> Iterator[Provider]:
    with Provider(issue(folder, "server", authority), authority, required=request.param) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(
    port: int, authority: Identity, certificate: tuple[str, str] | str | None
) -> grantway.Token:
    transport = grantway.HttpTransport(
        ca_bundle=authority.certificate, client_certificate=certificate
    )
    with grantway.Client(
        grantway.Provider(f"https://127.0.0.1:{port}/token"),
        client_id="my-client",
        auth="tls_client_auth",
        transport=transport,
        retry=RetryPolicy(attempts=1),
    ) as client:
        return client.create_token(grant_type="refresh_token", refresh_token="rt-1")


def test_authenticates_with_the_certificate(
    provider: Provider, authority: Identity, mine: Identity, folder: Path
) -> None:
    assert ask(provider.server_port, authority, mine.paths).access_token == "at-1"
    both = folder / "both.pem"
    both.write_text(Path(mine.certificate).read_text() + Path(mine.key).read_text())
    assert ask(provider.server_port, authority, str(both)).access_token == "at-1"
    assert provider.seen == ["/token my-client"] * 2


def test_rejects_a_missing_or_untrusted_certificate(
    provider: Provider, authority: Identity, folder: Path
) -> None:
    other = issue(folder, "other-client", authority)
    with pytest.raises(InvalidClientException):
        ask(provider.server_port, authority, other.paths)
    with pytest.raises((InvalidClientException, TransportError)):
        ask(provider.server_port, authority, None)
    # It has the right name, but the server does not trust its issuer.
    with pytest.raises(TransportError):
        ask(provider.server_port, authority, issue(folder, "my-client").paths)
    assert "/token my-client" not in provider.seen


def test_rejects_unusable_certificate_files_immediately(mine: Identity, folder: Path) -> None:
    other = issue(folder, "other-client")
    (folder / "nothing.pem").write_text("nothing")
    for paths, says in [
        (mine.certificate, "cannot be used"),
        ((mine.certificate, other.key), "is not the key of"),
        ((str(folder / "absent.pem"), mine.key), "No such file"),
        (str(folder / "nothing.pem"), "they are not PEM files"),
    ]:
        with pytest.raises(ConfigurationError, match=f"client_(certificate|key): .*{says}"):
            grantway.HttpTransport(client_certificate=paths)


ALIASES = {
    "token_endpoint": "https://mtls.as.example/token",
    "revocation_endpoint": "https://mtls.as.example/revoke",
}


def client(transport: Scripted, metadata: dict[str, object]) -> grantway.Client:
    return grantway.Client(
        grantway.Provider(
            "https://as.example/token",
            device_authorization_endpoint="https://as.example/device",
            revocation_endpoint="https://as.example/revoke",
            metadata=metadata,
        ),
        client_id="my-client",
        auth=MutualTls("my-client"),
        transport=transport,
    )


def test_uses_the_endpoint_aliases_of_rfc_8705_section_5() -> None:
    transport = Scripted([token(), token(), token()])
    asking = client(transport, {"mtls_endpoint_aliases": ALIASES})
    asking.create_token(grant_type="refresh_token", refresh_token="rt-1")
    asking.call("revocation", token="rt-1")
    asking.call("device_authorization")
    assert [request.url for request in transport.requests] == [
        "https://mtls.as.example/token",
        "https://mtls.as.example/revoke",
        "https://as.example/device",
    ]
    assert all(form(request)["client_id"] == "my-client" for request in transport.requests)


@pytest.mark.parametrize("metadata", [{}, {"mtls_endpoint_aliases": "nonsense"}])
def test_uses_the_normal_endpoints_without_aliases(metadata: dict[str, object]) -> None:
    transport = Scripted([token()])
    client(transport, metadata).create_token(grant_type="refresh_token", refresh_token="rt-1")
    assert transport.requests[0].url == "https://as.example/token"


def test_rejects_a_plain_http_alias() -> None:
    transport = Scripted([])
    aliases = {"token_endpoint": "http://mtls.as.example/token"}
    with pytest.raises(InsecureEndpointError, match=r"mtls_endpoint_aliases\.token_endpoint"):
        client(transport, {"mtls_endpoint_aliases": aliases}).create_token(
            grant_type="refresh_token", refresh_token="rt-1"
        )
    assert not transport.requests
