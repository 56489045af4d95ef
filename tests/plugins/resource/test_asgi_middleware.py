"""The ASGI middleware: WebSockets, mounted applications, public paths and CORS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from grantway import ConfigurationError
from grantway._wire.challenges import parse_challenges
from grantway_plugins.resource import AcceptedIssuer, ProtectedResource, Requirement
from grantway_plugins.resource.asgi import ResourceMiddleware
from grantway_plugins.testing import WorkloadIssuer
from tests.plugins.gateway.servers import asgi_server
from tests.plugins.resource.adapter_apps import Gate, fastapi_app
from tests.plugins.resource.conftest import API, Tokens
from tests.plugins.server.proofs import KEY, proof
from tests.waiting import PATIENCE

#: Messages of ASGI applications and servers.
Message = dict[str, Any]


def protected(issuer: WorkloadIssuer, url: str = API, **options: Any) -> ProtectedResource:
    return ProtectedResource(url, [AcceptedIssuer(issuer.url)], **options)


async def caller(request: Request) -> JSONResponse:
    return JSONResponse({"sub": request.state.token.subject, "path": request.url.path})


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json({"sub": websocket.state.token.subject})
    await websocket.close()


@contextmanager
def websocket_server(app: Any) -> Iterator[str]:
    with asgi_server(app, ws="websockets-sansio") as url:
        yield url.replace("http", "ws", 1)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("framework", ["middleware", "fastapi"])
def test_a_websocket_needs_a_token(issuer: WorkloadIssuer, token: Tokens, framework: str) -> None:
    resource = protected(issuer)
    app: Any = fastapi_app(resource, Gate()).__enter__()
    if framework == "middleware":
        app = ResourceMiddleware(
            Starlette(routes=[WebSocketRoute("/api/socket", socket)]), resource
        )
    with websocket_server(app) as url:
        with connect(f"{url}/api/socket", additional_headers=bearer(token())) as client:
            assert '"sub":"ann"' in str(client.recv())
        for rejected in ({}, bearer(token(lifetime=-60))):
            with (
                pytest.raises(InvalidStatus) as caught,
                connect(f"{url}/api/socket", additional_headers=rejected),
            ):
                pass
            response = caught.value.response
            assert response.status_code == 401
            found = parse_challenges(response.headers["WWW-Authenticate"])[0].parameters
            assert found["resource_metadata"].startswith(API)


def test_a_server_without_responses_to_handshakes_closes_them(issuer: WorkloadIssuer) -> None:
    sent: list[Message] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": []}
    middleware: Any = ResourceMiddleware(Starlette(), protected(issuer))
    asyncio.run(middleware(scope, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_other_events_reach_the_application(issuer: WorkloadIssuer) -> None:
    seen: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    middleware: Any = ResourceMiddleware(app, protected(issuer))
    asyncio.run(middleware({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/orders", 401),
        ("/static/a.css", 200),
        ("/static/", 200),
        ("/static", 401),
        ("/statics", 401),
        ("/static/../orders", 401),
        ("/static/%2e%2e/orders", 401),
        ("/static//orders", 401),
        ("/static/..%5corders", 401),
        ("/static/.", 401),
    ],
)
def test_public_paths_include_no_others(issuer: WorkloadIssuer, path: str, status: int) -> None:
    app = ResourceMiddleware(PlainTextResponse("ok"), protected(issuer), public=["/", "/static/*"])
    with asgi_server(app) as url:
        request = requests.Request("GET", url).prepare()
        request.url = f"{url}{path}"  # not in its normal form
        with requests.Session() as session:
            assert session.send(request, timeout=PATIENCE).status_code == status


@pytest.mark.parametrize("public", ["health", "*", "/*", "/a*", "/a/*/b"])
def test_invalid_public_paths_are_rejected(issuer: WorkloadIssuer, public: str) -> None:
    with pytest.raises(ConfigurationError, match=r"public: must contain paths like \"/health\""):
        ResourceMiddleware(Starlette(), protected(issuer), public=[public])


def test_another_object_as_requirement_is_rejected(issuer: WorkloadIssuer) -> None:
    wrong: Any = "orders:read"
    with pytest.raises(ConfigurationError, match=r"^requirement: .* one, not a str\."):
        ResourceMiddleware(Starlette(), protected(issuer), requirement=wrong)


def test_a_mounted_application_has_its_own_public_paths(issuer: WorkloadIssuer) -> None:
    inner = ResourceMiddleware(PlainTextResponse("ok"), protected(issuer), public=["/", "/health"])
    with asgi_server(Starlette(routes=[Mount("/api", inner)])) as url:
        status = {
            path: requests.get(f"{url}{path}", timeout=PATIENCE).status_code
            for path in ("/api/", "/api/health", "/api/orders", "/api/api/health")
        }
    assert list(status.values()) == [200, 200, 401, 401]


@pytest.mark.parametrize("kind", ["server", "application"])
def test_a_proxy_may_remove_the_beginning_of_the_path(
    issuer: WorkloadIssuer, token: Tokens, kind: str
) -> None:
    """Servers add it to the path again; some applications set only the root path."""
    resource = protected(issuer, f"{API}/v1")
    inner = fastapi_app(resource, Gate()).__enter__()

    async def below_root(scope: Any, receive: Any, send: Any) -> None:
        await inner({**scope, "root_path": "/v1"}, receive, send)

    app = inner if kind == "server" else below_root
    bound = token(f"{API}/v1", cnf={"jkt": KEY.thumbprint()})
    headers = {
        "Authorization": f"DPoP {bound}",
        "DPoP": proof(f"{API}/v1/api/orders", htm="GET", token=bound),
    }
    with asgi_server(app, root_path="/v1" if kind == "server" else "") as url:
        assert requests.get(f"{url}/api/orders", headers=headers, timeout=PATIENCE).ok
        assert requests.get(f"{url}{resource.metadata_path}", timeout=PATIENCE).ok


def test_middleware_finds_its_metadata_below_a_root_path(issuer: WorkloadIssuer) -> None:
    resource = protected(issuer, f"{API}/v1")
    app = ResourceMiddleware(Starlette(), resource)
    with asgi_server(app, root_path="/v1") as url:
        found = requests.get(f"{url}{resource.metadata_path}", timeout=PATIENCE)
    assert found.json() == resource.metadata()


def test_cors_middleware_in_front_responds_to_preflights(issuer: WorkloadIssuer) -> None:
    app = Starlette(
        routes=[Route("/orders", caller)],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=["https://app.example"],
                allow_headers=["Authorization"],
                expose_headers=["WWW-Authenticate"],
            ),
            Middleware(ResourceMiddleware, resource=protected(issuer)),
        ],
    )
    origin = {"Origin": "https://app.example"}
    asking = {
        **origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    with asgi_server(app) as url:
        preflight = requests.options(f"{url}/orders", headers=asking, timeout=PATIENCE)
        response = requests.get(f"{url}/orders", headers=origin, timeout=PATIENCE)
    assert preflight.status_code == 200
    assert response.status_code == 401
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert response.headers["Access-Control-Expose-Headers"] == "WWW-Authenticate"


def test_a_part_of_an_application_may_be_another_resource(
    issuer: WorkloadIssuer, token: Tokens
) -> None:
    """A caller that one resource verified has not been verified by another."""
    outer, inner = protected(issuer, f"{API}/a"), protected(issuer, f"{API}/b")
    route = Route("/b", caller, middleware=[Middleware(ResourceMiddleware, resource=inner)])
    app = ResourceMiddleware(Starlette(routes=[Route("/a", caller), route]), outer)
    both = [f"{API}/a", f"{API}/b"]
    with asgi_server(app) as url:
        status = [
            requests.get(f"{url}/{path}", headers=bearer(each), timeout=PATIENCE).status_code
            for each in (token(f"{API}/a"), token(f"{API}/b"), token(both))
            for path in ("a", "b")
        ]
    assert status == [200, 401, 401, 401, 200, 200]


def test_a_request_inside_another_has_its_own_caller(issuer: WorkloadIssuer, token: Tokens) -> None:
    """Such as those of a batch, for which an application uses a copy of the scope."""

    async def batch(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        if inner := headers.get(b"x-inner"):
            copy = {**scope, "headers": [(b"authorization", inner)], "state": {}}
            await app(copy, receive, send)
        else:
            await JSONResponse(scope["state"]["token"].subject)(scope, receive, send)

    app = ResourceMiddleware(batch, protected(issuer))
    bob = issuer.token("bob", API, header={"typ": "at+jwt"})
    with asgi_server(app) as url:
        for inner, expected in ((bob, (200, '"bob"')), (token(lifetime=-60), (401, ""))):
            headers = {**bearer(token()), "X-Inner": f"Bearer {inner}"}
            response = requests.get(url, headers=headers, timeout=PATIENCE)
            assert response.status_code == expected[0]
            assert expected[1] in response.text
            assert requests.get(url, headers=bearer(token()), timeout=PATIENCE).json() == "ann"


def test_a_requirement_of_all_requests_is_in_the_first_challenge(issuer: WorkloadIssuer) -> None:
    needed = Requirement(scopes=("orders:read", "orders:write"))
    app = ResourceMiddleware(Starlette(), protected(issuer), requirement=needed)
    with asgi_server(app) as url:
        response = requests.get(url, timeout=PATIENCE)
    found = parse_challenges(response.headers["WWW-Authenticate"])[0].parameters
    assert found["scope"] == "orders:read orders:write"
    assert "error" not in found


def test_a_requirement_may_depend_on_the_request(issuer: WorkloadIssuer, token: Tokens) -> None:
    def needed(scope: Any) -> Requirement:
        return Requirement(scopes=("write",) if scope["method"] == "POST" else ())

    app = ResourceMiddleware(PlainTextResponse("ok"), protected(issuer), requirement=needed)
    headers = bearer(token(scope="read"))
    with asgi_server(app) as url:
        assert requests.get(url, headers=headers, timeout=PATIENCE).status_code == 200
        response = requests.post(url, headers=headers, timeout=PATIENCE)
    assert response.status_code == 403
    (found, *_) = parse_challenges(response.headers["WWW-Authenticate"])
    assert found.parameters["scope"] == "write"
