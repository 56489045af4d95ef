"""Objects that requests, httpx, httpx2 and aiohttp accept for authentication."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Generator
from typing import TYPE_CHECKING, Any, Self, overload

from ._any_httpx import AnyHttpxAuth
from ._exchange import Exchange

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
    from requests import PreparedRequest


class LibraryAuth(AnyHttpxAuth):
    """Base of classes that send a token with the requests of an HTTP library."""

    def _exchange(self, method: str, url: str) -> Exchange:
        """Return the exchange of one request."""
        raise NotImplementedError

    def _allows(self, url: str) -> bool:
        """Return whether a request of aiohttp gets the token; otherwise it is sent without."""
        raise NotImplementedError

    @overload
    def __call__(self, request: PreparedRequest) -> PreparedRequest: ...
    @overload
    def __call__(
        self, request: ClientRequest, handler: ClientHandlerType
    ) -> Awaitable[ClientResponse]: ...
    def __call__(self, request: Any, handler: Any = None) -> Any:
        """Add the token to a request of requests, or send one of aiohttp."""
        if handler is None:
            from ._requests_flow import RequestsFlow  # noqa: PLC0415 - imports requests

            RequestsFlow(self._exchange(request.method, request.url or ""), request)
            return request
        if not self._allows(str(request.url)):
            return handler(request)
        from ._aiohttp_flow import send  # noqa: PLC0415 - imports aiohttp

        return send(self._exchange(request.method, str(request.url)), request, handler)

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any]:
        """Send a request with a token for ``Client`` of httpx or httpx2."""
        from ._httpx_flow import sync_flow  # noqa: PLC0415 - as above

        return sync_flow(self._exchange(request.method, str(request.url)), request)

    def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Send a request with a token for ``AsyncClient`` of httpx or httpx2."""
        from ._httpx_flow import async_flow  # noqa: PLC0415 - as above

        return async_flow(self._exchange(request.method, str(request.url)), request)

    def __copy__(self) -> Self:
        """Return the object itself, which is safe to share."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the object itself, as ``copy.copy`` does."""
        return self
