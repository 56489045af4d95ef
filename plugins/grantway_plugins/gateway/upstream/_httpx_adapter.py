"""Adapter for gateways that forward with httpx."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Generator
from typing import Any

import httpx

from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_wait
from grantway_plugins.auth._httpx_auth import HttpxAuth

from ._rejection import RequestRejectedError
from ._request_context import RequestContext
from ._upstream_auth import UpstreamAuth
from ._upstream_token import UpstreamToken


class HttpxUpstreamAuth(OneProcess, httpx.Auth):
    """Adds the tenant's token to each request that has a route; the ``auth`` of httpx.

    Like ``grantway_plugins.auth.HttpxAuth``, it replaces a rejected token once if the body can be
    sent again, and sends the token to no other origin. With ``httpx.AsyncClient`` it does not
    block.

    Args:
        upstream: The routes and their tokens. They are selected by host, path and headers of the
            request that is sent.
        context: Passed to the function of ``from_principal``, such as the authenticated user.
        timeout: Longest wait for a token in seconds; by default the route's.

    Raises:
        RequestRejectedError: By a request; see ``UpstreamAuth.open``.
        GrantwayError: By a request: there is no token and the route is closed, or a rejected
            token could not be replaced.
    """

    def __init__(
        self, upstream: UpstreamAuth, *, context: Any = None, timeout: float | None = None
    ) -> None:
        self._upstream, self._context = upstream, context
        self._timeout = check_wait(timeout)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Add the token to a request; called by ``httpx.Client``."""
        upstream_token, auth = self._begin(request)
        if auth is None:
            yield request
            return
        flow = auth.sync_auth_flow(request)
        try:
            sent = next(flow)
        except Exception as error:  # noqa: BLE001 - raised again if the route is closed
            _raise_if_closed(upstream_token, error)
            yield request
            return
        with contextlib.suppress(StopIteration), contextlib.closing(flow):
            while True:
                sent = flow.send((yield sent))

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Add the token to a request; called by ``httpx.AsyncClient``."""
        upstream_token, auth = self._begin(request)
        if auth is None:
            yield request
            return
        flow = auth.async_auth_flow(request)
        try:
            sent = await anext(flow)
        except Exception as error:  # noqa: BLE001 - raised again if the route is closed
            _raise_if_closed(upstream_token, error)
            yield request
            return
        async with contextlib.aclosing(flow):
            with contextlib.suppress(StopAsyncIteration):
                while True:
                    sent = await flow.asend((yield sent))

    def __repr__(self) -> str:
        return f"HttpxUpstreamAuth({self._upstream!r})"

    def _begin(self, request: httpx.Request) -> tuple[UpstreamToken | None, HttpxAuth | None]:
        url, headers = request.url, request.headers
        host = url.raw_host.decode("ascii")
        path = url.raw_path.partition(b"?")[0].decode("ascii")
        host = f"[{host}]" if ":" in host else host
        context = RequestContext(host, path, headers.get_list, self._context)
        upstream_token = self._upstream.open(context)
        if upstream_token is None or upstream_token.kept:
            return upstream_token, None
        for name in upstream_token.removed:
            headers.pop(name, None)
        route = upstream_token.route
        return upstream_token, HttpxAuth(
            upstream_token, header=route.header, scheme=route.scheme, timeout=self._timeout
        )


def _raise_if_closed(upstream_token: UpstreamToken | None, error: Exception) -> None:
    """Raise the error, unless the route allows requests without a token."""
    rejected = isinstance(error, RequestRejectedError)
    if rejected or upstream_token is None or upstream_token.route.on_failure == "closed":
        raise error
