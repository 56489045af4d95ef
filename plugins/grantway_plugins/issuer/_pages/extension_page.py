"""Serve a page of an extension."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from grantway._exceptions import PluginError
from grantway._secrets.params import Params
from grantway_plugins.issuer._decisions.plugin_calls import call_plugin
from grantway_plugins.issuer._decisions.randomness import digest
from grantway_plugins.issuer._extensions.additions import Page
from grantway_plugins.issuer._extensions.errors import InvalidArgumentError
from grantway_plugins.issuer._extensions.loading import OfferedExtension
from grantway_plugins.issuer._extensions.request import IssuerRequest
from grantway_plugins.issuer._extensions.view import Redirect, View
from grantway_plugins.issuer._login.current_user import user_of
from grantway_plugins.issuer._storage.errors import DatabaseError
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.asgi import peer_of
from grantway_plugins.server._http.headers import Headers, joined
from grantway_plugins.server._http.redirect_uri import is_registered, with_query
from grantway_plugins.server._pages.forms import read_form
from grantway_plugins.server._pages.rendering import Link
from grantway_plugins.server._pages.session import Session

from .context import PageContext
from .logins import Logins
from .return_to import ReturnTo

_Show = Callable[[IssuerRequest, Transaction], View | Redirect]

_log = logging.getLogger("grantway.issuer")


class ExtensionPage:
    """Shows a page of an extension and handles its form.

    Args:
        page: The page.
        extension: The extension and its plugin, for errors.
        context: The objects that all pages need.
        logins: Logs users in.
    """

    def __init__(
        self, page: Page, extension: OfferedExtension, context: PageContext, logins: Logins
    ) -> None:
        self._page = page
        self._what = f"the page {page.path} of the issuer extension {extension.name}"
        self._plugin = extension.plugin
        self._logins = logins
        self._issuer = context.issuer
        self._store = context.store
        self._sessions = context.sessions
        self._renderer = context.renderer
        self._body_seconds = context.body_seconds
        self._purpose = f"page {page.path}"

    async def show(self, request: Request) -> Response:
        """Show the page."""
        pairs = ReturnTo.of(request, self._page.path).pairs
        params = {name: value for name, value in pairs if value}
        if len(dict(pairs)) < len(pairs):
            return self._renderer.message(
                "This link does not work",
                "A parameter is duplicated. Start again in the application.",
                400,
            )
        return await self._respond(self._page.show, request, params)

    async def submit(self, request: Request) -> Response:
        """Handle a submitted form."""
        form = await read_form(request, self._renderer, self._body_seconds)
        if isinstance(form, Response):
            return form
        csrf = form.pop("csrf", None)
        if not self._sessions.accepts(self._sessions.of(request), csrf, request, self._purpose):
            # The fields could contain a secret, so they do not go into the link.
            again = Link(f"{self._renderer.base}{self._page.path}", "Open the page again")
            return self._renderer.stale(again)
        assert self._page.submit is not None  # the route exists only with a form
        return await self._respond(self._page.submit, request, form)

    async def _respond(
        self, handle: _Show, request: Request, params: Mapping[str, str]
    ) -> Response:
        session = self._sessions.of(request)
        pairs = ((name, value.decode("latin-1")) for name, value in request.headers.raw)
        headers = Headers(joined(pairs))

        def work(transaction: Transaction) -> Response | None:
            user = user_of(self._issuer, session.id, transaction)
            if user is None:
                return None
            asked = IssuerRequest(
                "GET" if request.method == "HEAD" else request.method,
                Params(params),
                headers,
                peer_of(request.scope),
                self._issuer.clock(),
                self._issuer.settings,
                subject=user.subject,
                session=digest(session.id).hex(),
            )
            call = partial(call_plugin, self._what, self._plugin, transaction=transaction)
            outcome = call(handle, asked, transaction, returns=(View, Redirect))
            # Rendered before the commit, so that a failure changes nothing.
            response: Response = call(self._rendered, outcome, session, returns=(Response,))
            return response

        try:
            found = await self._store.arun(work)
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - the error may contain a secret, so it is neither logged nor shown
            shown = error.message if isinstance(error, PluginError) else type(error).__name__
            _log.error("A page could not be shown: %s", shown)
            return self._renderer.message(
                "This page failed", "The issuer could not show this page. Nothing was done.", 500
            )
        if found is None:
            # A submitted form is lost, because it could contain a secret.
            return await self._logins.begin(request, ReturnTo.of(request, self._page.path))
        self._sessions.set_cookie(session, found)
        return found

    def _rendered(self, outcome: View | Redirect, session: Session) -> Response:
        if isinstance(outcome, Redirect):
            return self._renderer.redirect(self._address(outcome))
        return self._renderer.view(
            outcome,
            self._page.path,
            session.csrf(self._purpose),
            leads_to_client=self._logins.can_switch,
        )

    def _address(self, redirect: Redirect) -> str:
        """Return the complete address of a redirect.

        Raises:
            ValueError: it is neither the issuer's nor registered by the client.
        """
        to, client = redirect.to, redirect.client
        if client is not None:
            if not is_registered(to, client.redirect_uris):
                raise InvalidArgumentError("to is not a redirect URI of the client")
        elif (
            not to.startswith("/")
            or not to.isascii()
            or not to.isprintable()
            or to[1:2] in {"/", "\\"}
        ):
            raise InvalidArgumentError("to is not a path of the issuer")
        else:
            to = f"{self._renderer.base}{to}"
        return with_query(to, redirect.params) if redirect.params else to
