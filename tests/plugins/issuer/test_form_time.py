"""Time limit for submitted forms."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from grantway_plugins.issuer import IssuerServer
from grantway_plugins.server import Limits
from tests.raw_http import read_all
from tests.waiting import PATIENCE


@pytest.fixture(scope="module")
def hasty() -> Iterator[IssuerServer]:
    with IssuerServer(limits=Limits(body_seconds=0.3)) as server:
        yield server


@pytest.mark.parametrize("path", ["/device", "/authorize"])
def test_a_slow_form_gets_an_error_page(hasty: IssuerServer, path: str) -> None:
    address = urlsplit(hasty.url)
    with socket.create_connection(
        (address.hostname or "", address.port or 0), timeout=PATIENCE
    ) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 100\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n\r\nuser_code=".encode()
        )
        response = read_all(connection)  # until the connection is closed
    head, _, page = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"content-type: text/html" in head
    assert b"The form took more than 0.3 seconds" in page
