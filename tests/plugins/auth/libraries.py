"""HTTP libraries, each as a function that sends one request with a credential."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx
import httpx2
import requests

from grantway_plugins.auth import ResourceAuth, TokenAuth, TokenSource

#: Options of httpx clients; creating a TLS context for each client would take longer than a test.
OPTIONS: dict[str, Any] = {
    "follow_redirects": True,
    "timeout": 30,
    "trust_env": False,
    "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
}


#: A source of tokens, or an object that uses one.
Source = TokenSource | TokenAuth | ResourceAuth


@dataclass(frozen=True)
class Response:
    """The parts of a response that every library reports."""

    status: int
    text: str
    challenge: str


#: Sends a request with a source, and returns the response.
Library = Callable[..., Response]


def by_requests(
    source: Source,
    url: str,
    body: Any = None,
    *,
    method: str = "POST",
    **options: Any,
) -> Response:
    with requests.Session() as session:
        session.trust_env = False
        auth = auth_of(source, options)
        got = session.request(method, url, data=body, auth=auth, timeout=30)
        return Response(got.status_code, got.text, got.headers.get("WWW-Authenticate", ""))


def by_client(module: Any) -> Library:
    """Return a function that sends with ``Client`` of httpx or httpx2."""

    def send(
        source: Source, url: str, body: Any = None, *, method: str = "POST", **options: Any
    ) -> Response:
        with module.Client(**OPTIONS) as client:
            auth = auth_of(source, options)
            return answer(client.request(method, url, content=body, auth=auth))

    return send


def by_async_client(module: Any) -> Library:
    """Return a function that sends with ``AsyncClient`` of httpx or httpx2."""

    def send(
        source: Source, url: str, body: Any = None, *, method: str = "POST", **options: Any
    ) -> Response:
        async def request() -> Response:
            async with module.AsyncClient(**OPTIONS) as client:
                auth = auth_of(source, options)
                return answer(await client.request(method, url, content=streamed(body), auth=auth))

        return asyncio.run(request())

    return send


by_httpx, by_httpx2 = by_client(httpx), by_client(httpx2)
by_async_httpx, by_async_httpx2 = by_async_client(httpx), by_async_client(httpx2)


def by_aiohttp(
    source: Source,
    url: str,
    body: Any = None,
    *,
    method: str = "POST",
    **options: Any,
) -> Response:
    """Send with aiohttp, which requires ``origins``: by default, the one of the URL."""

    async def send() -> Response:
        auth = auth_of(source, {"origins": [url], **options})
        data = body if hasattr(body, "read") or callable(body) else streamed(body)
        async with (
            aiohttp.ClientSession(middlewares=[auth]) as session,
            session.request(method, url, data=data) as got,
        ):
            challenge = got.headers.get("WWW-Authenticate", "")
            return Response(got.status, await got.text(), challenge)

    return asyncio.run(send())


def auth_of(source: Source, options: Mapping[str, Any]) -> TokenAuth | ResourceAuth:
    if isinstance(source, (TokenAuth, ResourceAuth)):
        return source
    return TokenAuth(source, **options)


def streamed(body: Any) -> Any:
    return body if body is None or isinstance(body, (bytes, str)) else stream(body)


async def stream(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def answer(got: httpx.Response | httpx2.Response) -> Response:
    return Response(got.status_code, got.text, got.headers.get("WWW-Authenticate", ""))


async def gather(library: str, auth: TokenAuth | ResourceAuth, url: str, tasks: int) -> list[int]:
    """Send requests at once with one client, and return their statuses."""
    if library == "aiohttp":
        async with aiohttp.ClientSession(middlewares=[auth]) as session:

            async def send() -> int:
                async with session.post(url, data=b"x") as response:
                    return response.status

            return await asyncio.gather(*(send() for _ in range(tasks)))
    module: Any = {"httpx": httpx, "httpx2": httpx2}[library]
    limits = module.Limits(max_connections=64)
    async with module.AsyncClient(auth=auth, limits=limits, **OPTIONS) as client:
        posts = (client.post(url, content=b"x") for _ in range(tasks))
        return [each.status_code for each in await asyncio.gather(*posts)]


LIBRARIES: dict[str, Library] = {
    "requests": by_requests,
    "httpx": by_httpx,
    "httpx2": by_httpx2,
    "async httpx": by_async_httpx,
    "async httpx2": by_async_httpx2,
    "aiohttp": by_aiohttp,
}
