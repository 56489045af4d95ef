"""The same API in each framework, protected by its adapter.

The API has these paths. ``/api`` is the resource.

- ``GET /api/orders``: the caller
- ``POST /api/orders`` with the scope ``write``: the digest of the body
- ``GET /api/payments`` with a login in the last five minutes: the caller
- ``GET /api/stream``: two parts; the second one when ``Gate.opened`` is set
- ``GET /health``: needs no token

Each framework is imported when a test uses it.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from grantway_plugins.resource import ProtectedResource, Requirement, VerifiedToken
from tests.django_project import configure_django, django_project
from tests.waiting import PATIENCE

# ruff: noqa: PLC0415

WRITE = Requirement(scopes=("write",))
RECENT = Requirement(max_age=300)


class Gate:
    """Lets the stream continue, so that a test sees that its first part was not kept back."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def parts(self) -> Iterator[bytes]:
        yield b"first"
        assert self.opened.wait(PATIENCE)
        yield b"second"

    async def parts_async(self) -> AsyncIterator[bytes]:
        yield b"first"
        assert await asyncio.to_thread(self.opened.wait, PATIENCE)
        yield b"second"


def shown(token: VerifiedToken) -> dict[str, Any]:
    """Return what the API tells about a caller."""
    return {"sub": token.subject, "scope": sorted(token.scope)}


def digest(body: bytes) -> dict[str, str]:
    """Return what the API tells about a body."""
    return {"sha256": hashlib.sha256(body).hexdigest()}


def _starlette_routes(resource: ProtectedResource, gate: Gate, prefix: str) -> Any:
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
    from starlette.routing import Route

    from grantway_plugins.resource.asgi import ResourceMiddleware

    async def orders(request: Request) -> Response:
        return JSONResponse(shown(request.state.token))

    async def add(request: Request) -> Response:
        return JSONResponse(digest(await request.body()))

    async def stream(request: Request) -> Response:
        return StreamingResponse(gate.parts_async())

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok")

    def needing(requirement: Requirement) -> list[Middleware]:
        return [Middleware(ResourceMiddleware, resource=resource, requirement=requirement)]

    api = [
        Route(f"{prefix}/orders", orders),
        Route(f"{prefix}/orders", add, methods=["POST"], middleware=needing(WRITE)),
        Route(f"{prefix}/payments", orders, middleware=needing(RECENT)),
        Route(f"{prefix}/stream", stream),
    ]
    return api, Route("/health", health)


