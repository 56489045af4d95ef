"""Selection of tokens by routes, paths, hosts, tenants and headers; sends no request."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import assume, given, strategies as st

import grantway
from grantway._credentials.pool import CredentialPool
from grantway_plugins.auth import Bearer
from grantway_plugins.gateway.upstream import (
    RequestContext,
    RequestRejectedError,
    Route,
    UpstreamAuth,
    from_header,
    from_host,
    from_path,
    from_principal,
    response_for,
    single,
)
from grantway_plugins.gateway.upstream._paths import encoded, normal_path


class Given:
    """A credential with a fresh token."""

    fresh = True
    used = False

    def __init__(self, name: str, kind: str = "Bearer") -> None:
        self._token = grantway.Token(f"token-of-{name}", token_type=kind)

    def token(self, timeout: float | None = None) -> grantway.Token:
        return self._token

    async def token_async(self, timeout: float | None = None) -> grantway.Token:  # noqa: ASYNC109
        return self._token

    def invalidate(self, token: grantway.Token) -> None:
        """Do nothing."""

    def holds_the_only_copy(self) -> bool:
        return False


def route(name: str, **options: Any) -> Route:
    wanted: dict[str, Any] = {
        "provider": "p",
        "credential": Given,
        "tenant": single(),
        "on_failure": "closed",
    }
    return Route(name, **{**wanted, **options})


SEGMENT = st.text("abc.~-", min_size=1, max_size=3).filter(lambda text: text not in {".", ".."})
PATH = st.lists(SEGMENT, max_size=4).map(lambda parts: "/" + "/".join(parts))


# --- Paths ------------------------------------------------------------------------------------


@given(PATH, st.data())
def test_a_path_has_one_normal_form(path: str, data: st.DataObject) -> None:
    assert normal_path(path) == path
    escaped = "".join(
        f"%{ord(each):02X}"
        if each != "/" and data.draw(st.booleans())
        else f"%{ord(each):02x}"
        if each != "/" and data.draw(st.booleans())
        else each
        for each in path
    )
    assert normal_path(escaped) == path


@given(st.text("/.%25fFeEcC;a?#\\ \x00é", max_size=12))
def test_an_accepted_path_has_one_reading(text: str) -> None:
    try:
        path = normal_path(text)
    except RequestRejectedError:
        return
    assert normal_path(path) == path
    # Repeated decoding adds no segment and no dot segment.
    decoded = path
    for _ in range(4):
        decoded = unquote(decoded)
        assert decoded.count("/") == path.count("/")
        assert "\\" not in decoded
        assert "\x00" not in decoded
        assert not {each.partition(";")[0] for each in decoded.split("/")} & {".", ".."}


@pytest.mark.parametrize(
    "path",
    [
        "",
        "*",
        "orders",
        "http://x/orders",
        "//orders",
        "/a//b",
        "/a/../b",
        "/a/.",
        "/..",
        "/%2e%2E/b",
        "/a/.%2e",
        "/a%2fb",
        "/a%2Fb",
        "/a\\b",
        "/a%5cb",
        "/a%00",
        "/a%0d%0aX: y",
        "/a\r\n",
        "/a\n",
        "/a%252e%252e/b",
        "/a%25252fb",
        "/..;/b",
        "/.;x=1/b",
        "/%",
        "/%g0",
        "/a b",
        "/é",
        "/a?b",
        "/a#b",
    ],
)
def test_rejects_an_ambiguous_path(path: str) -> None:
    with pytest.raises(RequestRejectedError) as caught:
        UpstreamAuth([route("all")]).route_for("", path)
    assert caught.value.status == 400
    assert path in {"", "*", "/%"} or path not in str(caught.value)


@pytest.mark.parametrize("path", ["/.well-known/x", "/a;v=1/b", "/a/...", "/a%20b", "/a%3Fb", "/"])
def test_accepts_unusual_but_unambiguous_paths(path: str) -> None:
    assert normal_path(path) == path


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=8))
def test_a_decoded_path_keeps_its_meaning_or_is_rejected(text: str) -> None:
    try:
        path = normal_path(encoded(f"/{text}"))
    except RequestRejectedError:
        return
    assert unquote(path) == f"/{text}"


# --- Routes -----------------------------------------------------------------------------------

HOSTS = st.sampled_from(["", "a.example", "b.example"])


@given(
    st.lists(st.tuples(HOSTS, PATH), min_size=1, max_size=12, unique=True),
    st.sampled_from(["a.example", "b.example", "c.example"]),
    PATH,
    st.booleans(),
    st.randoms(),
)
def test_the_longest_path_of_the_host_wins_in_any_order(
    places: list[tuple[str, str]], host: str, path: str, slash: bool, order: Any
) -> None:
    routes = [route(f"r{at}", host=each, path=under) for at, (each, under) in enumerate(places)]
    path = f"{path}/" if slash and path != "/" else path
    first = UpstreamAuth(routes).route_for(host, path)
    order.shuffle(routes)
    assert UpstreamAuth(routes).route_for(host, path) is first
    fits = [
        each
        for each in routes
        if each.host in {"", host}
        and (each.path in {"/", path} or path.startswith(f"{each.path}/"))
    ]
    expected = max(
        fits, key=lambda each: (each.host != "", len(each.path.strip("/"))), default=None
    )
    assert first is expected


def test_a_route_matches_whole_path_segments() -> None:
    rules = UpstreamAuth([route("orders", path="/orders/"), route("one", path="/orders/1")])
    found = {
        path: getattr(rules.route_for("x", path), "name", None)
        for path in (
            "/orders",
            "/orders/",
            "/orders/2",
            "/orders/1",
            "/orders/1/2",
            "/orders2",
            "/",
        )
    }
    assert found == {
        "/orders": "orders",
        "/orders/": "orders",
        "/orders/2": "orders",
        "/orders/1": "one",
        "/orders/1/2": "one",
        "/orders2": None,
        "/": None,
    }


def test_the_number_of_lookups_does_not_grow_with_the_path() -> None:
    rules = UpstreamAuth([route("orders", path="/a/b")])
    looked: list[str] = []

    class Counting(dict[str, Route]):
        def get(self, key: str, default: Any = None) -> Any:
            looked.append(key)
            return super().get(key, default)

    paths = rules._router._any
    assert paths is not None
    paths._routes = Counting(paths._routes)
    assert rules.route_for("", "/a/b" + "/x" * 4000) is rules.routes[0]
    assert rules.route_for("", "/b" * 4000) is None
    assert len(looked) <= 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"path": "/a"}, {"path": "/a/"}),
        ({"path": "/a"}, {"path": "/%61"}),
        ({"host": "A.example"}, {"host": "a.example"}),
        ({}, {}),
    ],
)
def test_rejects_conflicting_routes_with_both_names(
    one: dict[str, str], other: dict[str, str]
) -> None:
    with pytest.raises(grantway.ConfigurationError, match="'first' and 'second' are both for"):
        UpstreamAuth([route("first", **one), route("second", **other)])
    with pytest.raises(grantway.ConfigurationError, match="two routes are named 'first'"):
        UpstreamAuth([route("first"), route("first", path="/other")])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", "a.example:80"),
        ("host", "a b"),
        ("host", "*.example"),
        ("path", "orders"),
        ("path", "/a/../b"),
        ("path", ""),
        ("provider", ""),
        ("credential", None),
        ("tenant", "acme"),
        ("tenant", None),
        ("on_failure", "half-open"),
        ("on_failure", None),
        ("incoming", "drop"),
        ("incoming", "exchange"),
        ("header", "X Y"),
        ("header", "Host"),
        ("header", "Via"),
        ("header", "X-Forwarded-For"),
        ("header", "Transfer-Encoding"),
        ("header", "Proxy-Authorization"),
        ("header", "proxy_authorization"),
        ("header", "Proxy-Connection"),
        ("header", "HTTP2-Settings"),
        ("header", "Keep-Alive"),
        ("header", "TE"),
        ("header", "Forwarded"),
        ("header", "X-Forwarded-Port"),
        ("header", "X-Real-IP"),
        ("header", "X-Original-URL"),
        ("header", "CF-Connecting-IP"),
        ("header", "Content_Length"),
        ("header", "X\r\nY"),
        ("scheme", "Bearer\r\n"),
        ("timeout", 0),
        ("timeout", float("nan")),
    ],
)
def test_rejects_an_invalid_route_by_name(field: str, value: Any) -> None:
    with pytest.raises(grantway.ConfigurationError) as caught:
        route("orders", **{field: value})
    assert str(caught.value).startswith("route 'orders': ")
    assert list(caught.value.errors) in (
        [field],
        ["credential"] if value == "exchange" else [field],
    )


@pytest.mark.parametrize("name", ["", "a b", "a\n", "x" * 65, None])
def test_a_routes_name_must_be_valid_as_a_label(name: Any) -> None:
    with pytest.raises(grantway.ConfigurationError, match="name: "):
        route(name)


@pytest.mark.parametrize("missing", ["provider", "credential", "tenant", "on_failure"])
def test_security_settings_have_no_default(missing: str) -> None:
    options: dict[str, Any] = {
        "provider": "p",
        "credential": Given,
        "tenant": single(),
        "on_failure": "open",
    }
    del options[missing]
    with pytest.raises(TypeError, match=missing):
        Route("orders", **options)


# --- Hosts, tenants and headers -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "read"),
    [("A.Example:8443", "a.example"), ("[::1]:80", "[::1]"), ("127.0.0.1", "127.0.0.1"), ("", "")],
)
def test_removes_the_port_from_a_host(host: str, read: str) -> None:
    assert RequestContext.of(host, "/").host == read


@pytest.mark.parametrize(
    "host", ["a,b", "a b", "a/b", "a@b", "a:b", "a.example.", "a..b", "é", "a:80:80", "a\n", "-a"]
)
def test_rejects_an_invalid_host(host: str) -> None:
    with pytest.raises(RequestRejectedError):
        RequestContext.of(host, "/")


@pytest.mark.parametrize(
    ("rule", "facts", "tenant"),
    [
        (from_header("X-Tenant"), RequestContext.of("", "/", [("x-TENANT", " acme ")]), "acme"),
        (from_header("X-Tenant"), RequestContext.of("", "/"), ""),
        (from_host("example.com"), RequestContext.of("ACME.example.com:80", "/"), "acme"),
        (from_host("example.com"), RequestContext.of("example.com", "/"), ""),
        (from_host("example.com"), RequestContext.of("a.b.example.com", "/"), ""),
        (from_host("example.com"), RequestContext.of("acmeexample.com", "/"), ""),
        (from_path(2), RequestContext.of("", "/t/%61cme/x"), "acme"),
        (from_path(2), RequestContext.of("", "/t"), ""),
        (from_path(2), RequestContext.of("", "/t/"), ""),
        (
            from_principal(lambda context: context["who"]),
            RequestContext.of("", "/", (), {"who": "a"}),
            "a",
        ),
        (from_principal(lambda context: None), RequestContext.of("", "/"), ""),
        (single(), RequestContext.of("", "/"), "*"),
    ],
)
def test_a_rule_returns_the_tenant(rule: Any, facts: RequestContext, tenant: str) -> None:
    assert rule(facts) == tenant
    if not tenant:
        with pytest.raises(RequestRejectedError) as caught:
            UpstreamAuth([route("r", tenant=rule)]).prepare(facts)
        assert caught.value.status == 403


@pytest.mark.parametrize(
    "make",
    [
        lambda: from_header("X Y"),
        lambda: from_header(""),
        lambda: from_host("a:80"),
        lambda: from_host(""),
        lambda: from_path(0),
        lambda: from_path(True),
        lambda: from_principal("acme"),  # type: ignore[arg-type]
    ],
)
def test_rejects_an_invalid_rule(make: Any) -> None:
    with pytest.raises(grantway.ConfigurationError, match=r"^from_\w+: "):
        make()


@given(st.text(max_size=6), st.text(max_size=6))
def test_two_tenants_never_share_a_token(one: str, other: str) -> None:
    assume(one != other)
    made: list[str] = []

    def make(name: str) -> Given:
        made.append(name)
        return Given(name)

    rules = UpstreamAuth([route("r", tenant=from_principal(lambda name: name), credential=make)])
    tokens = []
    for tenant in (one, other, one):
        try:
            upstream_token = rules.prepare(RequestContext.of("", "/", (), tenant))
        except RequestRejectedError:
            continue
        assert upstream_token is not None
        assert upstream_token.header is not None
        assert upstream_token.header == ("Authorization", f"Bearer token-of-{tenant}")
        tokens.append(upstream_token.header)
    assert len(set(tokens)) == len(made) <= 2


@given(st.text(st.characters(max_codepoint=0x17F), max_size=20))
def test_never_sets_a_header_with_control_characters(text: str) -> None:
    class Strange:
        fresh = True

        def token(self, timeout: float | None = None) -> grantway.Token:
            return grantway.Token(text)

    rules = UpstreamAuth(
        [
            Route(
                "r",
                provider="p",
                credential=lambda _name: Strange(),  # type: ignore[arg-type,return-value]
                tenant=single(),
                on_failure="closed",
            )
        ]
    )
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        with pytest.raises(grantway.ConfigurationError, match=r"^access_token: "):
            rules.prepare(RequestContext.of("", "/"))
        return
    upstream_token = rules.prepare(RequestContext.of("", "/"))
    assert upstream_token is not None
    assert upstream_token.header is not None
    assert upstream_token.header[1].isascii()
    assert upstream_token.header[1].isprintable()
    assert upstream_token.header[1] == f"Bearer {text}"


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer a"), ("authorization", "Bearer b")],
        [("Authorization", "Bearer a, Bearer b")],
        [("Authorization", "Bearer a,Basic Yjpi")],
        [("Authorization", "Bearer a\r\nX-Admin: 1")],
        [("Authorization", "Bearer a\x00")],
        [("X-Tenant", "a"), ("X-Tenant", "b")],
        [("X-Tenant", "a\n")],
        [("X-Tenant", "a\x00b")],
    ],
)
def test_rejects_repeated_headers_and_control_characters(headers: Any) -> None:
    rules = UpstreamAuth([route("r", tenant=from_header("x-tenant"))])
    with pytest.raises(RequestRejectedError) as caught:
        rules.prepare(
            RequestContext.of(
                "", "/", [*headers, *([] if "X-Tenant" in str(headers) else [("X-Tenant", "a")])]
            )
        )
    assert caught.value.status == 400


@pytest.mark.parametrize("incoming", ["replace", "keep"])
@pytest.mark.parametrize(
    ("header", "connection", "rejected"),
    [
        ("Authorization", ["close, authorization"], True),
        ("Authorization", ["close", "x,\tAUTHORIZATION ,"], True),
        ("X-Api-Key", ["x-api-key"], True),
        ("X-Api-Key", ["authorization"], False),
        ("Authorization", ["x-authorization, keep-alive"], False),
        ("Authorization", ["close", ""], False),
    ],
)
def test_a_sender_cannot_make_the_next_proxy_remove_the_token(
    incoming: Any, header: str, connection: list[str], rejected: bool
) -> None:
    rules = UpstreamAuth([route("r", incoming=incoming, header=header)])
    facts = RequestContext.of("", "/", [("Connection", each) for each in connection])
    if rejected:
        with pytest.raises(RequestRejectedError, match=f"must not name {header}") as caught:
            rules.prepare(facts)
        assert caught.value.status == 400
    else:
        upstream_token = rules.prepare(facts)
        assert upstream_token is not None
        assert upstream_token.header is not None


def test_commas_in_parameters_do_not_count_as_a_second_authorization() -> None:
    digest = 'Digest username="Bearer x", realm="a, Basic b", uri="/"'
    rules = UpstreamAuth([route("r", incoming="keep")])
    upstream_token = rules.prepare(RequestContext.of("", "/", [("Authorization", digest)]))
    assert upstream_token is not None
    assert upstream_token.kept
    assert upstream_token.removed == frozenset()


def test_a_token_of_another_type_is_not_used() -> None:
    def dpop(name: str) -> Any:
        return Given(name, "DPoP")

    with pytest.raises(grantway.ConfigurationError, match="token_type"):
        UpstreamAuth([route("r", credential=dpop)]).prepare(RequestContext.of("", "/"))
    opened = UpstreamAuth([route("r", credential=dpop, on_failure="open")]).prepare(
        RequestContext.of("", "/")
    )
    assert opened is not None
    assert opened.header is None
    assert opened.removed == {"authorization", "dpop"}


def test_a_failing_observer_does_not_affect_requests(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def hit(self, route: Route) -> None:
            raise LookupError

        waited = injected = hit

    upstream_token = UpstreamAuth([route("r")], metrics=Broken()).prepare(
        RequestContext.of("", "/")
    )  # type: ignore[arg-type]
    assert upstream_token is not None
    assert upstream_token.header is not None
    assert "an observer failed" in caplog.text


def test_reprs_contain_no_token() -> None:
    upstream_token = UpstreamAuth([route("r")]).prepare(RequestContext.of("", "/"))
    assert upstream_token is not None
    assert "token-of" not in repr(upstream_token)
    assert "token-of" not in repr(upstream_token.route)
    assert isinstance(upstream_token.route.bearer, Bearer)


def test_responses_do_not_reveal_the_reason() -> None:
    paused = grantway.ProviderPausedError("the reason", retry_after=1.2)
    for error, status, headers in [
        (paused, 503, {b"retry-after": b"2"}),
        (LookupError("the reason"), 503, {}),
        (
            RequestRejectedError("no", status=401, challenge="Bearer"),
            401,
            {b"www-authenticate": b"Bearer"},
        ),
    ]:
        response = response_for(error)
        assert response.status == status
        assert headers.items() <= dict(response.headers).items()
        assert b"the reason" not in response.body


def test_uses_a_pool_unchanged() -> None:
    pool = CredentialPool(Given)  # type: ignore[arg-type]
    rules = UpstreamAuth([route("r", credential=pool, tenant=from_principal(str))])
    rules.prepare(RequestContext.of("", "/", (), "acme"))
    assert len(pool) == 1
