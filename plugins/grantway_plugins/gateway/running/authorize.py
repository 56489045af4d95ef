"""Tokens for a proxy that forwards the requests itself: Envoy's ext_authz, nginx's auth_request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from grantway.http import is_loopback
from grantway_plugins.gateway.upstream.asgi_middleware import note
from grantway_plugins.gateway.upstream.facts import Facts
from grantway_plugins.gateway.upstream.injection import Injection
from grantway_plugins.gateway.upstream.refusal import RequestRefusedError, answer_for
from grantway_plugins.gateway.upstream.upstream_auth import UpstreamAuth
from grantway_plugins.issuer.asgi import Receive, Scope, Send, send_answer
from grantway_plugins.issuer.wire import Answer

from .headers import is_one_of
from .own_name import is_own_name

#: What nginx passes on of a refusal; it makes 500 of anything else.
_FORBIDDEN, _BAD_REQUEST = 403, 400
_ENVOY_REMOVES = b"x-envoy-auth-headers-to-remove"
_NO_STORE = (b"cache-control", b"no-store")


class Authorize:
    """An ASGI application that answers whether a request may pass, and with which token.

    It gives out tokens, so only the proxies may reach it.

    Args:
        upstream: The rules.
        table: ``[authorize]`` of the file.
    """

    def __init__(self, upstream: UpstreamAuth, table: Mapping[str, Any]) -> None:
        self._upstream = upstream
        self._allow = table["allow"]
        self._prefix = table["envoy_prefix"].rstrip("/")
        self._nginx = table["nginx_path"]

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Judge one request."""
        peer = scope["client"][0] if scope.get("client") else ""
        if not (is_one_of(peer, self._allow) if self._allow else is_loopback(peer)):
            await _refuse(send, 403, b"only the proxies of this gateway may ask")
            return
        if not is_own_name(scope):
            await _refuse(send, 403, b"name this machine by its address, not by another name")
            return
        path = (scope.get("raw_path") or b"").partition(b"?")[0].decode("latin-1")
        try:
            if path == self._nginx:
                answer = await self._judge(_asked_by_nginx(scope), nginx=True)
            elif path.startswith(f"{self._prefix}/"):
                answer = await self._judge(
                    _facts(scope, _first(scope, b"host"), path.removeprefix(self._prefix))
                )
            else:
                answer = Answer(404, (_NO_STORE,), b"")
        except RequestRefusedError as error:
            answer = _for_nginx(answer_for(error)) if path == self._nginx else answer_for(error)
        await send_answer(send, answer)

    async def _judge(self, facts: Facts, *, nginx: bool = False) -> Answer:
        try:
            injection = await self._upstream.prepare_async(facts)
        except Exception as error:  # noqa: BLE001 - said to the proxy as what it is
            note(error)
            answer = answer_for(error)
            return _for_nginx(answer) if nginx else answer
        if injection is None:
            return Answer(404 if not nginx else _FORBIDDEN, (_NO_STORE,), b"")
        return Answer(200, tuple(_granted(injection, facts, nginx=nginx)), b"")


def _granted(injection: Injection, facts: Facts, *, nginx: bool) -> Sequence[tuple[bytes, bytes]]:
    """The headers that the proxy takes over into the request."""
    headers: list[tuple[bytes, bytes]] = [_NO_STORE]
    name = injection.route.header.lower()
    if injection.header is not None:
        headers.append((name.encode(), injection.header[1].encode()))
    elif injection.kept and nginx:
        # nginx sets the header to what is said here, and leaves it out where nothing is.
        headers.append((name.encode(), facts.header(name).encode()))
    removed = sorted(injection.removed - ({name} if injection.header is not None else set()))
    if removed and not nginx:
        headers.append((_ENVOY_REMOVES, ",".join(removed).encode()))
    return headers


def _asked_by_nginx(scope: Scope) -> Facts:
    """The request that nginx asks for, by the headers that its configuration sets.

    Raises:
        RequestRefusedError: they are not there.
    """
    uri = _first(scope, b"x-original-uri")
    host = _first(scope, b"x-forwarded-host")
    if not uri.startswith("/") or not host:
        raise RequestRefusedError(
            "nginx must set X-Original-URI ($request_uri) and X-Forwarded-Host ($host)", status=403
        )
    return _facts(scope, host, urlsplit(f"http://x{uri}").path)


def _facts(scope: Scope, host: str, path: str) -> Facts:
    headers = scope["headers"]

    def values(name: str) -> list[str]:
        wanted = name.encode("latin-1")
        return [value.decode("latin-1") for key, value in headers if key == wanted]

    return Facts(host, path, values, scope)


def _first(scope: Scope, name: bytes) -> str:
    found = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    if len(found) > 1:
        raise RequestRefusedError(f"The {name.decode()} header stands more than once")
    return found[0] if found else ""


def _for_nginx(answer: Answer) -> Answer:
    """The same with a status that nginx passes on; where there is no token it makes 500 of it."""
    if answer.status != _BAD_REQUEST:
        return answer
    return Answer(_FORBIDDEN, answer.headers, answer.body)


async def _refuse(send: Send, status: int, message: bytes) -> None:
    await send_answer(send, Answer(status, (_NO_STORE, (b"content-type", b"text/plain")), message))
