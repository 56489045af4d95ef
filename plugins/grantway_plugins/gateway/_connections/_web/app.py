"""The ASGI application of the pages and the JSON API."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from grantway._exceptions import GrantwayError
from grantway_plugins.gateway.upstream._rejection import RequestRejectedError, response_for
from grantway_plugins.resource import VerificationUnavailableError
from grantway_plugins.server._http.asgi import Receive, Scope, Send
from grantway_plugins.server._pages.rendering import Link, static_file, stylesheet

from .api import Api, error_response, wants_json
from .login_page import LoginPage
from .pages import Pages, Visit
from .rendering import STYLESHEET

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.provider import ConnectionProvider
    from grantway_plugins.gateway._connections.user import User

    from .context import WebContext

#: Longest target of a request, in characters.
_LONGEST = 8192
_READS = frozenset({"GET", "HEAD"})
_UNAVAILABLE = (
    "The database of this site cannot be used at the moment. Try again in a few minutes, and look "
    "at the state of the connection before you repeat anything."
)

_log = logging.getLogger("grantway.gateway")


class ConnectionsApp:
    """The pages and the JSON API.

    Args:
        context: The objects that they need.
    """

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._pages, self._api = Pages(context), Api(context)
        self._login = None if context.login is None else LoginPage(context, context.login)
        self._stylesheet = stylesheet()

    def serves(self, path: str) -> bool:
        """Return whether a path is one of the pages'."""
        return path == self._context.path or path.startswith(f"{self._context.path}/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except (RequestRejectedError, VerificationUnavailableError) as error:
            response = _plain(error)
        except GrantwayError as error:
            _log.error("A page of connections could not be shown: %s", error)
            response = self._unavailable(request)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        path = request.url.path
        if len(path) + len(request.url.query) > _LONGEST:
            return self._renderer_message("Too long", "The address is too long.", 414)
        found = path.removeprefix(self._context.path).strip("/").split("/")
        name, action = found[0], "/".join(found[1:])
        if not name:
            return await self._overview(request)
        if name == "-":
            return await self._own(request, action)
        if not action:
            return await self._provider(request, name)
        if action == "callback":
            return await self._page(request, "GET", name, self._pages.callback)
        return await self._page(
            request, "POST", name, self._pages.disconnect if action == "disconnect" else None
        )

    async def _overview(self, request: Request) -> Response:
        if request.method not in _READS:
            return _not_allowed("GET, HEAD")
        if wants_json(request):
            return await self._api.overview(await self._api_user(request))
        return await self._pages.visit(request, self._pages.overview)

    async def _provider(self, request: Request, name: str) -> Response:
        if not wants_json(request):
            page = {"GET": self._pages.provider, "HEAD": self._pages.provider}
            chosen = {**page, "POST": self._pages.connect}.get(request.method)
            if chosen is None:
                return _not_allowed("GET, HEAD, POST")
            return await self._page(request, request.method, name, chosen)
        respond = {
            "GET": self._api.provider,
            "HEAD": self._api.provider,
            "POST": self._api.connect,
            "DELETE": self._api.disconnect,
        }.get(request.method)
        if respond is None:
            return _not_allowed("GET, HEAD, POST, DELETE")
        user, at = await self._api_user(request), self._context.provider(name)
        if at is None:
            return error_response(404, "unknown_provider", "There is no such provider")
        return await respond(user, at)

    async def _page(
        self,
        request: Request,
        method: str,
        name: str,
        page: Callable[[Visit, ConnectionProvider], Awaitable[Response]] | None,
    ) -> Response:
        at = self._context.provider(name)
        if at is None or page is None:
            return self._pages.unknown()
        if request.method != method:
            return _not_allowed(method)
        return await self._pages.visit(request, lambda visit: page(visit, at))

    async def _own(self, request: Request, name: str) -> Response:
        if name == "logout":
            if request.method != "POST":
                return _not_allowed("POST")
            return await self._pages.visit(request, self._pages.log_out)
        if request.method not in _READS:
            return _not_allowed("GET, HEAD")
        if name == STYLESHEET:
            return static_file(self._stylesheet, "text/css")
        if self._login is None or name not in {"login", "callback"}:
            return self._pages.unknown()
        page = self._login.start if name == "login" else self._login.callback
        return await page(request)

    async def _api_user(self, request: Request) -> User:
        return await self._context.callers.user(request)

    def _unavailable(self, request: Request) -> Response:
        if wants_json(request):
            return error_response(
                503, "temporarily_unavailable", _UNAVAILABLE, **{"retry-after": "5"}
            )
        response = self._renderer_message("Temporarily unavailable", _UNAVAILABLE, 503)
        response.headers["retry-after"] = "5"
        return response

    def _renderer_message(self, title: str, text: str, status: int) -> Response:
        link = Link(self._context.path, "All accounts")
        return self._context.renderer.message(title, text, status, next_step=link)


def _plain(error: Exception) -> Response:
    """Return the response of the proxy to a request that is not accepted."""
    made = response_for(error)
    response = Response(made.body, made.status)
    for name, value in made.headers:
        response.headers[name.decode()] = value.decode()
    return response


def _not_allowed(allowed: str) -> Response:
    message = f"Use {allowed}"
    return error_response(405, "invalid_request", message, allow=allowed)
