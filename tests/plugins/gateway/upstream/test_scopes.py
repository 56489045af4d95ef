"""The middleware with unusual scopes and streams."""

from __future__ import annotations

import io
from typing import Any

import pytest

from grantway_plugins.gateway.upstream import (
    AsgiUpstreamAuth,
    RequestContext,
    UpstreamAuth,
    WsgiUpstreamAuth,
    from_header,
    single,
)
from grantway_plugins.gateway.upstream._replayable_input import ReplayableInput
from tests.plugins.gateway.upstream.test_rules import Given, route


def drive(call: Any) -> None:
    """Run a coroutine that must not suspend."""
    with pytest.raises(StopIteration):
        call.send(None)


class App:
    """An application that records its calls."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)


class Sent(list[Any]):
    """Records sent messages."""

    async def __call__(self, message: Any) -> None:
        self.append(message)


async def nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


def scope(path: str, **more: Any) -> dict[str, Any]:
    wanted = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"x")]}
    return {**wanted, **more}


def carried(app: App) -> bytes | None:
    found: bytes | None = dict(app.scopes[0]["headers"]).get(b"authorization")
    return found


def test_a_fresh_token_needs_no_await() -> None:
    app = App()
    middleware = AsgiUpstreamAuth(app, UpstreamAuth([route("r")]))
    drive(middleware(scope("/a"), nothing, Sent()))
    assert carried(app) == b"Bearer token-of-*"


def test_adds_a_token_to_a_websocket_or_closes_it() -> None:
    app, sent = App(), Sent()
    incoming = [(b"host", b"x"), (b"authorization", b"Bearer from-caller")]
    rules = UpstreamAuth([route("r"), route("t", path="/t", tenant=from_header("X-Tenant"))])
    middleware = AsgiUpstreamAuth(app, rules)
    drive(middleware(scope("/a", type="websocket", headers=incoming), nothing, sent))
    assert [each for each in app.scopes[0]["headers"] if each[0] == b"authorization"] == [
        (b"authorization", b"Bearer token-of-*")
    ]
    drive(middleware(scope("/t", type="websocket"), nothing, sent))
    assert len(app.scopes) == 1
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_passes_lifespan_events_on_unchanged() -> None:
    app = App()
    drive(AsgiUpstreamAuth(app, UpstreamAuth([route("r")]))({"type": "lifespan"}, nothing, Sent()))
    assert app.scopes == [{"type": "lifespan"}]


@pytest.mark.parametrize(
    ("path", "raw", "forwarded"),
    [
        ("/a b", None, b"/a%20b"),
        ("/orders", b"/%6frders?x=1", b"/orders"),
        ("/changed", b"/orders", b"/changed"),
        ("/é", b"/%C3%A9", b"/%C3%A9"),
    ],
)
def test_forwards_the_path_that_was_matched(path: str, raw: bytes | None, forwarded: bytes) -> None:
    app = App()
    more = {} if raw is None else {"raw_path": raw}
    drive(AsgiUpstreamAuth(app, UpstreamAuth([route("r")]))(scope(path, **more), nothing, Sent()))
    assert app.scopes[0]["raw_path"] == forwarded
    seen: list[Any] = []

    def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": "x=1",
        "wsgi.input": io.BytesIO(),
        **({} if raw is None else {"RAW_URI": raw.decode("latin-1")}),
    }
    middleware: Any = WsgiUpstreamAuth(wsgi_app, UpstreamAuth([route("r")]))
    middleware(environ, lambda *_said: None)
    if raw is not None:
        assert seen[0]["RAW_URI"] == f"{forwarded.decode()}?x=1"
    assert seen[0]["HTTP_AUTHORIZATION"] == "Bearer token-of-*"


@pytest.mark.parametrize("hosts", [[b"a", b"b"], [b"a,b"]])
def test_rejects_two_host_headers(hosts: list[bytes]) -> None:
    app, sent = App(), Sent()
    middleware = AsgiUpstreamAuth(app, UpstreamAuth([route("r")]))
    drive(middleware(scope("/", headers=[(b"host", each) for each in hosts]), nothing, sent))
    assert (app.scopes, sent[0]["status"]) == ([], 400)


def test_removes_other_spellings_of_the_token_header() -> None:
    app = App()
    rules = UpstreamAuth([route("r", header="X-Api-Key", scheme="", credential=Given)])
    incoming = [(b"host", b"x"), (b"x_api_key", b"from-caller"), (b"x_other", b"1")]
    drive(AsgiUpstreamAuth(app, rules)(scope("/", headers=incoming), nothing, Sent()))
    assert app.scopes[0]["headers"] == [
        (b"host", b"x"),
        (b"x_other", b"1"),
        (b"x-api-key", b"token-of-*"),
    ]


def test_no_tenant_can_use_the_name_of_the_shared_token() -> None:
    assert single()(RequestContext.of("", "/")) == "*"


# --- Bodies that can be read twice -----------------------------------------------------------


def kept(body: bytes, limit: int = 100, **environ: Any) -> ReplayableInput:
    # The bytes after the body belong to the next request.
    stream = io.BytesIO(body + b"next request")
    return ReplayableInput(
        {"wsgi.input": stream, "CONTENT_LENGTH": str(len(body)), **environ}, limit
    )


def test_reads_a_body_twice_and_never_past_its_end() -> None:
    body = kept(b"one\ntwo\nthree")
    assert (body.read(2), body.readline(), body.read(0)) == (b"on", b"e\n", b"")
    assert body.whole
    body.rewind()
    assert (body.readline(), body.read(6), body.readlines()) == (b"one\n", b"two\nth", [b"ree"])
    assert (body.read(), body.read(5), body.readline()) == (b"", b"", b"")


def test_reads_lines_like_a_file_after_a_rewind() -> None:
    body = kept(b"one\ntwo\nthree")
    assert list(body) == [b"one\n", b"two\n", b"three"]
    body.rewind()
    assert list(body) == [b"one\n", b"two\n", b"three"]
    body = kept(b"one\ntwo")
    assert (body.readline(2), body.readline(50), body.readline(50)) == (b"on", b"e\n", b"two")


def test_reads_a_body_over_the_limit_only_once() -> None:
    body = kept(b"x" * 101)
    assert (body.read(100), body.whole) == (b"x" * 100, True)
    assert (body.read(), body.whole) == (b"x", False)


def test_a_body_without_a_length_needs_a_server_that_ends_the_input() -> None:
    assert kept(b"x", CONTENT_LENGTH="").read() == b""
    ended = kept(b"x", CONTENT_LENGTH="", **{"wsgi.input_terminated": True})
    assert ended.read() == b"xnext request"
