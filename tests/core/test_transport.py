"""The transport distinguishes failures before and after sending, and limits responses."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import os
import threading
import time
import traceback
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import requests

from grantway._exceptions import (
    ConfigurationError,
    ConnectionFailedError,
    OutcomeUnknownError,
    RedirectRefusedError,
    ResponseTooLargeError,
    TransportError,
)
from grantway._transport import connections as idle_connections
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse, Transport
from grantway._transport.limits import MAX_RESPONSE
from grantway._transport.requests_transport import RequestsTransport
from grantway._transport.transport import HttpTransport
from grantway.testing import TransportTests, transport_on_loop
from tests import faults
from tests.faults import Act, FaultServer
from tests.waiting import PATIENCE

SECRET = "rt-very-secret-0123456789"


class LoopTransport(HttpTransport):
    """A transport that sends in an event loop, which each thread keeps."""

    loops = threading.local()

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        if not hasattr(self.loops, "runner"):
            self.loops.runner = asyncio.Runner()
        response: HttpResponse = self.loops.runner.run(self.send_async(request, deadline))
        return response

    @classmethod
    def close_loop(cls) -> None:
        """Close the loop of this thread."""
        if hasattr(cls.loops, "runner"):
            cls.loops.runner.close()
            del cls.loops.runner


@pytest.fixture(params=[HttpTransport, LoopTransport], ids=["blocking", "asyncio"])
def kind(request: pytest.FixtureRequest) -> Iterator[type[HttpTransport]]:
    yield request.param
    LoopTransport.close_loop()


@pytest.fixture
def impatient(kind: type[HttpTransport]) -> Iterator[HttpTransport]:
    """A transport for servers that never complete a response."""
    sender = kind(connect_timeout=PATIENCE, read_timeout=0.4)
    yield sender
    sender.close()


@pytest.fixture
def transport(kind: type[HttpTransport]) -> Iterator[HttpTransport]:
    sender = kind(connect_timeout=PATIENCE, read_timeout=PATIENCE)
    yield sender
    sender.close()


def post(url: str) -> HttpRequest:
    return HttpRequest(
        "POST", f"{url}/token", {"X-Test": SECRET}, b"refresh_token=" + SECRET.encode()
    )


class TestHttpTransport(TransportTests):
    """The tests for every transport."""

    check_locals = True

    @pytest.fixture
    def transport(self) -> Iterator[HttpTransport]:
        with closing(HttpTransport()) as transport:
            yield transport


class TestHttpTransportOnLoop(TransportTests):
    """The tests for every transport, in an event loop."""

    check_locals = True

    @pytest.fixture
    def transport(self) -> Iterator[Transport]:
        with closing(HttpTransport()) as plain, transport_on_loop(plain) as transport:
            yield transport


def test_returns_the_whole_response(transport: HttpTransport) -> None:
    with FaultServer(faults.respond(418, b"short", {"X-One": "1"})) as server:
        got = transport.send(post(server.url), Deadline(5))
    assert (got.status, got.body, got.headers["x-one"]) == (418, b"short", "1")
    (seen,) = server.requests
    assert (seen.method, seen.target) == ("POST", "/token")
    assert seen.body == b"refresh_token=" + SECRET.encode()
    assert seen.headers["accept-encoding"] == "identity"
    assert seen.headers["user-agent"].startswith("grantway/")


def test_reuses_connections(transport: HttpTransport) -> None:
    with FaultServer(faults.respond()) as server:
        for _ in range(3):
            transport.send(post(server.url), Deadline(5))
    assert (len(server.requests), server.connections) == (3, 1)


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(faults.reset_unread, id="reset before it was read"),
        pytest.param(faults.reset_after_request, id="reset after it was read"),
        pytest.param(faults.close_after_request, id="closed after it was read"),
        pytest.param(faults.stall, id="no response"),
        pytest.param(faults.stall_body, id="stalled body"),
        pytest.param(faults.half(), id="half a body"),
        pytest.param(faults.half(b""), id="no body though one was promised"),
        pytest.param(faults.chunk_cut, id="chunk cut short"),
        pytest.param(faults.chunks_cut, id="chunks without an end"),
        pytest.param(faults.raw(b"HTTP/1.1 200 OK\r\nContent-Le"), id="half a head"),
        pytest.param(faults.raw(b"SSH-2.0-OpenSSH_9.9\r\n"), id="not HTTP"),
        pytest.param(
            faults.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\n{}"), id="two lengths"
        ),
        pytest.param(
            faults.raw(b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200 + b"\r\n"), id="200 headers"
        ),
        pytest.param(
            faults.raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"), id="long header"
        ),
    ],
)
def test_the_outcome_is_unknown_after_the_body_was_sent(impatient: HttpTransport, act: Act) -> None:
    with (
        FaultServer(act, faults.respond()) as server,
        pytest.raises(OutcomeUnknownError, match="may have processed it") as caught,
    ):
        impatient.send(post(server.url), Deadline(5))
    error = caught.value
    assert error.__context__ is None
    assert error.__cause__ is None
    assert SECRET not in str(error)
    frames = [frame for frame, _ in traceback.walk_tb(caught.tb) if "/_transport/" in str(frame)]
    assert frames
    assert not any(SECRET in repr(frame.f_locals) for frame in frames)
    assert server.connections == 1
    # The next request does not reuse the failed connection.
    with FaultServer(act, faults.respond()) as server:
        with pytest.raises(OutcomeUnknownError):
            impatient.send(post(server.url), Deadline(5))
        assert impatient.send(post(server.url), Deadline(5)).status == 200


def test_an_early_reset_has_a_definite_error_and_is_sent_once(
    transport: HttpTransport,
) -> None:
    # The reset may arrive before or after the body was sent, so either error is correct.
    with (
        FaultServer(faults.reset_early) as server,
        pytest.raises((ConnectionFailedError, OutcomeUnknownError)),
    ):
        transport.send(post(server.url), Deadline(5))
    assert (server.connections, server.requests) == (1, [])


LEAKY = {"Location": f"/?code={SECRET}", "X-Token": SECRET}


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(faults.respond(302, b"", LEAKY), id="redirect"),
        pytest.param(faults.respond(200, SECRET.encode() * 50_000, LEAKY), id="too large"),
        pytest.param(
            faults.respond(200, gzip.compress(SECRET.encode() * 50_000), LEAKY),
            id="too large if decompressed",
        ),
        pytest.param(
            faults.respond(200, gzip.compress(SECRET.encode())[:-1], LEAKY), id="truncated gzip"
        ),
        pytest.param(faults.half(SECRET.encode()), id="half a body"),
    ],
)
@pytest.mark.parametrize("by_requests", [False, True], ids=["own", "requests"])
def test_an_error_shows_no_part_of_the_response(
    transport: HttpTransport, act: Act, by_requests: bool
) -> None:
    with requests.Session() as session, FaultServer(act) as server:
        send = RequestsTransport(session).send if by_requests else transport.send
        with pytest.raises(TransportError) as caught:
            send(post(server.url), Deadline(5))
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert SECRET not in "".join(shown.format())


def test_keeps_the_status_of_a_truncated_response(impatient: HttpTransport) -> None:
    with FaultServer(faults.stall_body) as server, pytest.raises(OutcomeUnknownError) as caught:
        impatient.send(post(server.url), Deadline(5))
    assert caught.value.evidence.status == 200


@pytest.mark.parametrize("act", [faults.drip_head, faults.drip_body], ids=["head", "body"])
def test_a_slow_response_ends_at_the_deadline(transport: HttpTransport, act: Act) -> None:
    began = time.monotonic()
    with FaultServer(act) as server, pytest.raises(OutcomeUnknownError, match="timed out"):
        transport.send(post(server.url), Deadline(1))
    assert 0.9 <= time.monotonic() - began < PATIENCE


def test_reads_an_endless_response_only_up_to_the_limit(transport: HttpTransport) -> None:
    with FaultServer(faults.endless) as server, pytest.raises(ResponseTooLargeError) as caught:
        transport.send(post(server.url), Deadline(10))
    assert caught.value.evidence.status == 200


def test_the_limit_is_one_mebibyte(transport: HttpTransport) -> None:
    with FaultServer(
        faults.respond(200, b"x" * MAX_RESPONSE), faults.respond(200, b"x" * (MAX_RESPONSE + 1))
    ) as server:
        assert len(transport.send(post(server.url), Deadline(10)).body) == 1024 * 1024
        with pytest.raises(ResponseTooLargeError, match="1048576"):
            transport.send(post(server.url), Deadline(10))


def test_a_keep_alive_connection_that_the_server_closed_is_replaced(
    transport: HttpTransport,
) -> None:
    with FaultServer(faults.close_after(faults.respond()), faults.respond()) as server:
        transport.send(post(server.url), Deadline(5))
        assert server.closed.wait(PATIENCE)
        assert transport.send(post(server.url), Deadline(5)).status == 200
    assert (len(server.requests), server.connections) == (2, 2)


def test_bytes_that_nothing_requested_are_not_taken_for_a_response(
    transport: HttpTransport,
) -> None:
    """Some servers send 408 over an idle connection before they close it."""
    unrequested = threading.Event()

    def sends_more(stage: faults.Stage) -> bool:
        faults.respond(200, b"first")(stage)
        stage.send(faults.message(408, b"too slow"))
        unrequested.set()
        return True

    with FaultServer(sends_more, faults.respond(200, b"second")) as server:
        assert transport.send(post(server.url), Deadline(5)).body == b"first"
        assert unrequested.wait(PATIENCE)
        assert transport.send(post(server.url), Deadline(5)).body == b"second"
    assert server.connections == 2


def test_an_old_connection_is_not_used(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something on the way may have dropped it silently, or the server may be closing it."""
    short, long = ({"Keep-Alive": f"timeout={seconds}, max=9"} for seconds in (1, 5))
    with FaultServer(faults.respond(200, b"", short), faults.respond(200, b"", long)) as server:
        for connections in (1, 2, 2):
            transport.send(post(server.url), Deadline(5))
            assert server.connections == connections
        monkeypatch.setattr(idle_connections, "_MOST_IDLE", 0)
        for connections in (2, 3):
            transport.send(post(server.url), Deadline(5))
            assert server.connections == connections


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_does_not_follow_redirects(transport: HttpTransport, status: int) -> None:
    with FaultServer(faults.respond()) as other:
        where = f"{other.url}/elsewhere?code=abc&token=def"
        with (
            FaultServer(faults.respond(status, b"", {"Location": where})) as server,
            pytest.raises(RedirectRefusedError) as caught,
        ):
            transport.send(post(server.url), Deadline(5))
    error = caught.value
    assert other.connections == 0
    assert len(server.requests) == 1
    assert f"{other.url}/elsewhere" in str(error)
    assert "abc" not in str(error)
    assert "def" not in str(error)
    assert error.evidence.status == status


