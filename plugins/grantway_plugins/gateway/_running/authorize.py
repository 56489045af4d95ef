"""The HTTP authorization endpoint for other proxies: Envoy, nginx, Traefik and Caddy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from grantway_plugins.gateway.upstream._rejection import RequestRejectedError, response_for
from grantway_plugins.gateway.upstream._request_context import RequestContext
from grantway_plugins.gateway.upstream._upstream_auth import UpstreamAuth
from grantway_plugins.gateway.upstream._upstream_token import UpstreamToken
from grantway_plugins.server._http.asgi import Receive, Scope, Send, send_response
from grantway_plugins.server._http.own_name import is_own_name
from grantway_plugins.server._http.wire import WireResponse

from .cached_responses import CACHED, NO_STORE, CachedResponses, check_cacheable
from .decision import NO_ROUTE, Decision, denial, first, removed_by_envoy, request_context

#: nginx returns 401 and 403 to the client, and turns any other error into 500.
_FORBIDDEN = 403
_OTHERS = frozenset({400, 404, 501})
_ENVOY_REMOVES = b"x-envoy-auth-headers-to-remove"
_CONTROL = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class _ProxyProtocol:
    """The protocol between a proxy and its authorization endpoint.

    Attributes:
        uri: Header with the target of the request; empty if the proxy sends the request itself.
        method: Header with the method of the request.
        hint: Error message that names the settings if the headers are missing.
        copies: Whether the proxy replaces the token header of the request with that of the
            response, and removes it if the response has none.
        limited: Whether only the statuses 401 and 403 reach the client.
        cached: Whether the proxy may cache responses.
    """

    uri: bytes = b""
    method: bytes = b""
    hint: str = ""
    copies: bool = True
    limited: bool = False
    cached: bool = False


_ENVOY = _ProxyProtocol(copies=False)
_NGINX = _ProxyProtocol(
    b"x-original-uri",
    b"x-original-method",
    "nginx must set X-Original-URI ($request_uri) and X-Forwarded-Host ($host)",
    limited=True,
)
_FORWARD_AUTH = _ProxyProtocol(
    b"x-forwarded-uri",
    b"x-forwarded-method",
    "the proxy must send X-Forwarded-Uri and X-Forwarded-Host",
)


class Authorize:
    """An ASGI application that decides whether a request may pass, and with which token.

    Its responses contain tokens, so only the proxies may reach it.

    Args:
        decision: The rules, which do not depend on the protocol.
        upstream: Routes that add tokens to requests.
        table: The table ``[authorize]`` of the file.
    """

    def __init__(
        self, decision: Decision, upstream: UpstreamAuth, table: Mapping[str, Any]
    ) -> None:
        self._decision = decision
        self._prefix = table["envoy_prefix"].rstrip("/")
        self._paths: dict[str, _ProxyProtocol] = {}
        for key, protocol in (("nginx_path", _NGINX), ("forward_auth_path", _FORWARD_AUTH)):
            path = table[key]
            self._paths[path] = protocol
            self._paths.setdefault(f"{path.rstrip('/')}{CACHED}", replace(protocol, cached=True))
        self._cached = CachedResponses(upstream, table["cache_seconds"])

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Respond to a proxy's request."""
        if not self._decision.admits(scope["client"][0] if scope.get("client") else ""):
            await _reject(send, 403, b"only the proxies of this gateway may use this endpoint")
            return
        if not is_own_name(scope):
            await _reject(send, 403, b"use this machine's IP address or localhost as the host name")
            return
        path = (scope.get("raw_path") or b"").partition(b"?")[0].decode("latin-1")
        protocol = self._paths.get(path, _ENVOY)
        if protocol.cached:
            scope = self._cached.scope(scope)
        try:
            host = first(scope, b"x-forwarded-host" if protocol.uri else b"host")
            if protocol.uri:
                context = _described_request(scope, host, protocol)
            elif path.startswith(f"{self._prefix}/"):
                path = path.removeprefix(self._prefix)
                context = request_context(scope, host, path, scope["method"])
            else:
                await send_response(send, NO_ROUTE)
                return
            token = await self._decision.token(context, host, scope)
            response = NO_ROUTE if token is None else self._granted(token, context, protocol)
        except _MalformedError as error:
            await send_response(send, response_for(error))
            return
        except Exception as error:  # noqa: BLE001 - the response reports it
            response = denial(error)
        await send_response(send, _with_passed_status(response, protocol))

    def _granted(
        self, token: UpstreamToken, context: RequestContext, protocol: _ProxyProtocol
    ) -> WireResponse:
        caching: tuple[tuple[bytes, bytes], ...] = (NO_STORE,)
        if protocol.cached:
            check_cacheable(token.route)
            caching = self._cached.headers(token)
        return WireResponse(200, (*caching, *_granted_headers(token, context, protocol)), b"")


class _MalformedError(RequestRejectedError):
    """The proxy sent a request target with invalid characters."""


def _granted_headers(
    upstream_token: UpstreamToken, context: RequestContext, protocol: _ProxyProtocol
) -> Sequence[tuple[bytes, bytes]]:
    """Return the headers that the proxy copies into the request."""
    headers: list[tuple[bytes, bytes]] = []
    name = upstream_token.route.header.lower()
    if upstream_token.header is not None:
        headers.append((name.encode(), upstream_token.header[1].encode()))
    elif upstream_token.kept and protocol.copies:
        headers.append((name.encode(), context.header(name).encode()))
    if not protocol.copies:
        headers.append((_ENVOY_REMOVES, b",".join(removed_by_envoy(upstream_token))))
    return headers


def _described_request(scope: Scope, host: str, protocol: _ProxyProtocol) -> RequestContext:
    """Return the request described by the headers that the proxy's configuration sets.

    Raises:
        RequestRejectedError: The headers are missing or invalid.
    """
    uri = first(scope, protocol.uri)
    if _CONTROL.search(uri):
        raise _MalformedError(f"{protocol.uri.decode()} contains control characters or spaces")
    if not uri.startswith("/") or not host:
        raise RequestRejectedError(protocol.hint, status=403)
    return request_context(scope, host, uri.partition("?")[0], first(scope, protocol.method))


def _with_passed_status(response: WireResponse, protocol: _ProxyProtocol) -> WireResponse:
    """Return the response with a status that the proxy returns to the client."""
    if not protocol.limited or response.status not in _OTHERS:
        return response
    return WireResponse(_FORBIDDEN, response.headers, response.body)


async def _reject(send: Send, status: int, message: bytes) -> None:
    await send_response(
        send, WireResponse(status, (NO_STORE, (b"content-type", b"text/plain")), message)
    )
