"""The endpoint mounted in each framework, on a real server.

Each framework is imported when a test uses it: every process collects the tests, and importing
all of them takes half a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from grantway_plugins.gateway import TokenEndpoint
from tests.django_project import configure_django, django_project
from tests.plugins.gateway.servers import asgi_server, werkzeug_server, wsgiref_server

# ruff: noqa: PLC0415


@contextmanager
def bare_asgi(endpoint: TokenEndpoint) -> Iterator[str]:
    with asgi_server(endpoint.asgi) as url:
        yield url


@contextmanager
def starlette_app(endpoint: TokenEndpoint) -> Iterator[str]:
    with asgi_server(Starlette(routes=[Route("/token", endpoint.asgi)])) as url:
        yield url


@contextmanager
def fastapi_app(endpoint: TokenEndpoint) -> Iterator[str]:
    import fastapi

    app = fastapi.FastAPI(routes=[Route("/token", endpoint.asgi)])
    with asgi_server(app) as url:
        yield url


@contextmanager
def bare_wsgi(endpoint: TokenEndpoint) -> Iterator[str]:
    with wsgiref_server(endpoint.wsgi) as url:
        yield url


@contextmanager
def flask_app(endpoint: TokenEndpoint) -> Iterator[str]:
    import flask

    app = flask.Flask("gateway")
    methods = ["GET", "POST", "PUT", "DELETE"]
    app.add_url_rule("/token", "token", lambda: endpoint.wsgi, methods=methods)
    with werkzeug_server(app) as url:
        yield url


@contextmanager
def django_app(endpoint: TokenEndpoint) -> Iterator[str]:
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpRequest, HttpResponse
    from django.urls import path
    from django.views.decorators.csrf import csrf_exempt

    configure_django()

    @csrf_exempt
    def token(request: HttpRequest) -> HttpResponse:
        peer = request.META["REMOTE_ADDR"]
        response = endpoint.respond(request.method, request.headers, request, peer=peer)
        return HttpResponse(response.body, status=response.status, headers=dict(response.headers))

    handler = WSGIHandler()

    def application(environ: Any, start_response: Any) -> Any:
        return handler(environ, start_response)

    with django_project([path("token", token)]), werkzeug_server(application) as url:
        yield url


Mount = Callable[[TokenEndpoint], Any]
ASGI: dict[str, Mount] = {"asgi": bare_asgi, "starlette": starlette_app, "fastapi": fastapi_app}
WSGI: dict[str, Mount] = {"wsgi": bare_wsgi, "flask": flask_app, "django": django_app}
FRAMEWORKS: dict[str, Mount] = {**ASGI, **WSGI}