def starlette_app(resource: ProtectedResource, gate: Gate) -> Any:
    """Middleware for the application, and more for some routes."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware

    from grantway_plugins.resource.asgi import ResourceMiddleware

    api, health = _starlette_routes(resource, gate, "/api")
    middleware = [Middleware(ResourceMiddleware, resource=resource, public=["/health"])]
    return nullcontext(Starlette(routes=[*api, health], middleware=middleware))


def mounted_app(resource: ProtectedResource, gate: Gate) -> Any:
    """A protected application that is mounted below a path."""
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route

    from grantway_plugins.resource.asgi import ResourceMetadata, ResourceMiddleware

    api, health = _starlette_routes(resource, gate, "")
    mounted = ResourceMiddleware(Starlette(routes=api), resource)
    metadata = Route(resource.metadata_path, ResourceMetadata(resource))
    return nullcontext(Starlette(routes=[metadata, health, Mount("/api", mounted)]))


def fastapi_app(resource: ProtectedResource, gate: Gate) -> Any:
    """A dependency of each route."""
    from tests.plugins.resource.adapter_fastapi import make_app

    return nullcontext(make_app(resource, gate))


def _flask_views(gate: Gate) -> Any:
    from flask import Response, g, request

    def orders() -> Any:
        return shown(g.token)

    async def add() -> Any:
        return digest(request.get_data())

    def stream() -> Any:
        return Response(gate.parts(), mimetype="text/plain")

    return orders, add, stream


def flask_app(resource: ProtectedResource, gate: Gate) -> Any:
    """A decorator of each view."""
    from flask import Flask

    from grantway_plugins.resource.flask import FlaskResource

    app = Flask("api")
    api = FlaskResource(resource, app)
    orders, add, stream = _flask_views(gate)
    app.get("/api/orders")(api.require()(orders))
    app.post("/api/orders")(api.require("write")(add))
    app.get("/api/payments", endpoint="payments")(api.require(max_age=300)(orders))
    app.get("/api/stream")(api.require()(stream))
    app.get("/health")(lambda: "ok")
    return nullcontext(app)


def flask_blueprint(resource: ProtectedResource, gate: Gate) -> Any:
    """A protected blueprint, and decorators of some of its views."""
    from flask import Blueprint, Flask

    from grantway_plugins.resource.flask import FlaskResource

    app = Flask("api")
    api = FlaskResource(resource)
    api.init_app(app)
    orders, add, stream = _flask_views(gate)
    blueprint = Blueprint("api", __name__, url_prefix="/api")
    api.protect(blueprint)
    blueprint.get("/orders")(orders)
    blueprint.post("/orders")(api.require("write")(add))
    blueprint.get("/payments", endpoint="payments")(api.require(max_age=300)(orders))
    blueprint.get("/stream")(stream)
    app.register_blueprint(blueprint)
    app.get("/health")(lambda: "ok")
    return nullcontext(app)


def django_wsgi(resource: ProtectedResource, gate: Gate) -> Any:
    """Decorators of synchronous views."""
    from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
    from django.urls import path
    from django.views.decorators.http import require_GET, require_safe

    from grantway_plugins.resource.django import metadata_url, token_required

    configure_django()

    @token_required()
    def orders(request: Any) -> HttpResponse:
        return JsonResponse(shown(request.token))

    @token_required("write")
    def add(request: HttpRequest) -> HttpResponse:
        return JsonResponse(digest(request.body))

    def either(request: HttpRequest) -> Any:
        return add(request) if request.method == "POST" else orders(request)

    either.csrf_exempt = True  # type: ignore[attr-defined]

    @token_required(max_age=300)
    def payments(request: Any) -> HttpResponse:
        return JsonResponse(shown(request.token))

    @require_safe
    @token_required()
    def stream(request: HttpRequest) -> Any:
        return StreamingHttpResponse(gate.parts())

    routes = [
        path("api/orders", either),
        path("api/payments", payments),
        path("api/stream", stream),
        path("health", require_GET(lambda _request: HttpResponse("ok"))),
        metadata_url(resource),
    ]
    middleware = ["django.middleware.csrf.CsrfViewMiddleware"]
    return _django("wsgi", routes, resource, middleware)


def django_asgi(resource: ProtectedResource, gate: Gate) -> Any:
    """Middleware, and decorators of some coroutine functions."""
    from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
    from django.urls import path

    from grantway_plugins.resource.django import (
        metadata_url,
        token_not_required,
        token_required,
    )

    configure_django()

    @token_required("write")
    async def add(request: HttpRequest) -> HttpResponse:
        return JsonResponse(digest(request.body))

    async def orders(request: Any) -> HttpResponse:
        if request.method == "POST":
            answer: HttpResponse = await add(request)
            return answer
        return JsonResponse(shown(request.token))

    @token_required(max_age=300)
    def payments(request: Any) -> HttpResponse:
        return JsonResponse(shown(request.token))

    async def stream(request: HttpRequest) -> Any:
        return StreamingHttpResponse(gate.parts_async())

    @token_not_required
    async def health(request: HttpRequest) -> HttpResponse:
        return HttpResponse("ok")

    routes = [
        path("api/orders", orders),
        path("api/payments", payments),
        path("api/stream", stream),
        path("health", health),
        metadata_url(resource),
    ]
    middleware = [
        "grantway_plugins.resource.django.ResourceMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ]
    return _django("asgi", routes, resource, middleware)


@contextmanager
def _django(
    kind: str, routes: list[Any], resource: ProtectedResource, middleware: list[str]
) -> Iterator[Any]:
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler

    with django_project(routes, GRANTWAY_RESOURCE=resource, MIDDLEWARE=middleware):
        yield ASGIHandler() if kind == "asgi" else WSGIHandler()
