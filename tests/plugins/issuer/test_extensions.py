"""Endpoints and metadata entries that plugins add to the issuer."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

import grantway
from grantway._types.issuer_plugins import IssuerExtension
from grantway_plugins.issuer import (
    Additions,
    Denial,
    Endpoint,
    IssuerRequest,
    IssuerServer,
    IssuerSettings,
    Page,
    Reply,
    Transaction,
    View,
)
from grantway_plugins.server._http.denial import DenialError
from tests.faults import free_port
from tests.plugins.issuer.conftest import BASIC, Caller
from tests.postgres import PostgresServer

FORM = "application/x-www-form-urlencoded"
APP = "https://app.example.com"
SECRET = "hunter2-of-the-plugin"


def new_nonce(request: IssuerRequest, transaction: Transaction) -> Reply:
    transaction.records("shop").put("nonce", {"peer": request.peer}, until=request.now + 60)
    return Reply({"nonce": "n-1"}, status=201, headers={"X-Shop": "open"})


def echo(request: IssuerRequest, transaction: Transaction) -> Reply | Denial:
    assert SECRET not in repr(request)
    return Reply(
        {
            "method": request.method,
            "params": request.params,
            "header": request.headers.get("X-Custom", ""),
            "peer": request.peer,
        }
    )


def whoami(request: IssuerRequest, transaction: Transaction) -> Reply | Denial:
    assert request.client is not None
    if "deny" in request.params:
        return Denial("access_denied", "The shop is closed")
    return Reply({"client_id": request.client.client_id})


def holder(request: IssuerRequest, transaction: Transaction) -> Reply | Denial:
    assert request.token is not None
    if "a" not in request.token.scope:
        return Denial("insufficient_scope", "The scope a is required")
    return Reply({"sub": request.token.family.subject, "scope": list(request.token.scope)})


def as_text(request: IssuerRequest, transaction: Transaction) -> Reply:
    return Reply("<script>", media_type="text/html", headers={"cache-control": "max-age=60"})


def well_known(request: IssuerRequest, transaction: Transaction) -> Reply:
    return Reply({"credential_issuer": request.settings.url})


def fail(request: IssuerRequest, transaction: Transaction) -> Reply:
    kind = request.params.get("kind", "")
    outcomes: dict[str, Callable[[], Any]] = {
        "json": lambda: Reply({"x": object()}),
        "status": lambda: Reply({}, status=99),
        "no integer": lambda: Reply({}, status=200.5),  # type: ignore[arg-type]
        "no content": lambda: Reply({}, status=204),
        "not modified": lambda: Reply("x", status=304),
        "raised denial": lambda: (_ for _ in ()).throw(DenialError(SECRET, None)),  # type: ignore[arg-type]
        "denial reason": lambda: Denial("x", "y", reason=7),  # type: ignore[arg-type]
        "header": lambda: Reply({}, headers={"X-Shop": f"{SECRET}\r\nSet-Cookie: a=b"}),
        "cookie": lambda: Reply({}, headers={"Set-Cookie": SECRET}),
        "wrong": lambda: SECRET,
        "event": lambda: Reply({}, event=SECRET),  # type: ignore[arg-type]
        "denial": lambda: Denial(SECRET, None),  # type: ignore[arg-type]
        "denial event": lambda: Denial("x", "y", event=SECRET),  # type: ignore[arg-type]
        "exit": lambda: (_ for _ in ()).throw(SystemExit(SECRET)),
        "raise": lambda: (_ for _ in ()).throw(RuntimeError(SECRET)),
    }
    found: Reply = outcomes[kind]()
    return found


def spend_and_fail(request: IssuerRequest, transaction: Transaction) -> Reply | Denial:
    first = transaction.spend(b"k" * 32, request.now + 60)
    if "deny" in request.params:
        return Denial("invalid_grant", "again" if not first else "first")
    raise RuntimeError(SECRET)


class Shop:
    """Endpoints of every kind."""

    def extend(self, settings: IssuerSettings) -> Additions:
        return Additions(
            endpoints=[
                Endpoint("/shop/nonce", new_nonce, cors=True),
                Endpoint("/shop/echo", echo, methods=("GET", "POST"), accepts=("form", "json")),
                Endpoint("/shop/json", echo, accepts=("json",), max_bytes=100),
                Endpoint("/shop/list", echo, methods=("DELETE",), repeatable=frozenset({"x"})),
                Endpoint("/shop/whoami", whoami, authenticate="client"),
                Endpoint("/shop/holder", holder, methods=("GET",), authenticate="token"),
                Endpoint("/shop/text", as_text, methods=("GET",)),
                Endpoint("/shop/fail", fail),
                Endpoint("/shop/spend", spend_and_fail),
                Endpoint("/shop/busy", echo, per_minute=1),
                Endpoint("/.well-known/shop", well_known, methods=("GET",)),
            ],
            metadata={"shop_nonce_endpoint": f"{settings.url}/shop/nonce"},
        )


class Plugin:
    """Registers issuer extensions."""

    def __init__(self, extensions: Any) -> None:
        self.extensions = extensions

    @grantway.hookimpl
    def grantway_register_issuer_extensions(self) -> dict[str, IssuerExtension]:
        found: dict[str, IssuerExtension] = self.extensions
        return found


def registry(**extensions: object) -> grantway.Registry:
    plugins = {name: Plugin({name: each}) for name, each in extensions.items()}
    return grantway.build_registry(plugins, strict=True)


@pytest.fixture(scope="module", params=["", "/login/auth"], ids=["no path", "with a path"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of an issuer with the extension."""
    port = free_port()
    settings = IssuerSettings(
        issuer=f"http://127.0.0.1:{port}{request.param}",
        registration="unrestricted",
        cors_origins=(APP,),
    )
    with IssuerServer(settings, port=port, registry=registry(shop=Shop())) as server:
        yield server.url


