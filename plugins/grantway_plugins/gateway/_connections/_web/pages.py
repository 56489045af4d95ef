"""The pages on which users connect and disconnect accounts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from grantway_plugins.gateway._connections.connecting import ConnectError, begin_device
from grantway_plugins.server._pages.forms import read_form
from grantway_plugins.server._pages.rendering import Link

from .notices import MARKER, Notices, connected_text, device_problem, disconnected_text

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.provider import ConnectionProvider
    from grantway_plugins.gateway._connections.user import User

    from .context import WebContext
    from .sessions import BoundSession

#: Time limit for a form, in seconds.
_FORM_SECONDS = 30.0

#: Responds to a request of a user who is logged in.
Page = Callable[["Visit"], Awaitable[Response]]


class Visit:
    """A request of a user who is logged in to the pages.

    Args:
        request: The request.
        session: The browser's session.
        user: The user.
    """

    def __init__(self, request: Request, session: BoundSession, user: User) -> None:
        self.request, self.session, self.user = request, session, user


class Pages:
    """The pages on which users connect and disconnect accounts.

    Args:
        context: The objects that the pages need.
    """

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._renderer = context.renderer
        self._notices = Notices(context.connections)

    async def visit(self, request: Request, page: Page) -> Response:
        """Show a page to a user who is logged in; others log in first."""
        context = self._context
        session = context.sessions.of(request)
        user = await context.sessions.user(session)
        if user is not None:
            return await page(Visit(request, session, user))
        if context.login is None:
            return self._renderer.message(
                "Log in with an application",
                "These pages have no login. Use an application of this site, which connects "
                "accounts for you, or ask its operator to set up login in [connections].",
                401,
                next_step=Link(context.path, "Try again"),
            )
        if request.method not in {"GET", "HEAD"} or request.url.path.endswith("/callback"):
            return self._not_logged_in()
        query = urlencode({"return_to": request.url.path})
        return self._renderer.redirect(f"{context.path}/-/login?{query}")

    async def overview(self, visit: Visit) -> Response:
        """Show all providers."""
        found = await self._context.connections.overview(visit.user)
        return self._renderer.page("connections.html", connections=found, **self._of_user(visit))

    async def provider(self, visit: Visit, at: ConnectionProvider) -> Response:
        """Show one provider, with the code to enter if a device login is pending."""
        context = self._context
        status = await context.connections.status(visit.user, at.name)
        pending = await context.devices.find(visit.user.id, at.name) if at.device else None
        notice = ""
        if MARKER in visit.request.query_params:
            notice = await self._notices.take(visit.session, at.name)
        return self._renderer.page(
            "connection.html",
            leads_to_client=not at.device,
            connection=status,
            pending=pending,
            refresh=max(5, round(pending.interval)) if pending else 0,
            problem=device_problem(pending),
            notice=notice,
            connect_csrf=visit.session.csrf(f"connect {at.name}"),
            disconnect_csrf=visit.session.csrf(f"disconnect {at.name}"),
            **self._of_user(visit),
        )

    async def connect(self, visit: Visit, at: ConnectionProvider) -> Response:
        """Begin a login at a provider."""
        stale = await self._checked_form(visit, f"connect {at.name}", at)
        if stale is not None:
            return stale
        try:
            if at.device:
                await begin_device(self._context.devices, visit.user, at)
                return self._renderer.redirect(self._context.page_path(at.name))
            url = await self._context.connecting.begin(visit.session.id, visit.user, at)
        except ConnectError as error:
            return self._failed(at, error)
        return self._renderer.redirect(url)

    async def callback(self, visit: Visit, at: ConnectionProvider) -> Response:
        """Finish a login at a provider."""
        query = visit.request.url.query
        states = visit.request.query_params.getlist("state")
        try:
            result = await self._context.connecting.finish(
                visit.session.id, visit.user, at, query, states[0] if states else None
            )
        except ConnectError as error:
            return self._failed(at, error)
        return await self._show(visit, at, connected_text(at.title, result))

    async def disconnect(self, visit: Visit, at: ConnectionProvider) -> Response:
        """Remove a connection."""
        stale = await self._checked_form(visit, f"disconnect {at.name}", at)
        if stale is not None:
            return stale
        result = await self._context.connections.disconnect(visit.user, at.name)
        return await self._show(visit, at, disconnected_text(at.title, result))

    async def log_out(self, visit: Visit) -> Response:
        """End the browser's session. The connections keep working."""
        stale = await self._checked_form(visit, "logout")
        if stale is not None:
            return stale
        await self._context.sessions.log_out(visit.session)
        return self._renderer.message(
            "Logged out",
            "You are logged out of these pages. Your connected accounts keep working.",
            next_step=Link(self._context.path, "Log in again"),
        )

    def unknown(self) -> Response:
        """Return the page for a provider that the file does not have (any more)."""
        return self._renderer.message(
            "There is no such page",
            "This site has no such provider, perhaps not any more. Nothing was connected.",
            404,
            next_step=Link(self._context.path, "All accounts"),
        )

    async def _checked_form(
        self, visit: Visit, purpose: str, at: ConnectionProvider | None = None
    ) -> Response | None:
        """Return an error page if a form was not sent by one of the pages, or None."""
        form = await read_form(visit.request, self._renderer, _FORM_SECONDS)
        if isinstance(form, Response):
            return form
        csrf: Any = form.get("csrf")
        if self._context.sessions.accepts(visit.session, csrf, visit.request, purpose):
            return None
        path = self._context.path if at is None else self._context.page_path(at.name)
        return self._renderer.stale(Link(path, "Open the page again"))

    async def _show(self, visit: Visit, at: ConnectionProvider, text: str) -> Response:
        """Redirect to a provider's page, so that its address contains no code."""
        await self._notices.keep(visit.session, at.name, text)
        return self._renderer.redirect(f"{self._context.page_path(at.name)}?{MARKER}=1")

    def _failed(self, at: ConnectionProvider, error: ConnectError) -> Response:
        link = Link(self._context.page_path(at.name), f"Go to {at.title}")
        return self._renderer.message("Not connected", error.message, error.status, next_step=link)

    def _not_logged_in(self) -> Response:
        return self._renderer.message(
            "You are not logged in",
            "Your session has ended, or this address is of a login in another browser. Nothing was "
            "changed. Log in, and start again.",
            401,
            next_step=Link(self._context.path, "Log in"),
        )

    def _of_user(self, visit: Visit) -> dict[str, Any]:
        return {
            "user_name": visit.user.name or visit.user.subject,
            "logout_csrf": visit.session.csrf("logout"),
        }
