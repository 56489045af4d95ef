"""What protecting a view costs in each framework, with grantway and with the usual alternative.

Run: ``python tests/benchmarks/resource_adapters.py [--calls N] [--rounds N]``

A request with a JWT access token that was seen before is passed to the application without a
network. Prints the processor time of the fastest round in microseconds for the unprotected view,
what the protection adds, what the alternative adds, and how many times as much that is. The
alternatives verify each token again, with the keys in memory: Authlib's ``ResourceProtector`` for
Flask and Django, and PyJWT for FastAPI and Starlette.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from grantway_plugins.resource import AcceptedIssuer, ProtectedResource
from grantway_plugins.testing import WorkloadIssuer
from tests.django_project import configure_django, urlpatterns

API = "https://api.example.com"
#: Name of a way to protect a view, to an application with a view at ``/orders``.
Apps = dict[str, Any]
PLAIN, GRANTWAY, ALTERNATIVE = "unprotected", "grantway", "alternative"


def flask_apps(issuer: WorkloadIssuer, resource: ProtectedResource) -> Apps:
    """Return WSGI applications of Flask."""
    import flask
    from authlib.integrations.flask_oauth2 import ResourceProtector

    from grantway_plugins.resource.flask import FlaskResource

    apps: Apps = {name: flask.Flask(name) for name in (PLAIN, GRANTWAY, ALTERNATIVE)}
    authlib = ResourceProtector()
    authlib.register_token_validator(authlib_validator(issuer))
    protect: dict[str, Callable[[Any], Any]] = {
        PLAIN: lambda view: view,
        GRANTWAY: FlaskResource(resource, apps[GRANTWAY]).require("orders:read"),
        ALTERNATIVE: authlib(["orders:read"]),
    }
    for name, app in apps.items():
        app.add_url_rule("/orders", "orders", protect[name](lambda: "ok"))
    return apps


def django_apps(issuer: WorkloadIssuer, resource: ProtectedResource) -> Apps:
    """Return WSGI applications of Django: one project, whose path selects the view."""
    configure_django()
    from authlib.integrations.django_oauth2 import ResourceProtector
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import path

    from grantway_plugins.resource.django import token_required

    authlib = ResourceProtector()
    authlib.register_token_validator(authlib_validator(issuer))

    def view(_request: Any) -> HttpResponse:
        return HttpResponse("ok")

    urlpatterns[:] = [
        path(PLAIN, view),
        path(GRANTWAY, token_required("orders:read", resource=resource)(view)),
        path(ALTERNATIVE, authlib(["orders:read"])(view)),
    ]
    handler = WSGIHandler()

    def at(name: str) -> Any:
        return lambda environ, start: handler({**environ, "PATH_INFO": f"/{name}"}, start)

    return {name: at(name) for name in (PLAIN, GRANTWAY, ALTERNATIVE)}


def fastapi_apps(issuer: WorkloadIssuer, resource: ProtectedResource) -> Apps:
    """Return ASGI applications of FastAPI."""
    from fastapi import Depends, FastAPI, HTTPException, Security
    from fastapi.security import HTTPBearer

    from grantway_plugins.resource.fastapi import ResourceToken

    verify = pyjwt_verifier(issuer)

    async def by_pyjwt(found: Any = Depends(HTTPBearer())) -> Any:  # noqa: B008
        claims = verify(found.credentials)
        if claims is None or "orders:read" not in claims["scope"].split():
            raise HTTPException(401)
        return claims

    dependencies: dict[str, list[Any]] = {
        PLAIN: [],
        GRANTWAY: [Security(ResourceToken(resource), scopes=["orders:read"])],
        ALTERNATIVE: [Depends(by_pyjwt)],
    }

    async def orders() -> str:
        return "ok"

    apps: Apps = {}
    for name, needed in dependencies.items():
        apps[name] = FastAPI()
        apps[name].get("/orders", dependencies=needed)(orders)
    return apps


def starlette_apps(issuer: WorkloadIssuer, resource: ProtectedResource) -> Apps:
    """Return ASGI applications of Starlette."""
    from starlette.applications import Starlette
    from starlette.authentication import (
        AuthCredentials,
        AuthenticationBackend,
        AuthenticationError,
        SimpleUser,
        requires,
    )
    from starlette.middleware import Middleware
    from starlette.middleware.authentication import AuthenticationMiddleware
    from starlette.requests import HTTPConnection
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    from grantway_plugins.resource import Requirement
    from grantway_plugins.resource.asgi import ResourceMiddleware

    verify = pyjwt_verifier(issuer)

    class Backend(AuthenticationBackend):
        """Verifies JWTs."""

        async def authenticate(
            self, conn: HTTPConnection
        ) -> tuple[AuthCredentials, SimpleUser] | None:
            """Return the scopes and the user."""
            claims = verify(conn.headers.get("Authorization", "").removeprefix("Bearer "))
            if claims is None:
                raise AuthenticationError
            return AuthCredentials(claims["scope"].split()), SimpleUser(claims["sub"])

    async def orders(request: Any) -> PlainTextResponse:
        return PlainTextResponse("ok")

    needed = Requirement(scopes=("orders:read",))
    ours = Middleware(ResourceMiddleware, resource=resource, requirement=needed)
    theirs = Middleware(AuthenticationMiddleware, backend=Backend())
    view = Route("/orders", orders)
    return {
        PLAIN: Starlette(routes=[view]),
        GRANTWAY: Starlette(routes=[view], middleware=[ours]),
        ALTERNATIVE: Starlette(
            routes=[Route("/orders", requires("orders:read")(orders))], middleware=[theirs]
        ),
    }


def authlib_validator(issuer: WorkloadIssuer) -> Any:
    """Return Authlib's validator of JWTs, with the keys in memory."""
    from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
    from joserfc.jwk import KeySet

    keys: Any = KeySet.import_key_set(issuer.jwks())

    class Validator(JWTBearerTokenValidator):
        """Has the keys."""

        def get_jwks(self) -> Any:
            """Return the keys."""
            return keys

    return Validator(issuer=issuer.url, resource_server=API)