@pytest.mark.parametrize(
    "location",
    ["http://[broken", "http://host:port/x", "//user:pw@host/x", "", "x\x1b[31my", "/token/"],
)
def test_any_redirect_raises_one_error(transport: HttpTransport, location: str) -> None:
    with (
        FaultServer(faults.respond(307, b"", {"Location": location})) as server,
        pytest.raises(RedirectRefusedError) as caught,
    ):
        transport.send(post(server.url), Deadline(5))
    assert "pw" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_sends_nothing_over_tls_to_a_plain_port(transport: HttpTransport) -> None:
    with FaultServer(faults.raw(b"HTTP/1.1 400 Bad\r\n\r\n")) as server:
        url = server.url.replace("http://", "https://")
        # The server treats the handshake as an incomplete request.
        with pytest.raises(ConnectionFailedError):
            transport.send(post(url), Deadline(1))
    assert server.requests == []


def test_sends_nothing_to_a_server_with_an_untrusted_certificate(
    transport: HttpTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = faults.certificate(tmp_path)
    # requests would use these variables, but the transport must ignore them.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", trusted)
    monkeypatch.setenv("CURL_CA_BUNDLE", trusted)
    with (
        FaultServer(faults.respond(), tls=context) as server,
        pytest.raises(ConnectionFailedError, match="TLS failed"),
    ):
        transport.send(post(server.url), Deadline(5))
    assert server.requests == []


def test_accepts_a_trusted_certificate(kind: type[HttpTransport], tmp_path: Path) -> None:
    context, trusted = faults.certificate(tmp_path)
    sender = kind(ca_bundle=trusted)
    with FaultServer(faults.respond(), tls=context) as server:
        assert sender.send(post(server.url), Deadline(5)).status == 200
        assert sender.send(post(server.url), Deadline(5)).status == 200
        sender.close()
    assert server.connections == 1


def test_plain_http_to_a_tls_port_has_an_unknown_outcome(
    transport: HttpTransport, tmp_path: Path
) -> None:
    context, _ = faults.certificate(tmp_path)
    with FaultServer(faults.respond(), tls=context) as server:
        url = server.url.replace("https://", "http://")
        # The bytes were sent, so the outcome is unknown.
        with pytest.raises(OutcomeUnknownError):
            transport.send(post(url), Deadline(2))
    assert server.requests == []


def test_the_environment_sets_no_proxy(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{faults.free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with FaultServer(faults.respond()) as server:
        assert transport.send(post(server.url), Deadline(5)).status == 200
    assert "HTTP_PROXY" in os.environ


def test_uses_a_configured_proxy(kind: type[HttpTransport]) -> None:
    with FaultServer(faults.respond()) as proxy:
        sender = kind(proxies={"http": proxy.url})
        assert sender.send(post("http://localhost:9"), Deadline(5)).status == 200
        sender.close()
    assert proxy.requests[0].target == "http://localhost:9/token"


def test_sends_nothing_through_a_proxy_that_rejects_the_tunnel(kind: type[HttpTransport]) -> None:
    with FaultServer(faults.raw(faults.message(502, b"no"))) as proxy:
        sender = kind(proxies={"https": proxy.url})
        for _ in range(2):
            with pytest.raises(ConnectionFailedError):
                sender.send(post("https://localhost:9"), Deadline(5))
        sender.close()
    assert {seen.method for seen in proxy.requests} == {"CONNECT"}


def test_threads_share_one_transport(transport: HttpTransport) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                assert transport.send(post(server.url), Deadline(10)).status == 200
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)
        finally:
            LoopTransport.close_loop()

    with FaultServer(faults.respond()) as server:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(server.requests) == 80
    assert server.connections <= 8


@pytest.mark.parametrize("name", ["connect_timeout", "read_timeout", "max_response", "pool_size"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "5", None])
def test_names_an_invalid_limit(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=name):
        HttpTransport(**{name: value})  # type: ignore[arg-type]


def test_every_failure_is_a_transport_error() -> None:
    kinds = (
        ConnectionFailedError,
        OutcomeUnknownError,
        RedirectRefusedError,
        ResponseTooLargeError,
    )
    assert all(issubclass(kind, TransportError) for kind in kinds)


def test_reaches_more_hosts_than_pools_and_works_after_close(transport: HttpTransport) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(FaultServer(faults.respond())) for _ in range(18)]
        for _ in range(2):
            for server in servers:
                assert transport.send(post(server.url), Deadline(5)).status == 200
        transport.close()
        assert transport.send(post(servers[-1].url), Deadline(5)).status == 200
    assert [len(server.requests) for server in servers] == [2] * 17 + [3]


@pytest.mark.parametrize("act", [faults.close_after_request, None], ids=["closed", "rejected"])
def test_a_failed_request_leaves_no_references(act: Act | None) -> None:
    """An error must not keep the request, which contains secrets, until garbage collection."""
    sender = HttpTransport(connect_timeout=2, read_timeout=2)
    with FaultServer(act or faults.respond()) as server, contextlib.suppress(TransportError):
        url = server.url if act else f"http://127.0.0.1:{faults.free_port()}"
        sender.send(post(url), Deadline(5))
    gc.disable()
    try:
        kept = weakref.ref(sender)
        del sender
        assert kept() is None
    finally:
        gc.enable()
