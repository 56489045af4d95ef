"""A running gateway that receives raw bytes, and an upstream that records forwarded requests."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from grantway_plugins.gateway import hash_secret
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from tests.interop.program import Program
from tests.raw_http import read_all

#: Time limit of a test in seconds.
PATIENCE = 30.0
HEADER_BYTES, BODY_BYTES, CONNECTIONS = 16_384, 100_000, 1200
OWN_SECRET = "shop-very-secret-0123456789"

CONFIG = """
[gateway]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
hosts = ["gateway.test"]

[gateway.limits]
connections = {connections}
header_bytes = {header_bytes}
header_seconds = {patience}
body_bytes = {body_bytes}
body_seconds = {patience}

[providers.issuer]
issuer = "{issuer}"
client_id = "{client_id}"
client_secret = {{source = "file", path = "secret.txt"}}

[routes.api]
path = "/api"
upstream = "{upstream}"
provider = "issuer"
tenant = "header:X-Tenant"
on_failure = "closed"
params = {{ resource = "https://{{tenant}}.tenants.test/" }}

[token_endpoint]
provider = "issuer"
allow = ["client_credentials"]
clients = {{ shop = "{hash}" }}
"""


@dataclass
class Upstream:
    """Records every request that it receives.

    Attributes:
        seen: Method, path, headers (lower case, in order) and body of each.
    """

    url: str
    seen: list[tuple[str, str, list[tuple[str, str]], bytes]] = field(default_factory=list)

    def only(self) -> tuple[str, str, dict[str, str], bytes]:
        """Return the only recorded request."""
        ((method, path, headers, body),) = self.seen
        assert len({name for name, _ in headers}) == len(headers)
        return method, path, dict(headers), body


@dataclass(frozen=True)
class Running:
    """A gateway and its upstream."""

    port: int
    upstream: Upstream
    issuer: IssuerServer
    client: tuple[str, str]

    def tenant_of(self, authorization: str) -> str:
        """Return the tenant of a token, by introspection."""
        scheme, _, token = authorization.partition(" ")
        assert scheme == "Bearer"
        introspection = requests.post(
            f"{self.issuer.url}/introspect", {"token": token}, auth=self.client, timeout=PATIENCE
        ).json()
        assert introspection["active"]
        ((audience,),) = [introspection["aud"]]
        return str(audience).removeprefix("https://").removesuffix(".tenants.test/")

    def connect(self) -> socket.socket:
        """Open a connection to the gateway."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def send(self, *pieces: bytes) -> bytes:
        """Send bytes and return everything until the connection is closed."""
        with self.connect() as connection:
            for piece in pieces:
                # The gateway may have responded and closed the connection already.
                with contextlib.suppress(ConnectionError):
                    connection.sendall(piece)
            return read_all(connection)


def statuses(response: bytes) -> list[int]:
    """Return the statuses of all responses."""
    return [int(each[:3]) for each in response.split(b"HTTP/1.1 ")[1:]]


def request(
    path: str = "/api",
    *lines: str,
    method: str = "GET",
    tenant: str = "acme",
    close: bool = True,
    body: bytes = b"",
) -> bytes:
    """Return the bytes of a request; the arguments override its valid parts."""
    head = [f"{method} {path} HTTP/1.1", "Host: gateway.test", f"X-Tenant: {tenant}", *lines]
    if close:
        head.append("Connection: close")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    noted: Upstream

    def response(self) -> None:
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        body = self._body(dict(headers))
        if body is None:
            self.close_connection = True
            return
        self.noted.seen.append((self.command, self.path, headers, body))
        self.send_response_only(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok" if self.command != "HEAD" else b"")

    def __getattr__(self, name: str) -> Any:
        """Record requests with any method."""
        if name.startswith("do_"):
            return self.response
        raise AttributeError(name)

    def _body(self, headers: dict[str, str]) -> bytes | None:
        """Return the whole body, or None if it is incomplete."""
        if headers.get("transfer-encoding") != "chunked":
            length = int(headers.get("content-length", "0"))
            body = self.rfile.read(length)
            return body if len(body) == length else None
        whole = b""
        while line := self.rfile.readline():
            size = int(line, 16)
            piece = self.rfile.read(size + 2)
            if len(piece) < size + 2:
                return None
            if not size:
                return whole
            whole += piece[:-2]
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = False


@contextlib.contextmanager
def noting() -> Iterator[Upstream]:
    """Run a server that records its requests."""
    found = Upstream("")
    handler = type("Handler", (_Handler,), {"noted": found})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield found
        finally:
            server.shutdown()
            thread.join(PATIENCE)


@contextlib.contextmanager
def issuing() -> Iterator[tuple[IssuerServer, tuple[str, str]]]:
    """Run an issuer, and register the gateway as its client."""
    with IssuerServer(IssuerSettings(registration="unrestricted")) as server:
        response = requests.post(
            f"{server.url}/register",
            json={
                "client_name": "gateway",
                "scope": "read",
                "grant_types": ["client_credentials"],
                "token_endpoint_auth_method": "client_secret_basic",
            },
            timeout=PATIENCE,
        ).json()
        yield server, (response["client_id"], response["client_secret"])


@contextlib.contextmanager
def started(
    folder: Path,
    upstream: Upstream,
    issuer: tuple[IssuerServer, tuple[str, str]],
    patience: float,
) -> Iterator[Running]:
    """Run a gateway as a separate process.

    Args:
        folder: Folder for the gateway's files.
        upstream: URL of the upstream.
        issuer: URL of the issuer, and the gateway's client.
        patience: Timeout for the rest of a request's header or body, in seconds.
    """
    server, client = issuer
    secret = folder / "secret.txt"
    secret.touch(mode=0o600)
    secret.write_text(client[1])
    config = folder / "gateway.toml"
    config.write_text(
        CONFIG.format(
            connections=CONNECTIONS,
            header_bytes=HEADER_BYTES,
            body_bytes=BODY_BYTES,
            patience=patience,
            issuer=server.url,
            client_id=client[0],
            upstream=upstream.url,
            hash=hash_secret(OWN_SECRET),
        )
    )
    command = [sys.executable, "-m", "grantway_plugins.cli", "gateway", "--config", str(config)]
    with Program(command, cwd=folder) as program:
        line = program.read_line()
        port = int(line.partition("http://127.0.0.1:")[2].partition(",")[0])
        yield Running(port, upstream, server, client)
        assert "Traceback" not in program.errors()