def pyjwt_verifier(issuer: WorkloadIssuer) -> Callable[[str], dict[str, Any] | None]:
    """Return a function that verifies JWTs, with the keys in memory."""
    import jwt

    keys = jwt.PyJWKClient(issuer.jwks_uri)

    def verify(token: str) -> dict[str, Any] | None:
        try:
            key = keys.get_signing_key_from_jwt(token)
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms=["ES256"], issuer=issuer.url, audience=API
            )
        except jwt.PyJWTError:
            return None
        return claims

    return verify


def wsgi_calls(app: Any, authorization: str, count: int) -> Iterator[float]:
    """Yield the processor time of a request to a WSGI application, for each round."""
    usual = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/orders",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": authorization,
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
    }

    def start(status: str, _headers: Any, _error: Any = None) -> Any:
        assert status.startswith("200"), status

    while True:
        began = time.thread_time()
        for _ in range(count):
            response = app({**usual, "wsgi.input": BytesIO()}, start)
            assert b"".join(response) == b"ok"
            if hasattr(response, "close"):
                response.close()
        yield (time.thread_time() - began) / count * 1e6


def asgi_calls(app: Any, authorization: str, count: int) -> Iterator[float]:
    """Yield the processor time of a request to an ASGI application, for each round."""
    usual: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/orders",
        "raw_path": b"/orders",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", authorization.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) == 200, message

    async def run() -> float:
        began = time.thread_time()
        for _ in range(count):
            await app(dict(usual), receive, send)
        return (time.thread_time() - began) / count * 1e6

    with asyncio.Runner() as runner:
        while True:
            yield runner.run(run())


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    frameworks = {
        "Starlette": (starlette_apps, asgi_calls),
        "FastAPI": (fastapi_apps, asgi_calls),
        "Flask": (flask_apps, wsgi_calls),
        "Django": (django_apps, wsgi_calls),
    }
    print(f"{'':10}{PLAIN:>14}{GRANTWAY:>14}{ALTERNATIVE:>14}{'ratio':>8}")
    with WorkloadIssuer() as issuer:
        resource = ProtectedResource(API, [AcceptedIssuer(issuer.url)])
        token = issuer.token(
            "ann",
            API,
            header={"typ": "at+jwt"},
            scope="orders:read",
            client_id="app",
            jti="1",
            filler="x" * 350,
        )
        for name, (make, calls) in frameworks.items():
            running = {
                each: calls(app, f"Bearer {token}", options.calls)
                for each, app in make(issuer, resource).items()
            }
            took: dict[str, float] = {}
            for _ in range(options.rounds):  # in turns, so that all meet the same disturbances
                for each, call in running.items():
                    took[each] = min(next(call), took.get(each, float("inf")))
            ours, theirs = (took[each] - took[PLAIN] for each in (GRANTWAY, ALTERNATIVE))
            ratio = theirs / ours
            print(f"{name:10}{took[PLAIN]:14.1f}{ours:+14.1f}{theirs:+14.1f}{ratio:8.1f}")


if __name__ == "__main__":
    main()