@pytest.fixture
def shop(url: str) -> Iterator[Caller]:
    with Caller(url) as caller:
        yield caller


def test_serves_an_endpoint_and_lists_it_in_the_metadata(shop: Caller) -> None:
    listed = shop.http.get(f"{shop.url}/.well-known/openid-configuration").json()
    assert listed["shop_nonce_endpoint"] == f"{shop.url}/shop/nonce"
    response = shop.http.post(listed["shop_nonce_endpoint"])
    assert (response.status_code, response.json()) == (201, {"nonce": "n-1"})
    assert response.headers["x-shop"] == "open"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"


def test_a_well_known_path_is_also_in_front_of_the_issuers_path(shop: Caller) -> None:
    origin, _, path = shop.url.partition("/login")
    path = f"/login{path}" if path else ""
    for address in (f"{shop.url}/.well-known/shop", f"{origin}/.well-known/shop{path}"):
        assert shop.http.get(address).json() == {"credential_issuer": shop.url}


@pytest.mark.parametrize(
    ("method", "path", "options", "params"),
    [
        ("GET", "/shop/echo?a=1&b=", {}, {"a": "1"}),
        ("POST", "/shop/echo?a=1", {"data": {"b": "2"}}, {"b": "2"}),
        ("POST", "/shop/echo", {"json": {"camelCase": {"b": [2]}}}, {"camelCase": {"b": [2]}}),
        ("POST", "/shop/echo", {}, {}),
        ("DELETE", "/shop/list?x=1&x=2", {}, {"x": ["1", "2"]}),
    ],
)
def test_a_handler_gets_the_parsed_request(
    shop: Caller, method: str, path: str, options: Any, params: Any
) -> None:
    headers = {"x-custom": "one", "Cookie": SECRET}
    response = shop.http.request(method, shop.url + path, headers=headers, **options)
    assert response.json() == {
        "method": method,
        "params": params,
        "header": "one",
        "peer": "127.0.0.1",
    }


