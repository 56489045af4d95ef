"""Serve a page of an extension."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from grantway._exceptions import PluginError
from grantway._secrets.params import Params
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.plugin_calls import call_plugin
from grantway_plugins.issuer._decisions.randomness import digest
from grantway_plugins.issuer._extensions.additions import Page
from grantway_plugins.issuer._extensions.loading import OfferedExtension
from grantway_plugins.issuer._extensions.request import IssuerRequest
from grantway_plugins.issuer._extensions.view import Redirect, View
from grantway_plugins.issuer._storage.errors import DatabaseError
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.headers import Headers, joined
from grantway_plugins.server._http.redirect_uri import is_registered, with_query

from .forms import read_form
from .rendering import Link, Renderer
from .session import Session, Sessions, peer_of

_Show = Callable[[IssuerRequest, Transaction], View | Redirect]

_log = logging.getLogger("grantway.issuer")


class ExtensionPage:
    """Shows a page of an extension and handles its form.

    Args:
        page: The page.
        extension: The extension and its plugin, for errors.
        issuer: The issuer.
        store: The database.
        sessions: The browser sessions.
        renderer: Renders the page.
        body_seconds: Time limit for a submitted form, in seconds.
    """

    def __init__(
        self,
        page: Page,
        extension: OfferedExtension,
        *,
        issuer: Issuer,
        store: IssuerStore,
        sessions: Sessions,
        renderer: Renderer,
        body_seconds: float,
    ) -> None:
        self._page = page
        self._what = f"the page {page.path} of the issuer extension {extension.name}"
        self._plugin = extension.plugin
        self._issuer = issuer
        self._store = store
        self._sessions = sessions
        self._renderer = renderer
        self._body_seconds = body_seconds
        self._purpose = f"page {page.path}"

    async def show(self, request: Request) -> Response:
        """Show the page."""
        return await self._respond(self._page.show, request, dict(request.query_params))

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

        def work(transaction: Transaction) -> View | str:
            asked = IssuerRequest(
                request.method if request.method != "HEAD" else "GET",
                Params(params),
                headers,
                peer_of(request),
                self._issuer.clock(),
                self._issuer.settings,
                subject=self._issuer.settings.subject,
                session=digest(session.id).hex(),
            )
            found: View | str = call_plugin(
                self._what,
                self._plugin,
                lambda: self._checked(handle(asked, transaction)),
                transaction=transaction,
                returns=(View, str),
            )
            return found

        try:
            found = await self._store.arun(work)
            response = (
                self._renderer.redirect(found)
                if isinstance(found, str)
                else self._rendered(found, session)
            )
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - the error may contain a secret, so it is neither logged nor shown
            shown = error.message if isinstance(error, PluginError) else type(error).__name__
            _log.error("A page could not be shown: %s", shown)
            return self._renderer.message(
                "This page failed", "The issuer could not show this page. Nothing was done.", 500
            )
        self._sessions.set_cookie(session, response)
        return response

    def _rendered(self, view: View, session: Session) -> Response:
        rendered: Response = call_plugin(
            self._what,
            self._plugin,
            self._renderer.view,
            view,
            self._page.path,
            session.csrf(self._purpose),
            returns=(Response,),
        )
        return rendered

    def _checked(self, outcome: Any) -> Any:
        """Return the address of a redirect, and anything else unchanged.

        Raises:
            ValueError: the redirect leaves the issuer for an address that no client registered.
        """
        if not isinstance(outcome, Redirect):
            return outcome
        to, client = outcome.to, outcome.client
        if client is not None:
            if not is_registered(to, client.redirect_uris):
                raise ValueError("to is not a redirect URI of the client")
        elif not to.startswith("/") or not to.isascii() or not to.isprintable() or to[1:2] in "/\\":
            raise ValueError("to is not a path of the issuer")
        else:
            to = f"{self._renderer.base}{to}"
        return with_query(to, outcome.params) if outcome.params else to
