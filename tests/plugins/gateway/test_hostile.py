"""Malformed and malicious requests get a valid response, and nothing is sent upstream."""

from __future__ import annotations

import io
import json
import resource
import socket
import string
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import HealthCheck, given, settings, strategies as st

from grantway.testing import faults
from grantway_plugins.gateway import TokenEndpoint
from grantway_plugins.gateway._inbound.streams import length_of, read_stream
from grantway_plugins.server._http.asgi import DRAINED, BodyProblem
from grantway_plugins.server._http.wire import BODY_CAP
from tests.plugins.gateway.conftest import COUPON, FORM, JSON, OURS, SHOP, THEIRS, Brokered, Serve
from tests.plugins.gateway.frameworks import ASGI, FRAMEWORKS
from tests.raw_http import read_response
from tests.waiting import PATIENCE, until

each_framework = pytest.mark.parametrize("framework", FRAMEWORKS)
ASK = b"grant_type=client_credentials&client_id=shop&client_secret=" + THEIRS.encode()
AWS = {
    "grantType": "refresh_token",
    "refreshToken": "rt",
    "clientId": "shop",
    "clientSecret": THEIRS,
}
POLL = {**AWS, "grantType": "urn:ietf:params:oauth:grant-type:device_code"}


def post(http: requests.Session, url: str, body: Any, content_type: str) -> requests.Response:
    return http.post(url, data=body, headers={"content-type": content_type}, timeout=20)


def assert_error(response: requests.Response, status: int, content_type: str) -> None:
    assert (response.status_code, response.json()["error"]) == (status, "invalid_request"), (
        response.text
    )
    assert response.headers["cache-control"] == "no-store"
    if content_type == JSON:
        assert response.headers["x-amzn-errortype"] == "InvalidRequestException"
        assert response.json()["message"] == response.json()["error_description"]