def test_head_is_a_get_without_a_body(shop: Caller) -> None:
    response = shop.http.head(f"{shop.url}/shop/echo?a=1")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("PUT", "/shop/echo", {}, 405),
        ("GET", "/shop/nonce", {}, 405),
        ("POST", "/shop/json", {"data": {"a": "b"}}, 415),
        ("POST", "/shop/json", {"json": {"a": "b" * 100}}, 413),
        ("POST", "/shop/echo", {"data": "a=1&a=2", "headers": {"content-type": FORM}}, 400),
        ("GET", "/shop/echo?a=1&a=2", {}, 400),
        ("GET", "/shop/echo?client_secret=x", {}, 400),
        ("GET", "/shop/holder?access_token=x", {}, 400),
    ],
)
def test_rejects_invalid_requests_before_the_handler(
    shop: Caller, method: str, path: str, options: Any, status: int
) -> None:
    response = shop.http.request(method, shop.url + path, **options)
    assert (response.status_code, response.json()["error"]) == (status, "invalid_request")


@pytest.mark.parametrize("method", [BASIC, "client_secret_post", "none"])
def test_authenticates_the_client(shop: Caller, method: str) -> None:
    shop.register_rfc(token_endpoint_auth_method=method)
    assert shop.as_rfc("/shop/whoami").json() == {"client_id": shop.id}
    denied = shop.as_rfc("/shop/whoami", deny="1")
    assert (denied.status_code, denied.json()["error"]) == (400, "access_denied")
    shop.secret = "wrong"
    if method != "none":
        assert shop.as_rfc("/shop/whoami").status_code == 401
    assert shop.rfc("/shop/whoami").status_code == 401


