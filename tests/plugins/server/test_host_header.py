"""Validation of the Host header (RFC 9112 section 3.2)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from grantway_plugins.issuer import IssuerServer
from tests.plugins.gateway.running.programs import gateway
from tests.plugins.server.listening import connect, echo, listening
from tests.raw_http import read_all, read_response

MISSING = b"the Host header is missing; HTTP/1.1 requires it"
REPEATED = b"the Host header is repeated; send it once"
INVALID = b"the Host header is not a host name or IP address with an optional port"
OTHER = b"the Host header and the request target do not name the same host"

#: Request line, headers, and the reason for the rejection.
REFUSED = [
    (b"GET / HTTP/1.1\r\n", MISSING),
    (b"GET http://x/ HTTP/1.1\r\n", MISSING),
    (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n", REPEATED),
    (b"GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n", REPEATED),
    (b"GET http://x/ HTTP/1.1\r\nHost: y\r\n", OTHER),
    *(
        (b"GET / HTTP/1.1\r\nHost: %b\r\n" % host, INVALID)
        for host in (
            b"",
            b" ",
            b":80",
            b"x y",
            b"x, y",
            b"user@x",
            b"http://x",
            b"x/",
            b"x?",
            b"x#",
            b"x\\y",
            b"x:http",
            b"x:65536",
            b"x:80:80",
            b"[::1",
            b"::1",
            b"[x]",
            b"[1.2.3.4]",
            b"%zz",
            b"\xc3\xbc.example",
            b"<x>",
        )
    ),
    (b"GET / HTTP/1.0\r\nHost: x y\r\n", INVALID),
]
ACCEPTED = [
    b"GET / HTTP/1.0\r\n",
    *(
        b"GET / HTTP/1.1\r\nHost: %b\r\n" % host
        for host in (
            b"x",
            b"X.example",
            b"x.example.:80",
            b"x:",
            b"127.0.0.1:8400",
            b"[::1]",
            b"[::1]:80",
            b"[::ffff:127.0.0.1]:80",
            b"my_service",
            b"a%20b",
        )
    ),
    b"GET http://x:80/ HTTP/1.1\r\nHost: X:80\r\n",
]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with listening(echo) as found:
        yield found


def refused(port: int, head: bytes) -> bytes:
    """Return the body of a 400, after which the connection is closed."""
    with connect(port) as connection:
        connection.sendall(head + b"\r\n")
        response = read_all(connection)
    assert response.startswith(b"HTTP/1.1 400 Bad Request\r\n"), response
    return response.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(("head", "reason"), REFUSED)
def test_rejects_a_missing_repeated_or_invalid_host(port: int, head: bytes, reason: bytes) -> None:
    assert refused(port, head) == reason


@pytest.mark.parametrize("head", ACCEPTED)
def test_accepts_valid_host_headers(port: int, head: bytes) -> None:
    with connect(port) as connection:
        connection.sendall(head + b"\r\n")
        assert read_response(connection).startswith(b"HTTP/1.1 200 ")


def test_the_issuer_checks_the_host_header() -> None:
    with IssuerServer() as issuer:
        port = urlsplit(issuer.url).port
        assert port is not None
        assert refused(port, b"GET /health HTTP/1.1\r\n") == MISSING


def test_every_listener_of_a_gateway_checks_the_host_header(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        '[authorize]\nlisten = "127.0.0.1:0"\n'
        '[providers.idp]\ntoken_endpoint = "http://127.0.0.1:1/token"\nclient_id = "x"\n'
        'client_secret = "y"\n'
        '[routes.all]\nupstream = "http://127.0.0.1:1"\nprovider = "idp"\ntenant = "single"\n'
        'on_failure = "closed"\n'
    )
    with gateway(config) as run:
        for url in (run.url, run.admin, run.authorize):
            port = urlsplit(url).port
            assert port is not None
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
                assert read_all(connection).endswith(MISSING), url
