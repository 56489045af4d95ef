"""The HTTP codec: however a response is split or cut, its result is the same or an error."""

from __future__ import annotations

import gzip
import http.client
import io
import traceback
from contextlib import nullcontext

import pytest
from hypothesis import given, settings, strategies as st

from grantway._exceptions import RequestInvalidError
from grantway._transport.codec import (
    MAX_HEAD,
    MAX_HEADERS,
    InvalidResponseError,
    ResponseParser,
    encode_request,
)
from grantway._transport.http import HttpRequest
from grantway._transport.network import Network
from grantway._transport.route import route_to

BODY = b'{"access_token": "at-1"}'
LIMIT = 1000


def parse(*pieces: bytes, ended: bool = False, head_only: bool = False) -> ResponseParser:
    """Feed pieces as the transport does: until the response is complete."""
    parser = ResponseParser(LIMIT, head_only=head_only)
    for piece in pieces:
        if piece and not parser.complete and not parser.too_large:
            parser.feed(piece)
    if ended and not parser.complete:
        parser.end()
    return parser


def chunked(body: bytes, size: int, trailers: bytes = b"") -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + (
        b"0\r\n" + trailers + b"\r\n"
    )


def message(*lines: bytes, body: bytes = b"", status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"".join(line + b"\r\n" for line in (status, *lines)) + b"\r\n" + body


SIZED = message(b"Content-Length: 24", b"X-A: 1", b"x-a: 2", body=BODY)
CHUNKED = message(b"Transfer-Encoding: chunked", b"X-A: 1, 2", body=chunked(BODY, 5, b"T: x\r\n"))
CONTINUED = message(b"X-A: no", status=b"HTTP/1.1 100 Continue") + SIZED
CLOSED = message(b"Connection: close", b"Content-Length: 24", b"X-A:  1, 2 ", body=BODY)
UNTIL_CLOSE = message(b"X-A: 1, 2", body=BODY, status=b"HTTP/1.0 200 OK")
COMPLETE = pytest.mark.parametrize(
    "whole",
    [SIZED, CHUNKED, CONTINUED, CLOSED],
    ids=["length", "chunked", "100 first", "connection: close"],
)


@COMPLETE
@settings(max_examples=25)
@given(data=st.data())
def test_the_result_does_not_depend_on_how_the_bytes_arrive(
    whole: bytes, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    parser = parse(
        *(whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)), ended=True
    )
    assert (parser.status, parser.body, parser.headers["x-a"]) == (200, BODY, "1, 2")
    assert parser.reusable is (b"close" not in whole)


@COMPLETE
def test_a_response_cut_at_any_byte_is_an_error(whole: bytes) -> None:
    for cut in range(len(whole)):
        with pytest.raises(InvalidResponseError, match=r"truncated|without a response"):
            parse(whole[:cut], ended=True)


def test_a_response_without_a_length_ends_with_the_connection() -> None:
    assert not parse(UNTIL_CLOSE).complete
    parser = parse(UNTIL_CLOSE, ended=True)
    assert (parser.body, parser.reusable) == (BODY, False)
    with pytest.raises(InvalidResponseError, match="truncated"):
        parse(UNTIL_CLOSE[: UNTIL_CLOSE.index(b"\r\n\r\n")], ended=True)


def test_a_response_that_anyone_may_have_cut_must_show_its_end() -> None:
    for body, complete in [
        (b"access_token=at&refresh_token=r", False),
        (b' {"access_token": "at"}', True),
        (gzip.compress(b"access_token=at"), True),
    ]:
        parser = parse(b"HTTP/1.1 200 OK\r\n\r\n" + body)
        with nullcontext() if complete else pytest.raises(InvalidResponseError, match="truncated"):
            parser.end(cut=True)
        assert parser.complete is complete


@pytest.mark.parametrize(
    "junk", [b"junk", b"\0", b"HTTP/1.1 200 OK\r\nX: 1\r\n\r\nmore", SIZED, b"HTT"]
)
@pytest.mark.parametrize("whole", [SIZED, CHUNKED, CLOSED])
def test_bytes_after_a_response_change_nothing_but_the_connection(
    whole: bytes, junk: bytes
) -> None:
    parser = parse(whole + junk)
    assert (parser.complete, parser.status, parser.body) == (True, 200, BODY)
    assert parser.headers["x-a"] == "1, 2"
    assert not parser.reusable


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_some_statuses_have_no_body(status: bytes) -> None:
    parser = parse(message(b"Content-Length: 5", status=b"HTTP/1.1 " + status))
    assert (parser.complete, parser.body, parser.reusable) == (True, b"", True)


def test_a_response_to_head_or_connect_has_no_body() -> None:
    for lines in ([b"Content-Length: 5"], [b"Transfer-Encoding: chunked"], []):
        parser = parse(message(*lines, body=b"ignored"), head_only=True)
        assert (parser.complete, parser.body, parser.reusable) == (True, b"", False)


@pytest.mark.parametrize(
    "whole",
    [
        message(b"Content-Length: 3", b"Content-Length: 24", body=BODY),
        message(b"Content-Length: 3, 24", body=BODY),
        message(b"Content-Length: -1", body=BODY),
        message(b"Content-Length: 0x18", body=BODY),
        message(b"Content-Length: 9999999999999999999999", body=BODY),
        message(b"Transfer-Encoding: chunked", body=b"zz\r\n"),
        message(b"Transfer-Encoding: chunked", body=b"5\r\nabcdefgh\r\n"),
        message(b"X Y: 1", b"Content-Length: 24", body=BODY),
        message(b"no colon", b"Content-Length: 24", body=BODY),
        message(b"Upgrade: x", b"Connection: upgrade", status=b"HTTP/1.1 101 Switching"),
        message(b"X-A: 1", status=b"HTTP/1.1 101 Switching"),
        message(status=b"HTTP/2 200"),
        message(status=b"HTTP/1.1 20"),
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",
        message(*(b"X: 1" for _ in range(MAX_HEADERS + 1))),
        message(b"X: " + b"x" * MAX_HEAD),
        message(*(b"X: " + b"x" * 1000 for _ in range(70))),
    ],
)
def test_an_invalid_response_is_an_error(whole: bytes) -> None:
    with pytest.raises(InvalidResponseError):
        parse(whole, ended=True)


@pytest.mark.parametrize(
    "endless",
    [
        [b"HTTP/1.1 200 OK\r\nX: ", b"x" * 50_000],
        [b"HTTP/1.1 200 ", b"x" * 50_000],
        [b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000],
        [message(b"Transfer-Encoding: chunked") + b"1;", b"x" * 50_000],
        [message(b"Transfer-Encoding: chunked") + b"0\r\nT: ", b"x" * 50_000],
    ],
    ids=["header", "reason", "100", "chunk extension", "trailer"],
)
def test_an_endless_head_or_framing_is_an_error(endless: list[bytes]) -> None:
    first, repeated = endless
    with pytest.raises(InvalidResponseError):
        parse(first, *(repeated for _ in range(20)))


def test_a_body_larger_than_the_limit_is_dropped() -> None:
    fits = parse(message(b"Content-Length: 1000", body=b"x" * LIMIT))
    assert (fits.complete, fits.too_large) == (True, False)
    for whole in (
        message(b"Content-Length: 1001", body=b"x" * (LIMIT + 1)),
        message(b"Transfer-Encoding: chunked", body=chunked(b"x" * (LIMIT + 1), 100)),
        message(body=b"x" * (LIMIT + 1)),
    ):
        parser = parse(whole)
        assert (parser.too_large, parser.status) == (True, 200)


def test_single_bytes_in_chunks_are_a_valid_response() -> None:
    parser = parse(message(b"Transfer-Encoding: chunked", body=chunked(b"x" * LIMIT, 1)))
    assert parser.body == b"x" * LIMIT


@pytest.mark.parametrize(
    "whole",
    [
        message(b"X: a", b" b", b"Content-Length: 24", body=BODY),
        message(b"X: a b\x01\xff", b"Content-Length: 24", body=BODY),
        message(b"Content-Length: 24", b"Transfer-Encoding: chunked", body=chunked(BODY, 24)),
        message(b"Transfer-Encoding: chunked", body=b"18  \r\n" + BODY + b"\r\n0\r\n\r\n"),
        message(b"Content-Length: 24", body=BODY, status=b"HTTP/1.1 200"),
        b"\r\n" + message(b"Content-Length: 24", body=BODY),
        message(b"Content-Length: 24", body=BODY).replace(b"\r\n", b"\n"),
    ],
    ids=["folded", "bytes", "two lengths", "spaces", "no reason", "empty line", "line feeds"],
)
def test_accepts_the_deviations_that_browsers_accept(whole: bytes) -> None:
    parser = parse(whole)
    assert (parser.complete, parser.body) == (True, BODY)
    assert parser.headers.get("x", "a b").startswith("a b")
    assert parser.reusable is not (b"Length" in whole and b"Encoding" in whole)


TOKENS = st.text("ABCabc-_.09", min_size=1, max_size=8)


@settings(max_examples=40)
@given(
    headers=st.dictionaries(
        TOKENS.map(lambda name: f"X-{name}"),
        st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=20),
        max_size=5,
    ),
    body=st.binary(max_size=50),
    path=st.text(max_size=20),
)
def test_another_implementation_reads_the_encoded_request(
    headers: dict[str, str], body: bytes, path: str
) -> None:
    route = route_to(f"https://as.example/{path}".split("#")[0], Network(trust_env=False))
    encoded = encode_request(
        HttpRequest("POST", "", headers, body), route, "User-Agent: grantway\r\n"
    )
    stream = io.BytesIO(encoded.data)
    method, target, version = stream.readline().decode("ascii").split(" ")
    assert (method, version) == ("POST", "HTTP/1.1\r\n")
    assert target.startswith("/")
    seen = http.client.parse_headers(stream)
    assert seen.get_all("Host") == ["as.example"]
    assert seen.get_all("Content-Length") == [str(len(body))]
    for name, value in headers.items():
        same = [v for n, v in headers.items() if n.lower() == name.lower()]
        assert [each.strip(" \t") for each in same] == [
            each.strip(" \t") for each in seen.get_all(name) or []
        ], value
    assert stream.read() == body
    assert encoded.data[encoded.harmless :][-len(body) :] == (body or b"\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-A", "secret\r\nX-B: 1"), ("X-A", "secret\n"), ("X-A", "secret\r"), ("X-A", "secret\u20ac"),
     ("X-A: 1\r\nX-B", "secret"), ("X A", "secret"), ("", "secret")],
)  # fmt: skip
def test_rejects_a_header_that_would_end_early(name: str, value: str) -> None:
    route = route_to("https://as.example/token", Network(trust_env=False))
    with pytest.raises(RequestInvalidError, match="Nothing was sent") as caught:
        encode_request(HttpRequest("POST", "", {name: value}), route, "")
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None
    inside = [frame for frame, _ in traceback.walk_tb(caught.tb)][1:]
    assert inside
    assert not any("secret" in repr(frame.f_locals) for frame in inside)


def test_a_proxy_gets_its_login_whatever_the_host_header() -> None:
    network = Network(trust_env=False, proxies="http://me:pw@127.0.0.1:1")
    route = route_to("http://as.example/", network)
    request = HttpRequest("POST", "", {"Host": "other.example"})
    head = encode_request(request, route, "User-Agent: grantway\r\n").data
    assert b"Host: other.example\r\n" in head
    assert b"Proxy-Authorization: Basic bWU6cHc=\r\n" in head


def test_the_caller_can_set_the_host_and_the_user_agent() -> None:
    route = route_to("http://127.0.0.1:81/token?x=1", Network(trust_env=False))
    given = {"host": "as.example", "USER-AGENT": "mine", "Content-Length": "9"}
    encoded = encode_request(HttpRequest("POST", "", given, b"ab"), route, "User-Agent: x\r\n")
    assert encoded.data.decode().split("\r\n") == [
        "POST /token?x=1 HTTP/1.1",
        "host: as.example",
        "USER-AGENT: mine",
        "Accept-Encoding: identity",
        "Content-Length: 2",
        "",
        "ab",
    ]
