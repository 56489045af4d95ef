"""A resource server behind the gateway, and proxies that forward requests to it."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from wsgiref.validate import validator

import httpx
import requests
from werkzeug.wsgi import get_input_stream

from grantway._credentials.credential import Credential
from grantway._credentials.pool import CredentialPool
from grantway_plugins.gateway.upstream import AsgiUpstreamAuth, UpstreamAuth, WsgiUpstreamAuth
from tests.plugins.auth.resource import Application
from tests.plugins.gateway.servers import asgi_server, wsgiref_server

AUDIENCE = "https://orders.example.com/"
CHALLENGE = 'Bearer error="invalid_token"'
_TRAVEL = {"connection", "content-length", "date", "host", "server", "transfer-encoding"}


class Tenants:
    """A credential for each tenant, whose tokens have it as audience; counts the tokens."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.issued: dict[str, int] = {}
        self._counting = threading.Lock()
        self.pool = CredentialPool(self.make)

    def make(self, tenant: str) -> Credential:
        def count(_token: Any) -> None:
            with self._counting:
                self.issued[tenant] = self.issued.get(tenant, 0) + 1

        return self.application.client.credential(
            grant_type="client_credentials", resource=[AUDIENCE + tenant], on_token=count
        )


@dataclass(frozen=True)
class Seen:
    """A request that the resource received."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class OrdersServer:
    """A resource that introspects each token at the issuer and returns its tenant."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.seen: list[Seen] = []
        #: Tokens to reject even if they are active.
        self.rejected: set[str] = set()
        self.challenge = CHALLENGE
        self.status = 401

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        headers = {
            key.removeprefix("HTTP_").replace("_", "-").lower(): value
            for key, value in environ.items()
            if key.startswith("HTTP_")
        }
        body = get_input_stream(environ).read()
        self.seen.append(Seen(environ["REQUEST_METHOD"], environ["RAW_URI"], headers, body))
        claims = self._claims(headers)
        content = {
            "tenant": [each.removeprefix(AUDIENCE) for each in claims.get("aud", [])],
            "sub": claims.get("sub"),
            "body": body.decode("latin-1"),
        }
        response = json.dumps(content).encode()
        about = [("Content-Length", str(len(response))), ("Content-Type", "application/json")]
        if headers.get("x-open") or claims.get("active"):
            start_response("200 OK", about)
        else:
            start_response(f"{self.status} No", [*about, ("WWW-Authenticate", self.challenge)])
        return [response]

    def _claims(self, headers: dict[str, str]) -> dict[str, Any]:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if not token or token in self.rejected:
            return {}
        response = requests.post(
            f"{self._application.issuer}/introspect",
            data={"token": token},
            auth=self._application.secrets,
            timeout=30,
        )
        assert response.status_code == 200, response.text
        claims: dict[str, Any] = response.json()
        return claims

    @property
    def tokens(self) -> list[str]:
        """Tokens of the requests, in order."""
        return [each.headers.get("authorization", "").removeprefix("Bearer ") for each in self.seen]


class AsgiProxy:
    """Forwards requests with httpx, streaming both bodies."""

    def __init__(self, target: str) -> None:
        self._target = target

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def body() -> AsyncIterator[bytes]:
            more = True
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    return
                more = message.get("more_body", False)
                yield message.get("body", b"")

        headers = [each for each in scope["headers"] if each[0].decode() not in _TRAVEL]
        url = self._target + scope["raw_path"].decode()
        # verify=False skips loading the certificates for each client, which takes long.
        async with (
            httpx.AsyncClient(verify=False, trust_env=False, timeout=30) as client,
            client.stream(scope["method"], url, headers=headers, content=body()) as response,
        ):
            kept = [
                (name.encode(), value.encode())
                for name, value in response.headers.items()
                if name not in _TRAVEL
            ]
            await send(
                {"type": "http.response.start", "status": response.status_code, "headers": kept}
            )
            async for part in response.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})


class WsgiProxy:
    """Forwards with requests. As a generator, it starts the response when that is first read."""

    def __init__(self, target: str) -> None:
        self._target = target

    def __call__(self, environ: Any, start_response: Any) -> Iterator[bytes]:
        headers = {
            name: value
            for key, value in environ.items()
            if key.startswith("HTTP_")
            and (name := key.removeprefix("HTTP_").replace("_", "-").lower()) not in _TRAVEL
        }
        left = int(environ.get("CONTENT_LENGTH") or 0)
        sizes = [min(1000, left - at) for at in range(0, left, 1000)]
        parts = (environ["wsgi.input"].read(size) for size in sizes)
        with requests.Session() as session:
            session.trust_env = False
            # Without this, requests would read a netrc file.
            session.auth = lambda request: request
            response = session.request(
                environ["REQUEST_METHOD"],
                self._target + environ["PATH_INFO"],
                headers=headers,
                data=parts,
                timeout=30,
            )
            kept = [each for each in response.headers.items() if each[0].lower() not in _TRAVEL]
            start_response(f"{response.status_code} Said", kept)
            yield response.content


@contextmanager
def asgi_gateway(upstream: UpstreamAuth, target: str, **options: Any) -> Iterator[str]:
    with asgi_server(AsgiUpstreamAuth(AsgiProxy(target), upstream, **options)) as url:
        yield url


@contextmanager
def wsgi_gateway(upstream: UpstreamAuth, target: str, **options: Any) -> Iterator[str]:
    # The validators check the rules of PEP 3333 on both sides of the middleware.
    with wsgiref_server(WsgiUpstreamAuth(validator(WsgiProxy(target)), upstream, **options)) as url:
        yield url


GATEWAYS: dict[str, Callable[..., Any]] = {"asgi": asgi_gateway, "wsgi": wsgi_gateway}
