"""The adapters for Starlette, FastAPI, Flask and Django."""

from __future__ import annotations

import hashlib

from tests.plugins.gateway.servers import asgi_server, werkzeug_server, wsgiref_server
from tests.plugins.resource.adapter_apps import (
    django_asgi,
    django_wsgi,
    fastapi_app,
    flask_app,
    flask_blueprint,
    mounted_app,
    starlette_app,
)
from tests.plugins.resource.adapter_contract import BODY, AdapterContract, AnyAsgiApp, Site

NONCE_KEY = b"k" * 32


class _AsgiContract(AdapterContract):
    server = asgi_server
    any_app = AnyAsgiApp

    def test_bodies_in_chunks_are_not_changed(self, site: Site) -> None:
        body = iter([BODY[:100_000], BODY[100_000:]])
        response = site.request("POST", "/api/orders", site.token(), data=body)
        assert response.json() == {"sha256": hashlib.sha256(BODY).hexdigest()}


class TestStarlette(_AsgiContract):
    """Middleware of an application and of its routes."""

    make_app = starlette_app


class TestStarletteAtTheRoot(_AsgiContract):
    """The resource is the whole host, so its metadata have no path."""

    make_app = starlette_app
    path = ""
    nonce_key = NONCE_KEY


class TestMountedApplication(_AsgiContract):
    """A protected application below a path."""

    make_app = mounted_app


class TestFastApi(_AsgiContract):
    """Dependencies of routes."""

    make_app = fastapi_app
    nonce_key = NONCE_KEY


class TestFlask(AdapterContract):
    """Decorators of views."""

    make_app = flask_app
    server = werkzeug_server


class TestFlaskBlueprint(AdapterContract):
    """A protected blueprint."""

    make_app = flask_blueprint
    nonce_key = NONCE_KEY
    server = werkzeug_server


class TestDjango(AdapterContract):
    """Decorators of views, on a WSGI server."""

    make_app = django_wsgi
    server = wsgiref_server


class TestDjangoAsgi(_AsgiContract):
    """Middleware and decorators of coroutine functions, on an ASGI server."""

    make_app = django_asgi
    nonce_key = NONCE_KEY