@each_framework
@pytest.mark.parametrize("content_type", [FORM, JSON])
def test_rejects_a_body_over_the_limit(
    framework: str, content_type: str, brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    backend, server = brokered(faults.respond())
    url = serve(framework, TokenEndpoint(backend))
    for size in (BODY_CAP + 1, 500_000):
        assert_error(post(http, url, b"a" * size, content_type), 413, content_type)
    fits = ASK + b"&x=" + b"a" * (BODY_CAP - len(ASK) - 3)
    assert post(http, url, fits, FORM).status_code == 200
    assert len(server.requests) == 1


@pytest.mark.parametrize("framework", [*ASGI, "flask"])
def test_rejects_a_chunked_body_over_the_limit(
    framework: str, brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    def pieces(count: int) -> Iterator[bytes]:
        yield ASK + b"&x="
        for _ in range(count):
            yield b"a" * 10_000

    backend, _ = brokered(faults.respond())
    url = serve(framework, TokenEndpoint(backend))
    assert_error(post(http, url, pieces(7), FORM), 413, FORM)
    assert post(http, url, pieces(6), FORM).status_code == 200


def test_rejects_a_chunked_body_if_the_server_does_not_decode_it(
    brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    backend, server = brokered(faults.respond())
    url = serve("wsgi", TokenEndpoint(backend))
    assert_error(post(http, url, iter([ASK]), FORM), 411, FORM)
    assert not server.requests


def head(url: str, *lines: str) -> bytes:
    own = (f"POST {urlsplit(url).path} HTTP/1.1", "Host: 127.0.0.1", *lines)
    return "\r\n".join(own).encode("latin-1") + b"\r\n\r\n"


def raw(url: str, sent: bytes) -> bytes:
    """Send bytes, leave the connection open, and return the whole response."""
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=PATIENCE) as sock:
        sock.sendall(sent)
        return read_response(sock)


@pytest.mark.parametrize("framework", ASGI)
@pytest.mark.parametrize("start", [b"", b"grant_type=x"])
def test_rejects_a_body_that_is_not_sent_in_time(
    framework: str, start: bytes, brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    backend, server = brokered(faults.respond())
    url = serve(framework, TokenEndpoint(backend, body_seconds=0.3))
    sent = head(url, f"Content-Type: {FORM}", "Content-Length: 500") + start
    assert raw(url, sent).startswith(b"HTTP/1.1 408 ")
    assert not server.requests
    # On a busy machine, a body that is sent at once may also be late.
    until(lambda: post(http, url, ASK, FORM).status_code == 200)


def test_serves_requests_next_to_a_thousand_silent_connections(
    brokered: Brokered, serve: Serve, http: requests.Session, many_files: None
) -> None:
    backend, _ = brokered(faults.respond())
    url = serve("starlette", TokenEndpoint(backend))
    start = head(url, f"Content-Type: {FORM}", "Content-Length: 500")
    with ExitStack() as held:
        for number in range(1000):
            idle = socket.create_connection(
                ("127.0.0.1", urlsplit(url).port or 0), timeout=PATIENCE
            )
            held.enter_context(idle)
            if number % 2:  # every other one starts a request and sends no more
                idle.sendall(start)
        assert post(http, url, ASK, FORM).status_code == 200


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allow both ends of a thousand connections as open files of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_rejects_a_body_that_ends_early(brokered: Brokered, serve: Serve) -> None:
    backend, server = brokered(faults.respond())
    for framework in ("wsgi", "flask", "django"):
        url = serve(framework, TokenEndpoint(backend))
        with socket.create_connection(
            ("127.0.0.1", urlsplit(url).port or 0), timeout=PATIENCE
        ) as sock:
            sock.sendall(head(url, f"Content-Type: {FORM}", "Content-Length: 500") + ASK)
            sock.shutdown(socket.SHUT_WR)
            assert read_response(sock).split(b" ")[1] == b"400", framework
    assert not server.requests


BAD = [
    (b"grant_type=refresh_token&grant_type=client_credentials", FORM),
    (ASK + b"&refresh_token=a&refresh_token=b", FORM),
    (ASK + b"&client_id=other", FORM),
    (ASK + b"&unknown=1&unknown=2", FORM),
    (b"refresh_token=rt", FORM),
    (b"grant_type=", FORM),
    (b"", FORM),
    (b"grant_type", FORM),
    (b"grant_type=%ff", FORM),
    (b"grant_type=\xff\xfe", FORM),
    (json.dumps(AWS).encode(), FORM),
    (ASK, JSON),
    (b'{"grantType": "a", "grantType": "b"}', JSON),
    (b'{"grantType": "refresh_token", "grant_type": "refresh_token"}', JSON),
    (b'{"grantType": ["refresh_token"]}', JSON),
    (b'{"grantType": {"a": "b"}}', JSON),
    (b'{"grantType": "refresh_token", "clientId": ["shop"]}', JSON),
    (json.dumps({**AWS, "refreshToken": ["rt"]}).encode(), JSON),
    (json.dumps({**AWS, "refreshToken": {"rt": 1}}).encode(), JSON),
    (json.dumps({**POLL, "deviceCode": "r\0t"}).encode(), JSON),
    (json.dumps({**POLL, "deviceCode": "rt\r\nX-Evil: 1"}).encode(), JSON),
    (json.dumps({**POLL, "deviceCode": "\ud800"}).encode(), JSON),
    (json.dumps({**AWS, "clientSecret": "\ud800"}).encode(), JSON),
    (b"[" * 60_000, JSON),
    (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, JSON),
    (b'{"grantType": NaN}', JSON),
    (b'{"grantType": "\xff"}', JSON),
    (b"[]", JSON),
    (b"null", JSON),
    (b"", JSON),
]


@pytest.mark.parametrize("framework", ["fastapi", "flask"])
@pytest.mark.parametrize(("body", "content_type"), BAD)
def test_names_invalid_input_and_sends_nothing(
    framework: str,
    body: bytes,
    content_type: str,
    brokered: Brokered,
    serve: Serve,
) -> None:
    backend, server = brokered(faults.respond())
    url = serve(framework, TokenEndpoint(backend))
    response = requests.post(
        url, data=body, headers={"content-type": content_type}, timeout=PATIENCE
    )
    assert_error(response, 400, content_type)
    assert THEIRS not in response.text
    assert not server.requests


@each_framework
def test_rejects_other_content_types(
    framework: str, brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    backend, server = brokered(faults.respond())
    url = serve(framework, TokenEndpoint(backend))
    for content_type in ("text/plain", "multipart/form-data; boundary=x", f"{JSON}, {FORM}", "x"):
        assert_error(post(http, url, ASK, content_type), 415, content_type)
    assert_error(post(http, url, ASK, ""), 415, "")
    assert not server.requests
    for content_type in (f"{FORM}; charset=UTF-8", FORM.upper()):
        assert post(http, url, ASK, content_type).status_code == 200


@pytest.mark.parametrize("framework", ASGI)
@pytest.mark.parametrize(
    "twice",
    [
        ("Content-Type: application/json", f"Content-Type: {FORM}"),
        (f"Content-Type: {FORM}", "Authorization: Basic c2hvcDp4", "authorization: Basic eDp5"),
    ],
)
def test_rejects_repeated_headers(
    framework: str, twice: tuple[str, ...], brokered: Brokered, serve: Serve
) -> None:
    backend, server = brokered(faults.respond())
    url = serve(framework, TokenEndpoint(backend))
    response = raw(url, head(url, *twice, f"Content-Length: {len(ASK)}") + ASK)
    assert response.startswith(b"HTTP/1.1 400 ")
    assert b"header is repeated; send it once" in response
    assert not server.requests


@pytest.mark.parametrize("framework", ["wsgi", "flask", "django"])
@pytest.mark.parametrize("first", ["Basic c2hvcDp4", "Bearer x"])
def test_rejects_two_authorization_headers_under_wsgi(
    framework: str, first: str, brokered: Brokered, serve: Serve
) -> None:
    backend, server = brokered(faults.respond())
    url = serve(framework, TokenEndpoint(backend))
    twice = (f"Authorization: {first}", "Authorization: Basic eDp5")
    body = b"grant_type=client_credentials&client_id=kiosk"
    lines = (f"Content-Type: {FORM}", *twice, f"Content-Length: {len(body)}")
    response = raw(url, head(url, *lines) + body)
    assert response.split(b" ")[1] == b"400", response
    assert b"The Authorization header is repeated" in response
    assert not server.requests


@pytest.mark.parametrize("framework", ["asgi", "wsgi"])
@pytest.mark.parametrize(
    "authorization",
    ["Basic", "Basic !", "Basic c2hvcA==", "Basic /w==", "basic " + "A" * 4000],
)
def test_rejects_a_malformed_basic_header(
    framework: str, authorization: str, brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    backend, server = brokered(faults.respond())
    url = serve(framework, TokenEndpoint(backend))
    headers = {"content-type": FORM, "authorization": authorization}
    response = http.post(url, data=b"grant_type=client_credentials", headers=headers)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert not server.requests


def test_injected_separators_stay_inside_their_parameter(
    brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    backend, server = brokered(faults.respond())
    url = serve("asgi", TokenEndpoint(backend))
    token = "rt&client_id=evil&grant_type=x%0d%0a"
    sealed = backend.bind("shop", token)
    data = {"grant_type": "refresh_token", "refresh_token": sealed, **SHOP}
    assert http.post(url, data=data).status_code == 200
    assert server.requests[0].form == {"grant_type": ["refresh_token"], "refresh_token": [token]}
    # The query is ignored (RFC 6749 section 2.3.1).
    response = http.post(f"{url}?client_id=shop&client_secret={THEIRS}", data={"grant_type": "x"})
    assert response.status_code == 401


def test_a_parameter_may_be_repeated_only_in_its_own_grant(
    brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    backend, server = brokered(faults.respond())
    url = serve("asgi", TokenEndpoint(backend))
    two = [("resource", "https://a.example/"), ("resource", "https://b.example/")]
    params = [("grant_type", "client_credentials"), *SHOP.items()]
    assert http.post(url, data=[*params, *two]).status_code == 200
    assert server.requests[-1].form["resource"] == ["https://a.example/", "https://b.example/"]
    members = {"grantType": "client_credentials", "resource": [each for _, each in two]}
    mine = {"clientId": "shop", "clientSecret": THEIRS}
    assert http.post(url, json={**members, **mine}).status_code == 200
    twice = http.post(url, data=[*params, ("scope", "a"), ("scope", "b")])
    assert_error(twice, 400, FORM)


# --- any bytes ----------------------------------------------------------------------------------

FUZZ = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=50),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["clientId", "clientSecret", "grantType", "refreshToken", "code", "scope", "resource", "extra"]
) | st.text(max_size=8)
WELL_FORMED = st.fixed_dictionaries(
    {},
    optional={
        "grantType": st.sampled_from(["refresh_token", "client_credentials", COUPON.grant_type]),
        "clientId": st.sampled_from(["shop", "kiosk"]),
        "clientSecret": st.just(THEIRS),
        "refreshToken": st.just("rt"),
    },
)
LATIN = st.text(st.characters(max_codepoint=255), max_size=40)


def sound(endpoint: TokenEndpoint, headers: dict[str, str], body: bytes) -> None:
    response = endpoint.respond("POST", headers, body)
    assert response.status in {200, 400, 401, 413, 415}, response.body
    payload = json.loads(response.body)
    assert (response.status == 200) == ("error" not in payload)
    assert response.headers["cache-control"] == "no-store"
    for name, value in response.headers.items():
        assert set(name + value) <= set(string.printable) - set("\r\n\x0b\x0c"), name
    assert OURS.encode() not in response.body
    if "error" in payload:
        assert set(payload["error_description"]) <= set(string.printable) - set('\\"\r\n\t\x0b\x0c')


@FUZZ
@given(content_type=st.sampled_from([FORM, JSON]) | LATIN, auth=LATIN, body=st.binary())
def test_any_bytes_get_a_valid_response(
    content_type: str, auth: str, body: bytes, brokered: Brokered
) -> None:
    backend, _ = brokered(faults.respond())
    sound(TokenEndpoint(backend), {"Content-Type": content_type, "Authorization": auth}, body)


@FUZZ
@given(known=WELL_FORMED, more=st.dictionaries(NAMES, VALUES, max_size=5))
def test_any_json_object_gets_a_valid_response(
    known: dict[str, Any], more: dict[str, Any], brokered: Brokered
) -> None:
    backend, _ = brokered(faults.respond())
    body = json.dumps({**known, **more}).encode()
    sound(TokenEndpoint(backend), {"Content-Type": JSON}, body)


class Pieces:
    """A stream that returns pieces of arbitrary size, up to the requested size."""

    def __init__(self, body: bytes, sizes: list[int]) -> None:
        self._body, self._sizes = io.BytesIO(body), sizes
        self.params = 0

    def read(self, size: int, /) -> bytes:
        piece = self._body.read(min(size, self._sizes.pop() if self._sizes else size))
        self.params += len(piece)
        return piece


@FUZZ
@given(
    size=st.integers(0, 3 * BODY_CAP) | st.integers(DRAINED - 2, DRAINED + 2),
    length=st.none() | st.integers(0, 2 * DRAINED),
    sizes=st.lists(st.integers(1, BODY_CAP), max_size=20),
)
def test_returns_a_complete_body_or_a_problem(
    size: int, length: int | None, sizes: list[int]
) -> None:
    body = bytes(size)
    stream = Pieces(body, sizes)
    taken = read_stream(stream, length)
    assert stream.params <= DRAINED
    if length is not None:
        assert stream.params <= length
        whole = body[:length] if len(body) >= length else None
    else:
        whole = body
    if whole is not None and len(whole) <= BODY_CAP:
        assert taken == whole
    else:
        assert isinstance(taken, BodyProblem)


@given(st.text(max_size=30) | st.integers().map(str))
def test_parses_a_content_length_or_returns_a_problem(given_length: str) -> None:
    length = length_of(given_length)
    if isinstance(length, int):
        assert length == int(given_length.strip(" \t")) >= 0
    else:
        assert isinstance(length, BodyProblem)


@pytest.mark.parametrize(("raised", "status"), [(TimeoutError(), 408), (ConnectionError(), 400)])
def test_responds_with_400_if_the_stream_fails(
    raised: Exception, status: int, brokered: Brokered
) -> None:
    class Breaks:
        def read(self, size: int, /) -> bytes:
            raise raised

    backend, _ = brokered(faults.respond())
    response = TokenEndpoint(backend).respond("POST", {"Content-Type": FORM}, Breaks())
    assert response.status == status
