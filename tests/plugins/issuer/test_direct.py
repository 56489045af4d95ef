"""Requests that arrive complete get the same response as those that arrive in parts."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from tests.plugins.issuer.conftest import Caller
from tests.plugins.server.listening import connect
from tests.raw_http import read_response

#: Dates, times, identifiers and secrets.
_VARYING = re.compile(
    rb"(?<=\r\ndate: )[^\r]+|(?<=\r\nx-amzn-requestid: )[^\r]+"
    rb"|[0-9a-f]{32}|gw[a-z]_[0-9A-Za-z_-]+|\b[0-9]{10}\b"
)


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    settings = IssuerSettings(cors_origins=("https://app.example",), approve="auto")
    with IssuerServer(settings) as server, Caller(server.url) as caller:
        yield caller.register_rfc()


def sent(caller: Caller, head: str, body: bytes, *, in_parts: bool) -> bytes:
    """Return the response without the parts that differ each time."""
    port = int(caller.url.rpartition(":")[2])
    head = head.replace("\n", "\r\n").replace("{port}", str(port))
    request = f"POST {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with connect(port) as connection:
        if in_parts:
            connection.sendall(request)
            time.sleep(0.02)
            connection.sendall(body)
        else:
            connection.sendall(request + body)
        return _VARYING.sub(b"...", read_response(connection))


OWN = "Host: 127.0.0.1:{port}\n"
FORM = OWN + "Content-Type: application/x-www-form-urlencoded"
JSON = OWN + "Content-Type: application/json"


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (f"/token HTTP/1.1\n{FORM}", b"grant_type=refresh_token&refresh_token=x", 401),
        (f"/token HTTP/1.1\n{FORM}\nAuthorization: Basic !", b"grant_type=x", 401),
        (f"/token HTTP/1.1\n{FORM}\nOrigin: https://app.example", b"grant_type=x", 400),
        (f"/token HTTP/1.1\n{FORM}\nOrigin: https://other.example", b"grant_type=x", 400),
        (f"/token HTTP/1.1\n{FORM}\nContent-Type: text/plain", b"grant_type=x", 400),
        (f"/token HTTP/1.1\n{FORM}", b"grant_type=" + b"x" * 70_000, 413),
        (f"/token HTTP/1.1\n{FORM}\nConnection: close", b"&&", 400),
        ("/token HTTP/1.1\nHost: evil.example\nContent-Type: text/plain", b"x", 421),
        (f"/token HTTP/1.1\n{JSON}", b'{"grantType": "refresh_token"}', 400),
        (f"/token HTTP/1.1\n{OWN}Content-Type: text/plain", b"x", 415),
        (f"/device_authorization HTTP/1.1\n{FORM}", b"client_id=x", 401),
        (f"/client/register HTTP/1.1\n{JSON}", b'{"clientName":"x","clientType":"public"}', 200),
        (f"/register HTTP/1.1\n{JSON}", b'{"redirect_uris": ["http://127.0.0.1/"]}', 201),
        (f"/register HTTP/1.1\n{FORM}", b"x=y", 415),
        (f"/introspect HTTP/1.1\n{FORM}", b"token=x", 401),
        (f"/revoke HTTP/1.1\n{FORM}", b"token=x", 401),
    ],
)
def test_a_complete_request_gets_the_same_response(
    caller: Caller, head: str, body: bytes, status: int
) -> None:
    whole = sent(caller, head, body, in_parts=False)
    assert whole.startswith(b"HTTP/1.1 %d " % status), whole
    assert _unordered(whole) == _unordered(sent(caller, head, body, in_parts=True))


def _unordered(response: bytes) -> tuple[list[bytes], bytes]:
    head, _, body = response.partition(b"\r\n\r\n")
    return sorted(head.split(b"\r\n")), body
