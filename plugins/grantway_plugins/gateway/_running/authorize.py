"""Tokens for proxies that forward the requests themselves: Envoy, nginx, Traefik and Caddy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grantway._transport.http import is_loopback
from grantway_plugins.gateway.upstream._asgi_middleware import note
from grantway_plugins.gateway.upstream._proxy_headers import (
    UNDERSCORED,
    hyphenated,
    is_reserved,
)
from grantway_plugins.gateway.upstream._refusal import RequestRefusedError, response_for
from grantway_plugins.gateway.upstream._request_context import RequestContext
from grantway_plugins.gateway.upstream._upstream_auth import UpstreamAuth
from grantway_plugins.gateway.upstream._upstream_token import UpstreamToken
from grantway_plugins.server._http.asgi import Receive, Scope, Send, send_response
from grantway_plugins.server._http.wire import WireResponse

from .headers import is_one_of
from .own_name import is_own_name

#: nginx passes 401 and 403 on, and makes 500 of any other refusal.
_FORBIDDEN = 403
_OTHERS = frozenset({400, 501})
_ENVOY_REMOVES = b"x-envoy-auth-headers-to-remove"
_NO_STORE = (b"cache-control", b"no-store")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class _Asking:
    """How a proxy describes the request that it asks about, and reads the answer.

    Attributes:
        uri: The header with the request's target; empty if the proxy asks with the request's own.
        method: The header with its method.
        hint: What to configure if the headers are missing.
        copies: Whether the proxy replaces the request's token header by the answer's, and drops
            it if the answer has none.
        limited: Whether it passes only the statuses 401 and 403 on.
    """

    uri: bytes = b""
    method: bytes = b""
    hint: str = ""
    copies: bool = True
    limited: bool = False


_ENVOY = _Asking(copies=False)
_NGINX = _Asking(
    b"x-original-uri",
    b"x-original-method",
    "nginx must set X-Original-URI ($request_uri) and X-Forwarded-Host ($host)",
    limited=True,
)
_FORWARD_AUTH = _Asking(
    b"x-forwarded-uri",
    b"x-forwarded-method",
    "the proxy must send X-Forwarded-Uri and X-Forwarded-Host",
)


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
        self._paths = {
            table["nginx_path"]: _NGINX,
            table["forward_auth_path"]: _FORWARD_AUTH,
        }
        #: Names of which no other spelling may pass: Envoy, nginx and others copy every header.
        self._guarded = frozenset().union(*(route.guarded for route in upstream.routes))
        self._spelled = frozenset(
            name.encode()
            for route in upstream.routes
            for name in (route.header.lower(), route.tenant_header)
        )

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Judge one request."""
        peer = scope["client"][0] if scope.get("client") else ""
        if not (is_one_of(peer, self._allow) if self._allow else is_loopback(peer)):
            await _refuse(send, 403, b"only the proxies of this gateway may ask")
            return
        if not is_own_name(scope):
            await _refuse(send, 403, b"use this machine's IP address or localhost as the host name")
            return
        path = (scope.get("raw_path") or b"").partition(b"?")[0].decode("latin-1")
        asking = self._paths.get(path, _ENVOY)
        try:
            if asking.uri:
                facts = _described(scope, asking)
            elif path.startswith(f"{self._prefix}/"):
                path = path.removeprefix(self._prefix)
                facts = _facts(scope, _first(scope, b"host"), path, scope["method"])
            else:
                await send_response(send, WireResponse(404, (_NO_STORE,), b""))
                return
            self._check_spelling(scope)
            answer = await self._judge(facts, asking)
        except _MalformedError as error:
            answer = response_for(error)
        except RequestRefusedError as error:
            answer = _passed_on(response_for(error), asking)
        await send_response(send, answer)

    def _check_spelling(self, scope: Scope) -> None:
        """Refuse a second spelling of the token's, the tenant's or a proxy's header.

        The proxy forwards it, and servers upstream may read ``X_Tenant`` as ``X-Tenant``.

        Raises:
            RequestRefusedError: the request has such a header.
        """
        for name, _ in scope["headers"]:
            plain = hyphenated(name)
            if plain == name or name in self._spelled:
                continue
            if plain in self._guarded or is_reserved(plain):
                raise RequestRefusedError(
                    f"Send {plain.decode()} with hyphens, not as {name.decode('latin-1')}"
                )

    async def _judge(self, facts: RequestContext, asking: _Asking) -> WireResponse:
        try:
            injection = await self._upstream.prepare_async(facts)
        except Exception as error:  # noqa: BLE001 - said to the proxy as what it is
            note(error)
            return _passed_on(response_for(error), asking)
        if injection is None:
            return WireResponse(_FORBIDDEN if asking.limited else 404, (_NO_STORE,), b"")
        return WireResponse(200, tuple(_granted(injection, facts, asking)), b"")


class _MalformedError(RequestRefusedError):
    """The proxy described the request with characters that no request has."""


def _granted(
    injection: UpstreamToken, facts: RequestContext, asking: _Asking
) -> Sequence[tuple[bytes, bytes]]:
    """The headers that the proxy takes over into the request."""
    headers: list[tuple[bytes, bytes]] = [_NO_STORE]
    name = injection.route.header.lower()
    if injection.header is not None:
        headers.append((name.encode(), injection.header[1].encode()))
    elif injection.kept and asking.copies:
        headers.append((name.encode(), facts.header(name).encode()))
    if not asking.copies:
        set_again = {name} if injection.header is not None else set()
        removed = {each.encode() for each in injection.removed - set_again}
        headers.append((_ENVOY_REMOVES, b",".join(sorted(removed.union(UNDERSCORED)))))
    return headers


def _described(scope: Scope, asking: _Asking) -> RequestContext:
    """The request that a proxy asks about, by the headers that its configuration sets.

    Raises:
        RequestRefusedError: they are missing.
    """
    uri = _first(scope, asking.uri)
    host = _first(scope, b"x-forwarded-host")
    if _CONTROL.search(uri):
        raise _MalformedError(f"{asking.uri.decode()} holds control characters or spaces")
    if not uri.startswith("/") or not host:
        raise RequestRefusedError(asking.hint, status=403)
    return _facts(scope, host, uri.partition("?")[0], _first(scope, asking.method))


def _facts(scope: Scope, host: str, path: str, method: str) -> RequestContext:
    headers = scope["headers"]

    def values(name: str) -> list[str]:
        wanted = name.encode("latin-1")
        return [value.decode("latin-1") for key, value in headers if key == wanted]

    return RequestContext(host, path, values, scope, method=method)


def _first(scope: Scope, name: bytes) -> str:
    found = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    if len(found) > 1:
        raise RequestRefusedError(f"The {name.decode()} header is repeated; send it once")
    return found[0] if found else ""


def _passed_on(answer: WireResponse, asking: _Asking) -> WireResponse:
    """The answer with a status that the proxy passes on."""
    if not asking.limited or answer.status not in _OTHERS:
        return answer
    return WireResponse(_FORBIDDEN, answer.headers, answer.body)


async def _refuse(send: Send, status: int, message: bytes) -> None:
    await send_response(
        send, WireResponse(status, (_NO_STORE, (b"content-type", b"text/plain")), message)
    )
