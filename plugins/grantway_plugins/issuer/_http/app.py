"""The issuer's ASGI application.

It dispatches requests to the endpoints for clients, and all others to the pages for users.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from grantway._processes.copies import OneProcess
from grantway_plugins.issuer._audit_log import AuditLog
from grantway_plugins.issuer._aws_portal.portal import METHODS, Portal
from grantway_plugins.issuer._clients.documents import ClientDocumentReader
from grantway_plugins.issuer._clients.fetching import Fetcher
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.openid import discovery_metadata
from grantway_plugins.issuer._extensions.loading import OfferedExtension, load_extensions
from grantway_plugins.issuer._pages import LOGIN_PATHS, PATHS as PAGE_PATHS, STATIC_PATHS, Pages
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.server._http.asgi import (
    BodyProblem,
    Receive,
    Scope,
    Send,
    peer_of,
    read_body,
    send_response,
)
from grantway_plugins.server._http.denial import Denial
from grantway_plugins.server._http.headers import joined
from grantway_plugins.server._http.host_name import is_own_host
from grantway_plugins.server._http.incoming_request import (
    method_not_allowed,
    repeated_header_response,
)
from grantway_plugins.server._http.repeated_headers import repeated_header
from grantway_plugins.server._http.wire import (
    BODY_TIME,
    WireFormat,
    WireResponse,
    denial_response,
    dialect_of,
)
from grantway_plugins.server._listening.direct import DirectRequest, Respond

from .base_path import BasePath
from .client_endpoints import ClientEndpoints
from .cors import Cors
from .endpoints.jwks import JWKS, PublishedKeys
from .endpoints.metadata import RESERVED, metadata, metadata_response
from .execution import Execution
from .health import Health
from .preparations import preparations

if TYPE_CHECKING:
    from grantway_plugins.issuer._metrics import IssuerMetrics

OAUTH_METADATA = "/.well-known/oauth-authorization-server"
OPENID_METADATA = "/.well-known/openid-configuration"
_HEALTH = frozenset({"/health", "/readyz"})


class App(OneProcess):
    """The ASGI application.

    Args:
        issuer: Settings, grants and clocks.
        store: The database.
        extensions: Extensions of plugins.
        body_seconds: Time limit for a request body, in seconds.
        metrics: Counts events and issued tokens.
    """

    def __init__(
        self,
        issuer: Issuer,
        store: IssuerStore,
        *,
        extensions: Iterable[OfferedExtension] = (),
        body_seconds: float = BODY_TIME,
        metrics: IssuerMetrics | None = None,
    ) -> None:
        self._metrics = metrics
        self._issuer = issuer
        self._body_seconds = body_seconds
        observe = None if metrics is None else metrics.count_event
        self._audit = AuditLog(issuer.settings.url, observe)
        # With automatic approval, DNS rebinding would let any web page get a token.
        self._guards_all = issuer.settings.approve == "auto"
        self._cors = Cors(issuer.settings.cors_origins) if issuer.settings.cors_origins else None
        self._portal = Portal(issuer, store, issuer.settings.aws_accounts)
        self._health = Health(store, issuer.keys)
        asked = issuer.settings.client_documents
        self._fetcher = fetcher = Fetcher(() if asked is None else asked.private_hosts)
        documents = (
            None
            if asked is None
            else ClientDocumentReader(asked, issuer, store, fetcher, audit=self._audit)
        )
        execution = Execution(
            issuer,
            store,
            self._audit,
            self._health,
            preparations(issuer, store, fetcher, documents),
        )
        self._endpoints = ClientEndpoints(issuer, execution, body_seconds)
        content, discovery = metadata(issuer), discovery_metadata(issuer)
        self._keys = None if issuer.keys is None else PublishedKeys(issuer.keys, store)
        added = load_extensions(
            extensions,
            issuer.settings,
            paths={
                *self._endpoints,
                *METHODS,
                *_HEALTH,
                OAUTH_METADATA,
                OPENID_METADATA,
                *PAGE_PATHS,
                JWKS,
                *LOGIN_PATHS,
            },
            metadata=RESERVED | {*content, *discovery},
        )
        for endpoint, extension in added.endpoints.values():
            self._endpoints.serve(endpoint, extension.name, extension.plugin)
        content |= added.metadata
        self._gets: Mapping[str, WireResponse] = {
            OAUTH_METADATA: metadata_response(content),
            OPENID_METADATA: metadata_response({**content, **discovery}),
        }
        read_only = [*self._gets, *([] if self._keys is None else [JWKS])]
        self._base = BasePath(issuer.settings.url, [*read_only, *self._endpoints])
        self._pages = Pages(
            issuer,
            store,
            self._audit,
            documents=documents,
            pages=added.pages,
            body_seconds=body_seconds,
        )
        self._known = frozenset(
            {
                *self._endpoints,
                *self._gets,
                *self._portal.methods,
                *self._pages.paths,
                *_HEALTH,
            }
        )
        self._direct_targets = {self._base.target(path): path for path in self._endpoints}
        #: Methods of the endpoints that web pages of other origins may use, if CORS is enabled.
        self._for_web_pages = {
            **dict.fromkeys(read_only, "GET, HEAD"),
            **{path: each.methods for path, each in self._endpoints.items() if each.cors},
        }

    def close(self) -> None:
        """Close connections to other servers; safe to repeat."""
        self._fetcher.close()

    async def ready(self) -> WireResponse:
        """Return the response of ``/readyz``."""
        return await self._health.response()

    def endpoint_of(self, path: str) -> str | None:
        """Return the path of an endpoint or page without the issuer's path; None for others."""
        found = self._base.endpoint(path)
        return found if found in self._known else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return
        pairs = [(name, value.decode("latin-1")) for name, value in scope["headers"]]
        headers = joined(pairs)
        path, method = self._base.endpoint(scope["path"]), scope["method"]
        if path is None:
            await send_response(send, self._base.not_below)
            return
        scope = {**scope, "path": path}
        repeated = repeated_header(pairs)
        if repeated is not None:
            dialect = dialect_of(headers.get(b"content-type", "")) or WireFormat.RFC
            await self._send(repeated_header_response(repeated, dialect), scope, send)
            return
        if not self._accepts_host(path, headers):
            await self._misdirect(scope, receive, send)
            return
        if self._cors is not None and path in self._for_web_pages:
            send = self._cors.adding_headers(headers, send)
            preflight = self._cors.preflight(method, headers, self._for_web_pages[path])
            if preflight is not None:
                await send_response(send, preflight)
                return
        await self._dispatch(scope, headers, receive, send)

    @property
    def direct_targets(self) -> Collection[bytes]:
        """See ``DirectApp``."""
        return self._direct_targets.keys()

    def answer(self, request: DirectRequest, respond: Respond) -> None:
        """See ``DirectApp``."""
        path = self._direct_targets[request.target]
        pairs = [(name, value.decode("latin-1")) for name, value in request.headers]
        headers = joined(pairs)
        began = time.perf_counter()

        def finish(response: WireResponse) -> bool:
            self._log(response, path, request.peer)
            is_sent = respond(response)
            if self._metrics is not None:
                status = str(response.status) if is_sent else None
                self._metrics.count_request(path, status, time.perf_counter() - began)
            return is_sent

        repeated = repeated_header(pairs)
        if repeated is not None:
            dialect = dialect_of(headers.get(b"content-type", "")) or WireFormat.RFC
            finish(repeated_header_response(repeated, dialect))
            return
        if not self._accepts_host(path, headers):
            finish(_MISDIRECTED)
            return
        if self._cors is not None and path in self._for_web_pages:
            respond = self._cors.adding_to_response(headers, respond)
        self._endpoints[path].answer(headers, request.body, request.peer, finish)

    async def _dispatch(
        self, scope: Scope, headers: Mapping[bytes, str], receive: Receive, send: Send
    ) -> None:
        path, method = scope["path"], scope["method"]
        if path in _HEALTH and method in {"GET", "HEAD"}:
            await send_response(send, await self._health.response())
            return
        if path == JWKS and self._keys is not None and method in {"GET", "HEAD"}:
            await send_response(send, await self._keys.response())
            return
        if path in self._endpoints:
            endpoint = self._endpoints[path]
            await self._send(
                await endpoint.respond(
                    method, scope["query_string"], headers, peer_of(scope), receive
                ),
                scope,
                send,
            )
        elif path in self._portal.methods:
            await self._send(await self._call_portal(scope, headers, receive), scope, send)
        elif path in self._gets or path in _HEALTH or (path == JWKS and self._keys is not None):
            if method in {"GET", "HEAD"}:
                await send_response(send, self._gets[path])
            else:
                await send_response(send, method_not_allowed("GET, HEAD", WireFormat.RFC))
        elif path in self._pages.paths or (
            method == "GET" and "text/html" in headers.get(b"accept", "")
        ):
            await self._pages.asgi(scope, receive, send)
        else:
            denial = Denial("not_found", "There is no endpoint at this path")
            await send_response(send, denial_response(denial, WireFormat.RFC, status=404))

    async def _misdirect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject a request whose Host header is not the issuer's host name."""
        if scope["path"] not in self._pages.paths:
            await self._send(_MISDIRECTED, scope, send)
            return
        self._audit.record(_MISDIRECTED.event, scope["path"], peer_of(scope))
        await self._pages.misdirected(scope, receive, send)

    async def _send(self, response: WireResponse, scope: Scope, send: Send) -> None:
        """Log a response's audit event, then send the response."""
        self._log(response, scope["path"], peer_of(scope))
        await send_response(send, response)

    def _log(self, response: WireResponse, path: str, peer: str) -> None:
        """Log a response's audit event, and count an issued token."""
        if response.event is not None:
            # Other paths may contain a secret by mistake, so they are not logged.
            known = any(
                path in each for each in (self._endpoints, self._portal.methods, self._pages.paths)
            )
            self._audit.record(response.event, path if known else "/", peer)
        if response.issued is not None and self._metrics is not None:
            self._metrics.count_token(*response.issued)

    def _accepts_host(self, path: str, headers: Mapping[bytes, str]) -> bool:
        """Return whether the Host header is acceptable for this path."""
        host = headers.get(b"host")
        guarded = self._guards_all or path in self._pages.paths
        if host is None or not guarded or path in STATIC_PATHS:
            return True
        return is_own_host(host, self._issuer.settings.url)

    async def _call_portal(
        self, scope: Scope, headers: Mapping[bytes, str], receive: Receive
    ) -> WireResponse:
        path = scope["path"]
        if scope["method"] != self._portal.methods[path]:
            return method_not_allowed(self._portal.methods[path], WireFormat.AWS)
        body = await read_body(headers, receive, seconds=self._body_seconds)
        if isinstance(body, BodyProblem):
            return body.response(WireFormat.AWS)
        return await self._portal.respond(path, scope["query_string"], headers)


_MISDIRECTED = denial_response(
    Denial(
        "invalid_request",
        "The Host header is not the issuer's host name; use the issuer's URL, or set this name "
        "with --issuer",
    ),
    WireFormat.RFC,
    status=421,
)
