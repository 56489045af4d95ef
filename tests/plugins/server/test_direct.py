"""Requests that are answered without ASGI."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from grantway_plugins.server._http.wire import WireResponse
from grantway_plugins.server._listening.direct import DirectRequest, Respond
from tests.plugins.server.listening import connect, echo, listening
from tests.raw_http import read_all, read_response
from tests.waiting import PATIENCE

HEAD = b"POST /d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"


class Direct:
    """Answers with the peer and the body, or as the body says."""

    direct_targets = (b"/d",)

    def __init__(self) -> None:
        self.begun = threading.Event()

    def answer(self, request: DirectRequest, respond: Respond) -> None:
        """See ``DirectApp``."""
        self.begun.set()
        if request.body == b"later":
            return
        if request.body == b"crash":
            raise LookupError("open-sesame")
        headers = {b"close": ((b"connection", b"close"),), b"break": ((b"x", b"1\r\ny: 2"),)}
        content = b"direct %b %b" % (request.peer.encode(), request.body)
        respond(WireResponse(200, headers.get(request.body, ()), content))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with listening(echo, direct=Direct()) as found:
        yield found


def sent(port: int, *parts: bytes, responses: int = 1) -> list[bytes]:
    """Send the parts separately, and return the responses."""
    with connect(port) as connection:
        for number, part in enumerate(parts):
            if number:
                time.sleep(0.05)
            connection.sendall(part)
        return [read_response(connection) for _ in range(responses)]


@pytest.mark.parametrize(
    "parts",
    [
        (HEAD + b"\r\nhello",),
        (HEAD, b"\r\nhello"),
        (HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\nhello",),
    ],
    ids=["whole", "body with the end of the header", "upgrade offer"],
)
def test_answers_a_complete_request_directly(port: int, parts: tuple[bytes, ...]) -> None:
    (response,) = sent(port, *parts)
    assert response == b"HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\ndirect 127.0.0.1 hello"


def test_decodes_a_chunked_body(port: int) -> None:
    head = b"POST /d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    (response,) = sent(port, head + b"2\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n")
    assert response.endswith(b"\r\n\r\ndirect 127.0.0.1 hello")


@pytest.mark.parametrize(
    "parts",
    [
        (HEAD + b"\r\n", b"hello"),
        (HEAD + b"\r\nhe", b"llo"),
        (HEAD.replace(b"/d", b"/d?q=1") + b"\r\nhello",),
        (HEAD.replace(b"/d", b"/other") + b"\r\nhello",),
        (HEAD.replace(b"POST", b"PUT") + b"\r\nhello",),
        (HEAD.replace(b"/1.1", b"/1.0") + b"\r\nhello",),
    ],
)
def test_sends_all_other_requests_to_the_app(port: int, parts: tuple[bytes, ...]) -> None:
    (response,) = sent(port, *parts)
    assert b" hello [" in response
    assert b"direct" not in response


def test_an_expected_100_continue_is_sent(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\n\r\n")
        assert read_response(connection).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"hello")
        assert b"POST hello [" in read_response(connection)


def test_answers_pipelined_requests_in_order(port: int) -> None:
    direct, other = HEAD + b"\r\nhello", HEAD.replace(b"/d", b"/a") + b"\r\nworld"
    found = sent(port, direct + other + direct + direct + other, responses=5)
    assert [b"direct" in each for each in found] == [True, False, False, False, False]
    assert all(each.startswith(b"HTTP/1.1 200 ") for each in found)


@pytest.mark.parametrize(
    "request_", [HEAD + b"Connection: close\r\n\r\nhello", HEAD + b"\r\nclose"]
)
def test_closes_the_connection_on_request(port: int, request_: bytes) -> None:
    with connect(port) as connection:
        connection.sendall(request_ + HEAD + b"\r\nhello")
        response = read_all(connection)
    assert response.count(b"HTTP/1.1 200 ") == 1
    assert response.count(b"\r\nconnection: close\r\n") == 1


@pytest.mark.parametrize("body", [b"crash", b"break"])
def test_a_failed_answer_is_rejected_without_its_text(
    port: int, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(port) as connection:
        connection.sendall(HEAD + b"\r\n" + body)
        assert read_all(connection).startswith(b"HTTP/1.1 500 ")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "sesame" not in caplog.text


@pytest.mark.parametrize(("trusted", "peer"), [("127.0.0.1", b"192.0.2.7"), ("::1", b"127.0.0.1")])
def test_finds_the_client_behind_a_trusted_proxy(trusted: str, peer: bytes) -> None:
    with listening(echo, direct=Direct(), trusted=(trusted,), forwarded=True) as port:
        forwarded = b"X-Forwarded-For: 198.51.100.9, 192.0.2.7\r\n"
        (response,) = sent(port, HEAD + forwarded + b"\r\nhello")
    assert response.endswith(b"direct %b hello" % peer)


def test_an_unanswered_request_is_rejected_when_the_server_stops() -> None:
    direct = Direct()
    with listening(echo, direct=direct, grace_seconds=1.0) as port:
        connection = connect(port)
        connection.sendall(HEAD + b"\r\nlater")
        assert direct.begun.wait(PATIENCE)
    with connection:
        assert read_all(connection).startswith(b"HTTP/1.1 503 ")


def test_limits_the_time_between_direct_requests() -> None:
    with (
        listening(echo, direct=Direct(), idle_seconds=1.0, header_seconds=0.3) as port,
        connect(port) as idle,
        connect(port) as slow,
    ):
        for connection in (idle, slow):
            for _ in range(2):
                connection.sendall(HEAD + b"\r\nhello")
                assert read_response(connection).startswith(b"HTTP/1.1 200 ")
        began = time.monotonic()
        slow.sendall(HEAD)
        assert read_all(slow).startswith(b"HTTP/1.1 408 ")
        assert read_all(idle) == b""
        assert 0.9 < time.monotonic() - began < PATIENCE


def test_a_direct_request_in_progress_is_not_idle() -> None:
    direct = Direct()
    with (
        listening(echo, direct=direct, connections=1, grace_seconds=1.0) as port,
        connect(port) as busy,
    ):
        busy.sendall(HEAD + b"\r\nlater")
        assert direct.begun.wait(PATIENCE)
        with connect(port) as other:
            assert read_all(other).startswith(b"HTTP/1.1 503 ")
