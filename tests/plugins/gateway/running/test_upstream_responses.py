"""Malformed upstream responses, rewritten ``Location`` headers, and CORS preflights."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests

from grantway_plugins.gateway._forwarding.location import host_and_port, rewritten
from grantway_plugins.issuer import IssuerServer
from tests.faults import FaultServer, free_port, raw
from tests.plugins.gateway.running.conftest import Backends, make_backends
from tests.plugins.gateway.running.programs import PATIENCE, EchoUpstream, GatewayProcess, gateway

ACME = {"X-Tenant": "acme"}
OK = b"HTTP/1.1 200 OK\r\n"
HI = b"Content-Length: 2\r\n\r\nhi"
CHUNKED = b"\r\n2\r\nhi\r\n0\r\n\r\n"

MALFORMED = {
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "s000": b"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n",
    "s099": b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n",
    "s600": b"HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n",
    "s999": b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
    "s1000": b"HTTP/1.1 1000 X\r\nContent-Length: 0\r\n\r\n",
    "negative": b"HTTP/1.1 -20 X\r\nContent-Length: 0\r\n\r\n",
    "short": b"HTTP/1.1 20 X\r\nContent-Length: 0\r\n\r\n",
    "name-space": OK + b"X A: a\r\n" + HI,
    "name-colon": OK + b"X-A : a\r\n" + HI,
    # The parser accepts these names.
    "connection-colon": OK + b"Connection : a\r\n" + HI,
    "length-colon": OK + b"Content-Length : 2\r\n\r\nhi",
    "coding-colon": OK + b"Transfer-Encoding : chunked\r\n" + CHUNKED,
    "name-8bit": OK + b"X\xe9A: a\r\n" + HI,
    "nameless": OK + b": a\r\n" + HI,
    "colonless": OK + b"abc\r\n" + HI,
    "nul": OK + b"X-A: a\x00b\r\n" + HI,
    "control": OK + b"X-A: a\x01b\r\n" + HI,
    "delete": OK + b"X-A: a\x7fb\r\n" + HI,
    "bare-cr": OK + b"X-A: a\rSet-Cookie: b\r\n" + HI,
    "two-lengths": OK + b"Content-Length: 3\r\n" + HI,
    "length-list": OK + b"Content-Length: 2, 2\r\n\r\nhi",
    "length-sign": OK + b"Content-Length: -2\r\n\r\nhi",
    "length-huge": OK + b"Content-Length: 99999999999999999999999\r\n\r\nhi",
    "length-and-chunked": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n" + CHUNKED,
    "coding": OK + b"Transfer-Encoding: gzip\r\n\r\nhi",
    "two-codings": OK + b"Transfer-Encoding: gzip, chunked\r\n" + CHUNKED,
    "chunked-twice": OK + b"Transfer-Encoding: chunked\r\n" * 2 + CHUNKED,
    "huge": OK + b"X-A: " + b"a" * 70_000 + b"\r\n" + HI,
    "many": OK + b"X-A: a\r\n" * 50_000 + HI,
    "http09": b"hi there\r\n\r\n",
    "version": b"HTTP/3.3 200 OK\r\n" + HI,
}


@pytest.fixture(scope="module")
def malformed(
    issuer: IssuerServer,
    echo_server: tuple[EchoUpstream, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    backends = make_backends(issuer, echo_server, tmp_path_factory.mktemp("malformed"))
    with ExitStack() as running:
        servers = {
            name: running.enter_context(FaultServer(raw(message)))
            for name, message in MALFORMED.items()
        }
        routes = [backends.route(name, upstream=f'"{each.url}"') for name, each in servers.items()]
        config = backends.write(backends.provider() + "".join(routes) + backends.route("fine"))
        yield running.enter_context(gateway(config))


def test_malformed_responses_are_logged_and_become_502(
    malformed: GatewayProcess,
) -> None:
    def send_request(name: str) -> tuple[str, int]:
        response = requests.get(f"{malformed.url}/{name}", headers=ACME, timeout=PATIENCE)
        assert response.json()["error"] == "bad_gateway", name
        return name, response.status_code

    with ThreadPoolExecutor(4) as threads:
        found = dict(threads.map(send_request, MALFORMED))
    assert found == dict.fromkeys(MALFORMED, 502)
    malformed.wait_for("status 101")
    malformed.wait_for("control characters in x-a")
    assert "Traceback" not in malformed.log
    assert len([line for line in malformed.log.splitlines() if "127.0.0.1" in line]) >= len(found)
    fine = requests.get(f"{malformed.url}/fine", headers=ACME, timeout=PATIENCE)
    assert fine.status_code == 200


def test_unfolds_header_values(backends: Backends, http: requests.Session) -> None:
    """RFC 9112 section 5.2: a gateway replaces the line break with spaces."""
    folded = OK + b"X-A: a\r\n b\r\n" + HI
    with FaultServer(raw(folded)) as server:
        config = backends.write(backends.provider() + backends.route(upstream=f'"{server.url}"'))
        with gateway(config) as run:
            response = http.get(f"{run.url}/orders", headers=ACME, timeout=PATIENCE)
    assert (response.status_code, response.headers["x-a"], response.text) == (200, "a b", "hi")


# --- Location -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://up.test:9000/base/x?y=1#z", "/api/x?y=1#z"),
        ("http://UP.test:9000/base", "/api"),
        ("https://up.test:9000/base/", "/api/"),
        ("//up.test:9000/base/x", "/api/x"),
        ("/base/x", "/api/x"),
        ("http://sent.test/base/x", "/api/x"),
        # Not the upstream's, or not reachable through the route
        ("http://up.test:9001/base/x", None),
        ("http://up.test/base/x", None),
        ("http://evil.test/base/x", None),
        ("http://up.test:9000@evil.test/base/x", None),
        ("http://user@up.test:9000/base/x", None),
        ("ftp://up.test:9000/base/x", None),
        ("/elsewhere", None),
        ("/basement", None),
        ("x", None),
        ("../x", None),
        ("?y", None),
        ("", None),
        ("http://up.test:x/base", None),
        ("mailto:/base/x", None),
        ("/base/\xe9", None),
    ],
)
def test_rewrites_locations_at_the_upstream(location: str, expected: str | None) -> None:
    hosts = (host_and_port("http://up.test:9000"), host_and_port("//sent.test"))
    found = rewritten(location.encode("latin-1"), hosts=hosts, prefix="/base", added="/api")
    assert found.decode("latin-1") == (location if expected is None else expected)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://up.test", "/api"),
        ("//up.test?y", "/api?y"),
        ("/", "/api/"),
        ("/x", "/api/x"),
        # Relative to the URL of the caller's request
        ("?y", None),
        ("#z", None),
        ("", None),
        ("x", None),
    ],
)
def test_rewrites_locations_of_an_upstream_without_a_path(
    location: str, expected: str | None
) -> None:
    found = rewritten(location.encode(), hosts=("up.test",), prefix="", added="/api")
    assert found.decode() == (location if expected is None else expected)


@pytest.mark.parametrize("path", ["//evil.test/x", "/\\evil.test/x"])
def test_rewritten_locations_never_point_to_another_host(path: str) -> None:
    for location in (f"http://up.test{path}", f"http://up.test/base{path}"):
        prefix = "/base" if "/base" in location else ""
        found = rewritten(location.encode(), hosts=("up.test",), prefix=prefix, added="")
        assert found.decode() in {f"/.{path}", location}


def test_rewrites_locations_only_with_rewrite_location(
    backends: Backends, http: requests.Session
) -> None:
    there = "/base/made?x=1"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    message = (
        b"HTTP/1.1 201 Created\r\nLocation: %b\r\nContent-Location: %b\r\nContent-Length: 0\r\n\r\n"
        % (f"{url}{there}".encode(), there.encode())
    )
    with FaultServer(raw(message), port=port) as server:
        upstream = f'"{server.url}/base"'
        config = backends.write(
            backends.provider()
            + backends.route("plain", upstream=upstream, strip_path="true")
            + backends.route("led", upstream=upstream, strip_path="true", rewrite_location="true")
        )
        with gateway(config) as run:
            plain = http.get(f"{run.url}/plain/x", headers=ACME, timeout=PATIENCE)
            led = http.get(f"{run.url}/led/x", headers=ACME, timeout=PATIENCE)
    assert plain.headers["location"] == f"{url}{there}"
    assert led.headers["location"] == "/led/made?x=1"
    assert led.headers["content-location"] == "/led/made?x=1"


# --- CORS preflights ------------------------------------------------------------------------------

PREFLIGHT = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}


def test_forwards_preflights_without_a_token_only_with_forward_preflight(
    backends: Backends, http: requests.Session
) -> None:
    config = backends.write(
        backends.provider()
        + backends.route("closed")
        + backends.route("shared", forward_preflight="true")
        + '[authorize]\nlisten = "127.0.0.1:0"\n'
    )
    with gateway(config) as run:

        def send_request(path: str, method: str = "OPTIONS", **headers: str) -> int:
            response = http.request(method, f"{run.url}{path}", headers=headers, timeout=PATIENCE)
            return response.status_code

        assert send_request("/closed", **PREFLIGHT) == 403
        assert backends.echo.requests == []
        spoofed = {"Authorization": "Bearer from-caller", "X_Tenant": "acme"}
        assert send_request("/shared/x", **PREFLIGHT, **spoofed) == 200
        (seen,) = backends.echo.requests
        headers = dict(seen["headers"])
        assert (seen["method"], headers["origin"]) == ("OPTIONS", PREFLIGHT["Origin"])
        assert not {"authorization", "x_tenant"} & headers.keys()
        # Other requests require a tenant
        assert send_request("/shared/x", "POST", **PREFLIGHT) == 403
        assert send_request("/shared/x", Origin=PREFLIGHT["Origin"]) == 403
        assert send_request("/shared/x", **{"Access-Control-Request-Method": "POST"}) == 403

        def authorize(path: str, **headers: str) -> requests.Response:
            return http.get(f"{run.authorize}{path}", headers=headers, timeout=PATIENCE)

        described = {"X-Forwarded-Host": "localhost", **PREFLIGHT}
        for path, uri, method in (
            ("/nginx", "X-Original-URI", "X-Original-Method"),
            ("/forward-auth", "X-Forwarded-Uri", "X-Forwarded-Method"),
        ):
            passed = authorize(path, **described, **{uri: "/shared/x", method: "OPTIONS"})
            assert (passed.status_code, "authorization" in passed.headers) == (200, False)
            assert (
                authorize(path, **described, **{uri: "/shared", method: "POST"}).status_code == 403
            )
            assert (
                authorize(path, **described, **{uri: "/closed", method: "OPTIONS"}).status_code
                == 403
            )
