"""The login of users to the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from grantway_plugins.server._pages.rendering import Link

from .login import LoginFailedError, PageLogin

if TYPE_CHECKING:
    from .context import WebContext


class LoginPage:
    """Sends users to the OpenID provider and back.

    Args:
        context: The objects that the pages need.
        login: The login.
    """

    def __init__(self, context: WebContext, login: PageLogin) -> None:
        self._context, self._login = context, login

    async def start(self, request: Request) -> Response:
        """Send the browser to the OpenID provider."""
        context = self._context
        session = context.sessions.of(request)
        return_to = context.return_to(request.query_params.get("return_to", ""))
        try:
            url, value = await self._login.begin(
                session, return_to, again="again" in request.query_params
            )
        except LoginFailedError as error:
            return self._failed(error)
        response = context.renderer.redirect(url)
        context.sessions.set_cookie(session, response)
        self._login.set_cookie(response, value)
        return response

    async def callback(self, request: Request) -> Response:
        """Log the user in, and show the page that needed the user."""
        context = self._context
        session = context.sessions.of(request)
        try:
            user, return_to = await self._login.finish(session, request)
        except LoginFailedError as error:
            return self._failed(error)
        renewed = await context.sessions.log_in(session, user)
        response = context.renderer.redirect(return_to)
        context.sessions.set_cookie(renewed, response)
        self._login.set_cookie(response, "")
        return response

    def _failed(self, error: LoginFailedError) -> Response:
        link = Link(f"{self._context.path}/-/login?again=1", "Log in")
        return self._context.renderer.message(
            "You are not logged in", error.message, error.status, next_step=link
        )
