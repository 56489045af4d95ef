"""Adapter for gateways that forward with httpx or httpx2."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Generator
from typing import Any

from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_wait
from grantway_plugins.auth._any_httpx import AnyHttpxAuth
from grantway_plugins.auth._exchange import Exchange
from grantway_plugins.auth._httpx_flow import async_flow, sync_flow

from ._rejection import RequestRejectedError
from ._request_context import RequestContext
from ._upstream_auth import UpstreamAuth
from ._upstream_token import UpstreamToken


class HttpxUpstreamAuth(OneProcess, AnyHttpxAuth):  # type: ignore[misc] # as AnyHttpxAuth
    """Adds the tenant's token to each request that has a route; the ``auth`` of httpx and httpx2.

    Like ``grantway_plugins.auth.TokenAuth``, it replaces a rejected token once if the body can be
    sent again, and sends the token to no other origin. With ``AsyncClient`` it does not block.

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

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any]:
        """Add the token to a request; called by ``Client``."""
        upstream_token = self._upstream.open(self._context_of(request))
        if upstream_token is None or upstream_token.kept:
            yield request
            return
        _remove_headers(request, upstream_token)
        try:
            flow = sync_flow(self._exchange(upstream_token, request), request)
            sent = next(flow)
        except Exception as error:  # noqa: BLE001 - raised again if the route is closed
            _raise_if_closed(upstream_token, error)
            yield request
            return
        with contextlib.suppress(StopIteration), contextlib.closing(flow):
            while True:
                sent = flow.send((yield sent))

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Add the token to a request; called by ``AsyncClient``."""
        upstream_token = await self._upstream.open_async(self._context_of(request))
        if upstream_token is None or upstream_token.kept:
            yield request
            return
        _remove_headers(request, upstream_token)
        try:
            flow = async_flow(self._exchange(upstream_token, request), request)
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

    def _context_of(self, request: Any) -> RequestContext:
        url, headers = request.url, request.headers
        host = url.raw_host.decode("ascii")
        path = url.raw_path.partition(b"?")[0].decode("ascii")
        host = f"[{host}]" if ":" in host else host
        return RequestContext(host, path, headers.get_list, self._context, method=request.method)

    def _exchange(self, upstream_token: UpstreamToken, request: Any) -> Exchange:
        return Exchange(
            request.method,
            str(request.url),
            source=upstream_token,
            bearer=upstream_token.route.bearer,
            step_up=False,
            timeout=self._timeout,
        )


def _remove_headers(request: Any, upstream_token: UpstreamToken) -> None:
    for name in upstream_token.removed:
        request.headers.pop(name, None)


def _raise_if_closed(upstream_token: UpstreamToken, error: Exception) -> None:
    """Raise the error, unless the route allows requests without a token."""
    if isinstance(error, RequestRejectedError) or upstream_token.route.on_failure == "closed":
        raise error