def test_requires_an_access_token(shop: Caller) -> None:
    address = f"{shop.url}/shop/holder"
    token = shop.register_rfc().login()["access_token"]
    accepted = shop.http.get(address, headers={"Authorization": f"Bearer {token}"})
    assert accepted.json() == {"sub": "local-user", "scope": ["a", "b"]}
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}):
        rejected = shop.http.get(address, headers=headers)
        assert (rejected.status_code, rejected.json()["error"]) == (401, "invalid_token")
        assert rejected.headers["www-authenticate"].startswith('Bearer realm="grantway"')
    narrow = shop.login(scope="b")["access_token"]
    refused = shop.http.get(address, headers={"Authorization": f"Bearer {narrow}"})
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    shop.as_rfc("/revoke", token=token)
    assert shop.http.get(address, headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_content_of_other_types_runs_nothing_in_a_browser(shop: Caller) -> None:
    response = shop.http.get(f"{shop.url}/shop/text")
    assert response.text == "<script>"
    assert response.headers["content-type"] == "text/html"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert response.headers["cache-control"] == "max-age=60"


def test_web_pages_may_use_an_endpoint_only_if_it_allows_them(shop: Caller) -> None:
    origin = {"Origin": APP, "Access-Control-Request-Method": "POST"}
    allowed = shop.http.options(f"{shop.url}/shop/nonce", headers=origin)
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-methods"] == "POST"
    assert (
        shop.http.post(f"{shop.url}/shop/nonce", headers={"Origin": APP}).headers[
            "access-control-allow-origin"
        ]
        == APP
    )
    other = shop.http.options(f"{shop.url}/shop/echo", headers=origin)
    assert other.status_code == 405
    assert "access-control-allow-origin" not in other.headers


def test_limits_the_requests_of_a_peer(shop: Caller) -> None:
    responses = [shop.http.post(f"{shop.url}/shop/busy") for _ in range(3)]
    assert responses[-1].status_code == 429
    assert responses[-1].json()["error"] == "slow_down"
    assert int(responses[-1].headers["retry-after"]) > 0


FAILURES = ["json", "status", "header", "cookie", "event", "wrong", "exit", "raise", "denial"]


OTHERS = ["denial event", "no integer", "no content", "not modified", "raised denial"]


@pytest.mark.parametrize("kind", [*FAILURES, *OTHERS, "denial reason"])
def test_a_failing_handler_fails_its_request_alone(
    shop: Caller, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = shop.rfc("/shop/fail", kind=kind, password=SECRET)
    assert (response.status_code, response.json()["error"]) == (500, "server_error")
    assert SECRET not in response.text + caplog.text
    assert "the handler of /shop/fail of the issuer extension shop (shop of" in caplog.text
    assert shop.rfc("/shop/nonce").status_code == 201


def test_a_slow_handler_is_logged(
    shop: Caller, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grantway_plugins.issuer._decisions.plugin_calls.SLOW", -1.0)
    shop.rfc("/shop/nonce")
    assert "of the issuer extension shop (shop of application) took 0.0 s" in caplog.text


def test_a_failing_handler_changes_nothing_and_a_denial_is_committed(shop: Caller) -> None:
    assert shop.rfc("/shop/spend").status_code == 500
    outcomes = [shop.rfc("/shop/spend", deny="1").json()["error_description"] for _ in range(2)]
    assert outcomes == ["first", "again"]


class Adds:
    """Adds what the test names."""

    def __init__(self, *paths: str, pages: tuple[str, ...] = (), **metadata: object) -> None:
        self.endpoints = [Endpoint(each, echo) for each in paths]
        self.pages = [Page(each, show) for each in pages]
        self.metadata = metadata

    def extend(self, settings: IssuerSettings) -> Additions:
        return Additions(self.endpoints, self.pages, self.metadata)


class Breaks:
    """Fails when an issuer starts."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def extend(self, settings: IssuerSettings) -> Additions:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        found: Additions = self.outcome and self.outcome()
        return found


def show(request: IssuerRequest, transaction: Transaction) -> View:
    return View("x", "")


def failing() -> Iterator[Endpoint]:
    raise RuntimeError(SECRET)
    yield


@pytest.mark.parametrize(
    ("extensions", "reasons"),
    [
        ({"x": Adds("/token")}, ["x (x of application): the issuer itself serves /token"]),
        ({"x": Adds(pages=("/device",))}, ["the issuer itself serves /device"]),
        ({"x": Adds("/static/a.css")}, ["the issuer itself serves /static/a.css"]),
        ({"x": Adds("/x", pages=("/x",))}, ["two additions have the path /x"]),
        ({"x": Adds("/x", "/x")}, [": two additions have the path /x; use one"]),
        ({"x": Adds(issuer="https://evil.example")}, ["sets the metadata entry issuer"]),
        ({"x": Adds(registration_endpoint="y")}, ["the metadata entry registration_endpoint"]),
        ({"x": Adds(good=object())}, ["metadata must be a JSON object"]),
        (
            {"x": Adds("/one"), "y": Adds("/one"), "z": Adds(pages=("/one",))},
            ["x (x of application): it conflicts with the path /one", "y (y of", "z (z of"],
        ),
        ({"x": Adds(a=1), "y": Adds(a=2)}, ["with the metadata entry a of the issuer extension y"]),
        ({"x": Breaks(RuntimeError(SECRET))}, ["raised RuntimeError at test_extensions.py:"]),
        ({"x": Breaks(None)}, ["returned None; it must return Additions"]),
        ({"x": Breaks(lambda: Additions(failing()))}, ["raised RuntimeError"]),
        (
            {"x": Breaks(lambda: Additions([1]))},  # type: ignore[list-item]
            ["endpoints must contain Endpoint objects, not an int"],
        ),
        (
            {"x": Breaks(lambda: Additions(pages=itertools.repeat(Page("/x", show))))},
            ["pages must be a list of at most 1000 entries"],
        ),
        (
            {"x": Breaks(lambda: Additions(endpoints=1))},  # type: ignore[arg-type]
            ["endpoints must be a list of at most 1000 entries"],
        ),
        (
            {"x": Breaks(lambda: Additions(metadata=[1]))},  # type: ignore[arg-type]
            ["metadata must be a JSON object"],
        ),
    ],
)
def test_an_extension_that_fails_or_conflicts_is_left_out_and_logged(
    extensions: Any, reasons: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    added = registry(**extensions, good=Adds("/good", good_endpoint="yes"))
    with (
        caplog.at_level(logging.WARNING),
        IssuerServer(registry=added) as server,
        Caller(server.url) as caller,
    ):
        assert caller.http.post(f"{server.url}/good").status_code == 200
        for path in ("/x", "/one"):
            assert caller.http.post(server.url + path).status_code == 404
        listed = caller.http.get(f"{server.url}/.well-known/openid-configuration").json()
    assert listed["good_endpoint"] == "yes"
    assert listed["issuer"] == server.url
    assert not {"a", "x"} & set(listed)
    for reason in reasons:
        assert reason in caplog.text
    assert SECRET not in caplog.text


def test_two_extensions_may_add_the_same_metadata_entry() -> None:
    same = Adds(algorithms=["ES256"])
    with IssuerServer(registry=registry(x=same, y=same)) as server:
        listed = requests.get(f"{server.url}/.well-known/openid-configuration", timeout=10)
    assert listed.json()["algorithms"] == ["ES256"]


def test_an_extension_that_cannot_be_imported_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING), IssuerServer(registry=registry(x="no_module:X")):
        pass
    assert "The plugin x of application could not be loaded" in caplog.text


@pytest.mark.parametrize(
    ("extension", "reason"),
    [
        (object(), "the issuer extension x has no extend"),
        (Shop, "the issuer extension x is a type; use an object with extend"),
        ("not a reference", "is the text"),
    ],
)
def test_rejects_an_invalid_extension_when_the_registry_is_built(
    extension: object, reason: str
) -> None:
    with pytest.raises(grantway.PluginLoadError, match=reason):
        registry(x=extension)


@pytest.mark.parametrize(
    "options",
    [
        {"path": "nonce"},
        {"path": "/a/../b"},
        {"path": "/a b"},
        {"path": "/"},
        {"methods": ()},
        {"methods": ("BREW",)},
        {"accepts": ("xml",)},
        {"authenticate": "everybody"},
        {"max_bytes": 0},
        {"max_bytes": 2**21},
        {"per_minute": 0},
        {"handle": None},
    ],
)
def test_rejects_an_invalid_endpoint(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Endpoint(**{"path": "/x", "handle": echo, **options})


def test_logs_the_audit_events_of_an_endpoint(
    url: str, shop: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="grantway.audit"):
        shop.rfc("/shop/whoami")
        shop.register_rfc()
        shop.as_rfc("/shop/whoami", deny="1")
    records = [record.getMessage() for record in caplog.records if record.name == "grantway.audit"]
    assert any("/shop/whoami" in each and shop.id in each for each in records)


class Once:
    """Issues nonces that can be used once."""

    def extend(self, settings: IssuerSettings) -> Additions:
        def use(request: IssuerRequest, transaction: Transaction) -> Reply | Denial:
            found = transaction.records("once").take(request.params["nonce"])
            return Denial("invalid_nonce", "It was used") if found is None else Reply(found)

        def make(request: IssuerRequest, transaction: Transaction) -> Reply:
            transaction.records("once").put("n-1", {"of": request.peer}, until=request.now + 60)
            return Reply({"nonce": "n-1"})

        return Additions([Endpoint("/once/make", make), Endpoint("/once/use", use)])


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_two_issuers_that_race_use_a_record_once(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    database = str(tmp_path / "issuer.db")
    if kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        database = server.url
    plugins = registry(once=Once())
    with (
        IssuerServer(database=database, registry=plugins) as first,
        IssuerServer(database=database, registry=plugins) as second,
        ThreadPoolExecutor(8) as threads,
    ):
        for _ in range(3):
            nonce = requests.post(f"{first.url}/once/make", timeout=10).json()
            urls = [f"{each.url}/once/use" for each in (first, second) * 4]
            used = list(threads.map(lambda url: requests.post(url, data=nonce, timeout=30), urls))  # noqa: B023
            assert sorted(each.status_code for each in used) == [200, *[400] * 7]
