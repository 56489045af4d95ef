"""What the middleware does with scopes and streams that a server sends seldom."""

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
    """Run a coroutine that may not wait for anything."""
    with pytest.raises(StopIteration):
        call.send(None)


class App:
    """An application that remembers how it was called."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)


class Sent(list[Any]):
    """What was sent."""

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


def test_a_fresh_token_comes_without_leaving_the_event_loop() -> None:
    app = App()
    middleware = AsgiUpstreamAuth(app, UpstreamAuth([route("r")]))
    drive(middleware(scope("/a"), nothing, Sent()))
    assert carried(app) == b"Bearer token-of-*"


def test_a_websocket_carries_a_token_and_is_closed_where_it_may_not() -> None:
    app, sent = App(), Sent()
    brought = [(b"host", b"x"), (b"authorization", b"Bearer theirs")]
    rules = UpstreamAuth([route("r"), route("t", path="/t", tenant=from_header("X-Tenant"))])
    middleware = AsgiUpstreamAuth(app, rules)
    drive(middleware(scope("/a", type="websocket", headers=brought), nothing, sent))
    assert [each for each in app.scopes[0]["headers"] if each[0] == b"authorization"] == [
        (b"authorization", b"Bearer token-of-*")
    ]
    drive(middleware(scope("/t", type="websocket"), nothing, sent))
    assert len(app.scopes) == 1
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_life_of_the_application_is_its_own() -> None:
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
def test_the_path_that_was_compared_is_the_one_that_goes_on(
    path: str, raw: bytes | None, forwarded: bytes
) -> None:
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
def test_two_hosts_are_refused(hosts: list[bytes]) -> None:
    app, sent = App(), Sent()
    middleware = AsgiUpstreamAuth(app, UpstreamAuth([route("r")]))
    drive(middleware(scope("/", headers=[(b"host", each) for each in hosts]), nothing, sent))
    assert (app.scopes, sent[0]["status"]) == ([], 400)


def test_what_looks_like_our_header_to_some_servers_is_dropped_as_well() -> None:
    app = App()
    rules = UpstreamAuth([route("r", header="X-Api-Key", scheme="", credential=Given)])
    brought = [(b"host", b"x"), (b"x_api_key", b"theirs"), (b"x_other", b"1")]
    drive(AsgiUpstreamAuth(app, rules)(scope("/", headers=brought), nothing, Sent()))
    assert app.scopes[0]["headers"] == [
        (b"host", b"x"),
        (b"x_other", b"1"),
        (b"x-api-key", b"token-of-*"),
    ]


def test_single_is_nobodys_tenant() -> None:
    assert single()(RequestContext.of("", "/")) == "*"


# --- A body that is kept ------------------------------------------------------------------------


def kept(body: bytes, most: int = 100, **environ: Any) -> ReplayableInput:
    # What stands behind the body belongs to the next request.
    stream = io.BytesIO(body + b"next request")
    return ReplayableInput(
        {"wsgi.input": stream, "CONTENT_LENGTH": str(len(body)), **environ}, most
    )


def test_a_body_is_read_twice_and_never_past_its_end() -> None:
    body = kept(b"one\ntwo\nthree")
    assert (body.read(2), body.readline(), body.read(0)) == (b"on", b"e\n", b"")
    assert body.whole
    body.rewind()
    assert (body.readline(), body.read(6), body.readlines()) == (b"one\n", b"two\nth", [b"ree"])
    assert (body.read(), body.read(5), body.readline()) == (b"", b"", b"")


def test_lines_are_those_of_a_file_also_after_a_rewind() -> None:
    body = kept(b"one\ntwo\nthree")
    assert list(body) == [b"one\n", b"two\n", b"three"]
    body.rewind()
    assert list(body) == [b"one\n", b"two\n", b"three"]
    body = kept(b"one\ntwo")
    assert (body.readline(2), body.readline(50), body.readline(50)) == (b"on", b"e\n", b"two")


def test_what_is_larger_than_the_bound_is_read_once() -> None:
    body = kept(b"x" * 101)
    assert (body.read(100), body.whole) == (b"x" * 100, True)
    assert (body.read(), body.whole) == (b"x", False)


def test_without_a_length_there_is_a_body_only_where_the_server_ends_it() -> None:
    assert kept(b"x", CONTENT_LENGTH="").read() == b""
    ended = kept(b"x", CONTENT_LENGTH="", **{"wsgi.input_terminated": True})
    assert ended.read() == b"xnext request"
