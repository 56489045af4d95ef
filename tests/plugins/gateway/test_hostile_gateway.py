"""Malformed and malicious requests to a running gateway, none of which reach the upstream."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.plugins.gateway.hostile import (
    BODY_BYTES,
    CONNECTIONS,
    HEADER_BYTES,
    OWN_SECRET,
    PATIENCE,
    Running,
    Upstream,
    issuing,
    noting,
    request,
    started,
    statuses,
)
from tests.raw_http import read_all, read_response

SILENT = 1000


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with noting() as running:
        yield running


@pytest.fixture(scope="module")
def issuer() -> Iterator[Any]:
    with issuing() as running:
        yield running


@pytest.fixture(scope="module")
def patient(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, issuer: Any
) -> Iterator[Running]:
    """Run a gateway with timeouts that suit a busy machine."""
    with started(tmp_path_factory.mktemp("patient"), upstream, issuer, PATIENCE) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, issuer: Any
) -> Iterator[Running]:
    """Run a gateway with timeouts of half a second."""
    with started(tmp_path_factory.mktemp("impatient"), upstream, issuer, 0.5) as running:
        yield running


@pytest.fixture
def gateway(patient: Running) -> Running:
    patient.upstream.seen.clear()
    return patient


def assert_rejected(gateway: Running, response: bytes, *expected: int) -> None:
    """Check that there is one response and that nothing was forwarded."""
    assert len(statuses(response)) == 1, response
    assert statuses(response)[0] in expected, response
    assert gateway.upstream.seen == []


# --- valid requests -------------------------------------------------------------------


def test_adds_the_tenants_token(gateway: Running) -> None:
    assert statuses(gateway.send(request())) == [200]
    method, path, headers, _ = gateway.upstream.only()
    assert (method, path) == ("GET", "/api")
    assert gateway.tenant_of(headers["authorization"]) == "acme"


def test_pipelined_requests_get_a_token_each(gateway: Running) -> None:
    both = request(tenant="acme", close=False) + request("/api/2", tenant="other")
    assert statuses(gateway.send(both)) == [200, 200]
    tenants = {
        path: gateway.tenant_of(dict(headers)["authorization"])
        for _, path, headers, _ in gateway.upstream.seen
    }
    assert tenants == {"/api": "acme", "/api/2": "other"}


# --- sizes and timeouts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        [f"X-Large: {'a' * HEADER_BYTES}"],
        [f"X-{number}: {'a' * 20}" for number in range(HEADER_BYTES // 20)],
        [f"X{'a' * HEADER_BYTES}: 1"],
    ],
    ids=["one value", "many", "a name"],
)
def test_rejects_a_header_that_is_too_large(gateway: Running, lines: list[str]) -> None:
    assert_rejected(gateway, gateway.send(request("/api", *lines)), 431)


def test_rejects_a_target_that_is_too_long(gateway: Running) -> None:
    assert_rejected(gateway, gateway.send(request(f"/api/{'a' * HEADER_BYTES}")), 431)


def test_rejects_an_endless_header(gateway: Running) -> None:
    piece = b"X-Piece: " + b"a" * 1000 + b"\r\n"
    endless = [b"GET /api HTTP/1.1\r\n", *[piece] * (2 * HEADER_BYTES // len(piece))]
    assert_rejected(gateway, gateway.send(*endless), 431)


def test_rejects_a_content_length_over_the_limit(gateway: Running) -> None:
    length = f"Content-Length: {BODY_BYTES + 1}"
    assert_rejected(gateway, gateway.send(request("/api", length, method="POST")), 413)


def test_rejects_a_chunked_body_over_the_limit(gateway: Running) -> None:
    chunk = b"1000\r\n" + b"a" * 0x1000 + b"\r\n"
    head = request("/api", "Transfer-Encoding: chunked", method="POST")
    response = gateway.send(head, *[chunk] * (2 * BODY_BYTES // 0x1000))
    assert_rejected(gateway, response, 413)


def test_accepts_a_body_of_the_largest_size(gateway: Running) -> None:
    body = b"a" * BODY_BYTES
    length = f"Content-Length: {BODY_BYTES}"
    assert statuses(gateway.send(request("/api", length, method="POST", body=body))) == [200]
    assert gateway.upstream.only()[3] == body


@pytest.mark.parametrize("length", ["Content-Length: 9", "Transfer-Encoding: chunked"])
def test_a_stalled_body_times_out(impatient: Running, length: str) -> None:
    impatient.upstream.seen.clear()
    started_body = b"4\r\nwiki\r\n" if "chunked" in length else b"wiki"
    response = impatient.send(request("/api", length, method="POST", body=started_body))
    assert_rejected(impatient, response, 408)


def test_a_stalled_header_times_out(impatient: Running) -> None:
    impatient.upstream.seen.clear()
    assert_rejected(impatient, impatient.send(request()[:-2]), 408)


def test_a_header_sent_byte_by_byte_times_out(impatient: Running) -> None:
    impatient.upstream.seen.clear()
    with impatient.connect() as connection:
        connection.sendall(request()[:-2])
        ended = threading.Event()
        with ThreadPoolExecutor(1) as reading:
            response = reading.submit(read_all, connection)
            response.add_done_callback(lambda _: ended.set())
            # The connection must end while bytes still arrive: no byte buys more time.
            with contextlib.suppress(ConnectionError):
                while not ended.wait(0.02):
                    connection.sendall(b"X")
    assert statuses(response.result()) == [408]
    assert impatient.upstream.seen == []


def test_closes_a_silent_connection(impatient: Running) -> None:
    assert impatient.send() == b""


@pytest.mark.parametrize("end", [b"", b"0\r\n\r\n"], ids=["unended", "ended"])
def test_does_not_wait_for_the_rest_of_a_rejected_body(impatient: Running, end: bytes) -> None:
    sent = request("/nowhere", "Transfer-Encoding: chunked", method="POST", close=False)
    with impatient.connect() as connection:
        connection.sendall(sent + b"1\r\na\r\n")
        assert statuses(read_response(connection)) == [404]
        with contextlib.suppress(
            ConnectionError
        ):  # on a slow machine, the connection may be closed already
            connection.sendall(b"1\r\nb\r\n" + end)
        assert read_all(connection) == b""


def test_closes_the_connection_after_an_endless_rejected_body(impatient: Running) -> None:
    sent = request("/nowhere", "Transfer-Encoding: chunked", method="POST", close=False)
    pause = threading.Event()
    with impatient.connect() as connection:
        connection.sendall(sent)
        assert statuses(read_response(connection)) == [404]
        with pytest.raises(ConnectionError):  # noqa: PT012 - whichever piece it is
            for _ in range(int(PATIENCE / 0.01)):
                connection.sendall(b"1\r\na\r\n")
                pause.wait(0.01)


def test_serves_requests_next_to_a_thousand_silent_connections(gateway: Running) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SILENT + 500
    assert hard == resource.RLIM_INFINITY or hard >= wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    with ExitStack() as silent:
        silent.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(SILENT):
            silent.enter_context(gateway.connect())
        for number in range(20):
            response = gateway.send(request(tenant=f"t{number}"))
            assert statuses(response) == [200]
    seen = [dict(headers)["authorization"] for _, _, headers, _ in gateway.upstream.seen]
    assert [gateway.tenant_of(each) for each in seen] == [f"t{number}" for number in range(20)]


def test_a_full_gateway_closes_silent_connections_for_new_ones(gateway: Running) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard >= 2 * SILENT
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * SILENT), hard))
    with ExitStack() as silent:
        silent.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        oldest = silent.enter_context(gateway.connect())
        for _ in range(CONNECTIONS):
            silent.enter_context(gateway.connect())
        assert statuses(gateway.send(request())) == [200]
        assert read_all(oldest).startswith(b"HTTP/1.1 503 ")


# --- request smuggling --------------------------------------------------------------

INNER = b"GET /api/smuggled HTTP/1.1\r\nHost: gateway.test\r\nX-Tenant: victim\r\n\r\n"
CHUNKED = b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        (["Content-Length: 5", "Transfer-Encoding: chunked"], CHUNKED),
        (["Transfer-Encoding: chunked", "Content-Length: 5"], CHUNKED),
        (["Transfer-Encoding: chunked", f"Content-Length: {5 + len(INNER)}"], CHUNKED),
        (["Content-Length: 0", f"Content-Length: {len(INNER)}"], b""),
        (["Content-Length: 0", "Content-Length: 0"], b""),
        ([f"Content-Length: 0, {len(INNER)}"], b""),
        (["Content-Length: +0"], b""),
        (["Content-Length: -1"], b""),
        (["Content-Length: 0x0"], b""),
        (["Content-Length: 0 0"], b""),
        (["Content-Length: 18446744073709551616"], b""),
        (["Content-Length:"], b""),
        (["Content-Length : 0"], b""),
        (["Transfer-Encoding: xchunked"], CHUNKED),
        (["Transfer-Encoding: identity"], CHUNKED),
        (["Transfer-Encoding: chunked, identity"], CHUNKED),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], CHUNKED),
        (["Transfer-Encoding : chunked"], CHUNKED),
        (["Transfer-Encoding\t: chunked"], CHUNKED),
        (["Transfer-Encoding: \x0bchunked"], CHUNKED),
        (["X: 1\nTransfer-Encoding: chunked"], CHUNKED),
        (["X: 1\rTransfer-Encoding: chunked"], CHUNKED),
        (["X: 1", " Transfer-Encoding: chunked"], CHUNKED),
        (["X: 1\x00", "Content-Length: 0"], b""),
        (["X\x00: 1", "Content-Length: 0"], b""),
        (["Transfer-Encoding: chunked"], b"0;x=\n\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"0x0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"-0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"10000000000000000\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"1\r\naX0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"0\n\n"),
    ],
)
def test_rejects_request_smuggling(gateway: Running, lines: list[str], body: bytes) -> None:
    head = request("/api", *lines, method="POST", close=False)
    assert_rejected(gateway, gateway.send(head + body + INNER), 400)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /api HTTP/1.1\nHost: gateway.test\nX-Tenant: acme\n\n",
        b"GET /api\r\n\r\n",
        b"GET /api HTTP/0.9\r\nHost: gateway.test\r\nX-Tenant: acme\r\n\r\n",
        b"GET /api HTTP/2.0\r\nHost: gateway.test\r\nX-Tenant: acme\r\n\r\n",
        b"GET /api HTTP/1.1\r\n Host: gateway.test\r\nX-Tenant: acme\r\n\r\n",
        b"G\x00T /api HTTP/1.1\r\nHost: gateway.test\r\nX-Tenant: acme\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
        b"GET /api HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\nX-Tenant: acme\r\n\r\n",
        b"GET /api HTTP/1.1\r\nHost: a.test,b.test\r\nX-Tenant: acme\r\nConnection: close\r\n\r\n",
        b"GET /api HTTP/1.1\r\nHost: a.test/x\r\nX-Tenant: acme\r\nConnection: close\r\n\r\n",
        b"GET /api HTTP/1.1\r\nHost: me@a.test\r\nX-Tenant: acme\r\nConnection: close\r\n\r\n",
    ],
)
def test_rejects_invalid_requests(gateway: Running, sent: bytes) -> None:
    # The gateway may respond or close the connection.
    with gateway.connect() as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        response = read_all(connection)
    assert statuses(response) in ([400], [505], [])
    assert gateway.upstream.seen == []


# --- headers and paths ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tenant",
    ["", "a b", "a/b", "a%0d%0aX: 1", "*", "a,b", "a" * 129, "\xe9", "{tenant}", "a\tb", '"a"'],
)
def test_rejects_an_invalid_tenant_name(gateway: Running, tenant: str) -> None:
    assert_rejected(gateway, gateway.send(request(tenant=tenant)), 400, 403)


@pytest.mark.parametrize("second", ["X-Tenant: other", "x-tenant: acme"])
def test_rejects_two_tenants(gateway: Running, second: str) -> None:
    assert_rejected(gateway, gateway.send(request("/api", second)), 400)


def test_a_trailer_is_not_used_as_a_header(gateway: Running) -> None:
    trailers = b"X-Tenant: other\r\nAuthorization: Bearer mine\r\nX-Late: 1\r\n\r\n"
    body = b"1\r\na\r\n0\r\n" + trailers
    sent = request("/api", "Transfer-Encoding: chunked", method="POST")
    assert statuses(gateway.send(sent + body)) == [200]
    headers = gateway.upstream.only()[2]
    assert gateway.tenant_of(headers["authorization"]) == "acme"
    assert (headers["x-tenant"], "x-late" in headers) == ("acme", False)
    gateway.upstream.seen.clear()
    without_tenant = sent.replace(b"X-Tenant: acme\r\n", b"")
    assert_rejected(gateway, gateway.send(without_tenant + body), 403)


@pytest.mark.parametrize("trailer", [b"X-Late: 1\r\n", b"a"], ids=["many", "one"])
def test_rejects_endless_trailers(gateway: Running, trailer: bytes) -> None:
    sent = request("/api", "Transfer-Encoding: chunked", method="POST", tenant="", close=False)
    piece = trailer * (HEADER_BYTES // len(trailer))
    with gateway.connect() as connection:
        connection.sendall(sent + b"0\r\nX: 1\r\n")
        assert statuses(read_response(connection)) == [403]
        with pytest.raises(ConnectionError):  # noqa: PT012 - whichever piece it is
            for _ in range(10_000):
                connection.sendall(piece)


@pytest.mark.parametrize("target", ["gateway.test", "GATEWAY.test"])
def test_accepts_an_absolute_url_as_the_target(gateway: Running, target: str) -> None:
    assert statuses(gateway.send(request(f"http://{target}/api?x=1"))) == [200]
    assert gateway.upstream.only()[1] == "/api?x=1"


@pytest.mark.parametrize(
    "target", ["bank.test", "gateway.test:81", "me@gateway.test", "me:x@b.test"]
)
def test_rejects_a_target_on_another_host(gateway: Running, target: str) -> None:
    assert_rejected(gateway, gateway.send(request(f"http://{target}/api")), 400)


def test_removes_the_senders_headers_that_could_replace_the_token(gateway: Running) -> None:
    lines = ["Authorization: Bearer mine", "AUTHORIZATION_: x", "Proxy-Authorization: Basic eDp5"]
    assert statuses(gateway.send(request("/api", *lines))) == [200]
    headers = gateway.upstream.only()[2]
    assert gateway.tenant_of(headers["authorization"]) == "acme"
    assert "proxy-authorization" not in headers


@pytest.mark.parametrize("named", ["authorization", "x-tenant ,Authorization\t,", "AUTHORIZATION"])
def test_a_sender_cannot_have_the_token_removed(gateway: Running, named: str) -> None:
    lines = [f"Connection: {named}", "Connection: close"]
    assert_rejected(gateway, gateway.send(request("/api", *lines, close=False)), 400)


@pytest.mark.parametrize("named", ["x-tenant", "host", "via", "x-forwarded-for"])
def test_does_not_forward_hop_by_hop_headers(gateway: Running, named: str) -> None:
    sent = request("/api", f"Connection: close, {named}", close=False)
    assert statuses(gateway.send(sent)) == [200]
    headers = gateway.upstream.only()[2]
    assert gateway.tenant_of(headers["authorization"]) == "acme"
    assert headers["host"] == gateway.upstream.url.removeprefix("http://")
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert ("x-tenant" in headers) == (named != "x-tenant")


def test_removes_forwarding_headers_of_untrusted_senders(gateway: Running) -> None:
    lines = [
        "X-Forwarded-For: 10.0.0.1",
        "X-Forwarded-Host: bank.test",
        "X-Forwarded-Proto: https",
        "Forwarded: for=10.0.0.1",
    ]
    assert statuses(gateway.send(request("/api", *lines))) == [200]
    headers = gateway.upstream.only()[2]
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-host"] == "gateway.test"
    assert headers["x-forwarded-proto"] == "http"
    assert "forwarded" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/api/../admin",
        "/api/..",
        "/api/./x",
        "/api/%2e%2e/admin",
        "/api/%2E./admin",
        "/api/..%2fadmin",
        "/api/%2fadmin",
        "/api%2fadmin",
        "/api/%252e%252e/admin",
        "/api/%5c..%5cadmin",
        "/api/..;/admin",
        "//api",
        "/api//admin",
        "//evil.test/api",
        "/api/%00",
        "/api/%0d%0aX-Evil:%201",
        "/api/%zz",
        "/api/%",
        "/api\\..\\admin",
        "api",
        "*",
    ],
)
def test_rejects_an_ambiguous_path(gateway: Running, path: str) -> None:
    assert_rejected(gateway, gateway.send(request(path)), 400)


def test_forwards_a_path_in_its_normal_form(gateway: Running) -> None:
    assert statuses(gateway.send(request("/%61pi/%7Ex/a%20b?q=%2e%2e//&r=%0d%0a"))) == [200]
    assert gateway.upstream.only()[1] == "/api/~x/a%20b?q=%2e%2e//&r=%0d%0a"


@pytest.mark.parametrize("path", ["/", "/apis", "/admin", "/metrics", "/healthz", "/reload"])
def test_responds_with_404_without_a_route(gateway: Running, path: str) -> None:
    assert_rejected(gateway, gateway.send(request(path)), 404)


# --- methods and expectations ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "lines", "expected"),
    [
        ("CONNECT", "bank.test:443", [], (400, 404, 501)),
        ("CONNECT", "/api", [], (400, 501)),
        ("TRACE", "/api", [], (501,)),
        ("GET", "/api", ["Upgrade: websocket"], (400,)),
        ("POST", "/api", ["Expect: 200-ok", "Content-Length: 0"], (417,)),
    ],
)
def test_rejects_unsupported_methods_and_upgrades(
    gateway: Running, method: str, path: str, lines: list[str], expected: tuple[int, ...]
) -> None:
    assert_rejected(gateway, gateway.send(request(path, *lines, method=method)), *expected)


def test_reads_no_request_after_a_handshake_that_the_upstream_ignores(gateway: Running) -> None:
    upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    sent = request("/api", *upgrade, "Sec-WebSocket-Key: eA==", close=False)
    assert statuses(gateway.send(sent + INNER)) == [200]
    assert gateway.upstream.only()[1] == "/api"


def test_responds_to_expect_100_continue(gateway: Running) -> None:
    with gateway.connect() as connection:
        lines = ["Expect: 100-continue", "Content-Length: 4"]
        connection.sendall(request("/api", *lines, method="POST"))
        assert read_response(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"wiki")
        assert statuses(read_all(connection)) == [200]
    _, _, headers, body = gateway.upstream.only()
    assert body == b"wiki"
    assert "expect" not in headers


# --- the token endpoint ---------------------------------------------------------------------------

FORM = "application/x-www-form-urlencoded"


def request_token(gateway: Running, content_type: str, body: str) -> tuple[int, dict[str, Any]]:
    """Return the response of the gateway's token endpoint."""
    lines = [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    response = gateway.send(request("/token", *lines, method="POST", body=body.encode()))
    (status,) = statuses(response)
    head, _, payload = response.partition(b"\r\n\r\n")
    assert b"cache-control: no-store" in head.lower()
    return status, json.loads(payload)


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        (FORM, f"grant_type=client_credentials&client_id=shop&client_secret={OWN_SECRET}", 200),
        (FORM, f"grantType=client_credentials&client_id=shop&client_secret={OWN_SECRET}", 400),
        (FORM, f"grant_type=client_credentials&clientId=shop&clientSecret={OWN_SECRET}", 401),
        (FORM, "grant_type=client_credentials&grant_type=refresh_token&client_id=shop", 400),
        (FORM, f"grant_type=urn:acme:coupon&client_id=shop&client_secret={OWN_SECRET}", 400),
        ("application/json", '{"grantType": ["client_credentials"], "clientId": "shop"}', 400),
        ("application/json", '{"grantType": "a", "grantType": "b", "clientId": "shop"}', 400),
        ("application/json", '{"grantType": "a", "grant_type": "b", "clientId": "shop"}', 400),
        ("application/json", "[" * 10_000, 400),
        ("text/plain", "grant_type=client_credentials", 415),
    ],
)
def test_the_token_endpoint_accepts_both_dialects(
    gateway: Running, content_type: str, body: str, expected: int
) -> None:
    status, payload = request_token(gateway, content_type, body)
    assert status == expected, payload
    assert ("access_token" in payload) == (expected == 200)
    assert gateway.client[1] not in json.dumps(payload)
    assert gateway.upstream.seen == []
