"""HTTP libraries, each as a function that sends one request with a credential."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import httpx
import requests

from grantway_plugins.auth import HttpxAuth, RequestsAuth, TokenSource


@dataclass(frozen=True)
class Response:
    """The parts of a response that every library reports."""

    status: int
    text: str
    challenge: str


def by_requests(
    source: TokenSource, url: str, body: Any = None, *, method: str = "POST", **options: Any
) -> Response:
    with requests.Session() as session:
        session.trust_env = False
        auth = RequestsAuth(source, **options)
        got = session.request(method, url, data=body, auth=auth, timeout=30)
        return Response(got.status_code, got.text, got.headers.get("WWW-Authenticate", ""))


def by_httpx(
    source: TokenSource, url: str, body: Any = None, *, method: str = "POST", **options: Any
) -> Response:
    with httpx.Client(follow_redirects=True, trust_env=False, timeout=30) as client:
        auth = HttpxAuth(source, **options)
        return answer(client.request(method, url, content=body, auth=auth))


def by_async_httpx(
    source: TokenSource, url: str, body: Any = None, *, method: str = "POST", **options: Any
) -> Response:
    async def send() -> Response:
        content = body if body is None or isinstance(body, (bytes, str)) else stream(body)
        async with httpx.AsyncClient(follow_redirects=True, trust_env=False, timeout=30) as client:
            auth = HttpxAuth(source, **options)
            return answer(await client.request(method, url, content=content, auth=auth))

    return asyncio.run(send())


async def stream(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def answer(got: httpx.Response) -> Response:
    return Response(got.status_code, got.text, got.headers.get("WWW-Authenticate", ""))


Library = Callable[..., Response]
LIBRARIES: dict[str, Library] = {
    "requests": by_requests,
    "httpx": by_httpx,
    "async httpx": by_async_httpx,
}
