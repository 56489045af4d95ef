"""The authorization endpoint for other proxies: Envoy, nginx, Traefik and Caddy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from grantway._transport.http import is_loopback
from grantway_plugins.gateway.upstream._asgi_middleware import log_failure
from grantway_plugins.gateway.upstream._proxy_headers import (
    UNDERSCORED,
    hyphenated,
    is_reserved,
)
from grantway_plugins.gateway.upstream._rejection import RequestRejectedError, response_for
from grantway_plugins.gateway.upstream._request_context import RequestContext
from grantway_plugins.gateway.upstream._upstream_auth import UpstreamAuth
from grantway_plugins.gateway.upstream._upstream_token import UpstreamToken
from grantway_plugins.server._http.asgi import Receive, Scope, Send, send_response
from grantway_plugins.server._http.own_name import is_own_name
from grantway_plugins.server._http.peer_networks import is_one_of
from grantway_plugins.server._http.wire import WireResponse

from .cached_responses import CACHED, NO_STORE, ROUTE, CachedResponses, check_cacheable

#: nginx returns 401 and 403 to the client, and turns any other error into 500.
_FORBIDDEN = 403
_OTHERS = frozenset({400, 501})
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
        upstream: Routes that add tokens to requests.
        table: The table ``[authorize]`` of the file.
    """

    def __init__(self, upstream: UpstreamAuth, table: Mapping[str, Any]) -> None:
        self._upstream = upstream
        self._allow = table["allow"]
        self._prefix = table["envoy_prefix"].rstrip("/")
        self._paths: dict[str, _ProxyProtocol] = {}
        for key, protocol in (("nginx_path", _NGINX), ("forward_auth_path", _FORWARD_AUTH)):
            path = table[key]
            self._paths[path] = protocol
            self._paths.setdefault(f"{path.rstrip('/')}{CACHED}", replace(protocol, cached=True))
        self._cached = CachedResponses(upstream, table["cache_seconds"])
        #: Names of which other spellings are rejected, because Envoy, nginx and others copy them.
        self._guarded = frozenset().union(*(route.guarded for route in upstream.routes))
        self._spelled = frozenset(
            name.encode()
            for route in upstream.routes
            for name in (route.header.lower(), route.tenant_header)
        )

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Respond to a proxy's request."""
        peer = scope["client"][0] if scope.get("client") else ""
        if not (is_one_of(peer, self._allow) if self._allow else is_loopback(peer)):
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
            if protocol.uri:
                context = _described_request(scope, protocol)
            elif path.startswith(f"{self._prefix}/"):
                path = path.removeprefix(self._prefix)
                context = _request_context(scope, _first(scope, b"host"), path, scope["method"])
            else:
                await send_response(send, WireResponse(404, (NO_STORE,), b""))
                return
            self._check_spelling(scope)
            response = await self._respond(context, protocol, _first(scope, ROUTE))
        except _MalformedError as error:
            response = response_for(error)
        except RequestRejectedError as error:
            response = _with_passed_status(response_for(error), protocol)
        await send_response(send, response)

    def _check_spelling(self, scope: Scope) -> None:
        """Reject other spellings of the token header, the tenant header and proxy headers.

        The proxy forwards such headers, and upstream servers may read ``X_Tenant`` as ``X-Tenant``.

        Raises:
            RequestRejectedError: The request has such a header.
        """
        for name, _ in scope["headers"]:
            plain = hyphenated(name)
            if plain == name or name in self._spelled:
                continue
            if plain in self._guarded or is_reserved(plain):
                raise RequestRejectedError(
                    f"Send {plain.decode()} with hyphens, not as {name.decode('latin-1')}"
                )

    async def _respond(
        self, context: RequestContext, protocol: _ProxyProtocol, route: str
    ) -> WireResponse:
        try:
            upstream_token = await self._upstream.prepare_async(context)
        except Exception as error:  # noqa: BLE001 - the response reports it
            log_failure(error)
            return _with_passed_status(response_for(error), protocol)
        if upstream_token is None:
            return WireResponse(_FORBIDDEN if protocol.limited else 404, (NO_STORE,), b"")
        found = upstream_token.route
        if route not in {"", found.name}:
            raise RequestRejectedError(
                f"The proxy forwards this request by the route {route}, but it belongs to "
                f"{found.name}; create the proxy's configuration again",
                status=403,
            )
        caching: tuple[tuple[bytes, bytes], ...] = (NO_STORE,)
        if protocol.cached:
            check_cacheable(found)
            caching = self._cached.headers(upstream_token)
        granted = _granted_headers(upstream_token, context, protocol)
        return WireResponse(200, (*caching, *granted), b"")


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
        set_again = {name} if upstream_token.header is not None else set()
        removed = {each.encode() for each in upstream_token.removed - set_again}
        headers.append((_ENVOY_REMOVES, b",".join(sorted(removed.union(UNDERSCORED)))))
    return headers


def _described_request(scope: Scope, protocol: _ProxyProtocol) -> RequestContext:
    """Return the request described by the headers that the proxy's configuration sets.

    Raises:
        RequestRejectedError: The headers are missing or invalid.
    """
    uri = _first(scope, protocol.uri)
    host = _first(scope, b"x-forwarded-host")
    if _CONTROL.search(uri):
        raise _MalformedError(f"{protocol.uri.decode()} contains control characters or spaces")
    if not uri.startswith("/") or not host:
        raise RequestRejectedError(protocol.hint, status=403)
    return _request_context(scope, host, uri.partition("?")[0], _first(scope, protocol.method))


def _request_context(scope: Scope, host: str, path: str, method: str) -> RequestContext:
    headers = scope["headers"]

    def values(name: str) -> list[str]:
        wanted = name.encode("latin-1")
        return [value.decode("latin-1") for key, value in headers if key == wanted]

    return RequestContext(host, path, values, scope, method=method)


def _first(scope: Scope, name: bytes) -> str:
    found = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    if len(found) > 1:
        raise RequestRejectedError(f"The {name.decode()} header is repeated; send it once")
    return found[0] if found else ""


def _with_passed_status(response: WireResponse, protocol: _ProxyProtocol) -> WireResponse:
    """Return the response with a status that the proxy returns to the client."""
    if not protocol.limited or response.status not in _OTHERS:
        return response
    return WireResponse(_FORBIDDEN, response.headers, response.body)


async def _reject(send: Send, status: int, message: bytes) -> None:
    await send_response(
        send, WireResponse(status, (NO_STORE, (b"content-type", b"text/plain")), message)
    )
