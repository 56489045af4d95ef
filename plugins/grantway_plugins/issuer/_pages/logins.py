"""The pages of logins and logouts, as the other pages use them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from grantway._processes.copies import OneProcess
from grantway_plugins.issuer._login.interface import Prompt

from .context import PageContext
from .login_page import LoginPage
from .logout_page import LogoutPage
from .return_to import OTHER, ReturnTo, marked


class Logins(OneProcess):
    """Lets users log in, and change to another account.

    Args:
        context: The objects that all pages need.
        pages: The pages of logins, and those of logouts; None if there is a single local user, who
            is always there.
    """

    def __init__(self, context: PageContext, pages: tuple[LoginPage, LogoutPage] | None) -> None:
        self._pages = pages
        self._sessions = context.sessions
        self._renderer = context.renderer

    @property
    def can_switch(self) -> bool:
        """Whether the user can use another account."""
        return self._pages is not None

    async def begin(
        self,
        request: Request,
        return_to: ReturnTo,
        *,
        prompt: Prompt = "",
        max_age: float | None = None,
        login_hint: str | None = None,
    ) -> Response:
        """Begin a login, and return to a page afterwards; see ``LoginPage.begin``."""
        assert self._pages is not None  # the local user is always there
        login, _ = self._pages
        return await login.begin(
            request, return_to, prompt=prompt, max_age=max_age, login_hint=login_hint
        )

    async def switch(self, request: Request, return_to: ReturnTo) -> Response:
        """Log out, and let the user choose another account for a page."""
        address = f"{self._renderer.base}{return_to}"
        if self._pages is None:
            return self._renderer.redirect(address)
        response = self._renderer.redirect(marked(address, OTHER))
        _, logout = self._pages
        await logout.end(request, self._sessions.of(request), response)
        return response
