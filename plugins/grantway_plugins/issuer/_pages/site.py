"""The routes of the pages."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from importlib import resources
from types import MappingProxyType

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from grantway._processes.copies import OneProcess
from grantway_plugins.issuer._audit_log import AuditLog
from grantway_plugins.issuer._clients.documents import ClientDocumentReader
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._extensions.additions import Page
from grantway_plugins.issuer._extensions.loading import OfferedExtension
from grantway_plugins.issuer._login.current_user import user_of
from grantway_plugins.issuer._storage.errors import (
    DatabaseBusyError,
    DatabaseError,
    DatabaseOutcomeUnknownError,
)
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._pages.rendering import Link, static_file, stylesheet
from grantway_plugins.server._pages.session import Sessions, peer_of

from .authorization_page import AuthorizationPage
from .context import PageContext
from .device_page import DevicePage
from .extension_page import ExtensionPage
from .login_page import CALLBACK, PATH as LOGIN, LoginPage
from .logins import Logins
from .logout_page import DONE, PATH as LOGOUT, LogoutPage
from .rendering import Renderer

_log = logging.getLogger("grantway.issuer")
_SCRIPT = "submit.js"
_STYLESHEET = "issuer.css"

#: Paths of the public files that the pages load.
STATIC_PATHS = frozenset(f"/static/{name}" for name in (_STYLESHEET, _SCRIPT))
#: Paths of the issuer's own pages and of the files that they load.
PATHS = frozenset({"/", "/authorize", "/device"}) | STATIC_PATHS
#: Paths of the further pages of an issuer to which users log in.
LOGIN_PATHS = frozenset({LOGIN, CALLBACK, LOGOUT, DONE})


class Pages(OneProcess):
    """The pages of one issuer; ``asgi`` is the ASGI application.

    Args:
        issuer: The issuer.
        store: The database.
        audit: Logs decisions.
        documents: Reads the documents of clients, or None.
        pages: Pages of extensions, by path.
        body_seconds: Time limit for a submitted form, in seconds.
    """

    def __init__(
        self,
        issuer: Issuer,
        store: IssuerStore,
        audit: AuditLog,
        *,
        documents: ClientDocumentReader | None = None,
        pages: Mapping[str, tuple[Page, OfferedExtension]] = MappingProxyType({}),
        body_seconds: float,
    ) -> None:
        #: Paths of the pages and of the files that they load.
        self.paths = PATHS | set(pages)
        self._issuer = issuer
        self._store = store
        self._audit = audit
        self._url = issuer.settings.url
        self._renderer = Renderer(issuer.settings)
        self._sessions = sessions = Sessions(
            store.form_key, clock=issuer.clock, url=issuer.settings.url
        )
        context = PageContext(issuer, store, sessions, self._renderer, audit, body_seconds)
        log_in: tuple[LoginPage, LogoutPage] | None = None
        own: list[Route] = []
        if issuer.login is not None:
            login = LoginPage(issuer.login, context)
            logout = LogoutPage(login, context)
            log_in = (login, logout)
            own = [
                Route(LOGIN, login.start, methods=["GET"]),
                Route(LOGIN, login.submit, methods=["POST"]),
                Route(CALLBACK, login.callback, methods=["GET"]),
                Route(LOGOUT, logout.show, methods=["GET"]),
                Route(LOGOUT, logout.submit, methods=["POST"]),
                Route(DONE, logout.done, methods=["GET"]),
            ]
            self.paths |= LOGIN_PATHS
        logins = Logins(context, log_in)
        authorization = AuthorizationPage(context, logins, documents)
        device = DevicePage(context, logins)

        def routes(page: Page, extension: OfferedExtension) -> Iterator[Route]:
            served = ExtensionPage(page, extension, context, logins)
            yield Route(page.path, served.show, methods=["GET"])
            if page.submit is not None:
                yield Route(page.path, served.submit, methods=["POST"])

        script = resources.files("grantway_plugins.issuer._pages") / "templates" / _SCRIPT
        self.asgi = Starlette(
            routes=[
                Route("/", self._start, methods=["GET"]),
                Route("/authorize", authorization.show, methods=["GET"]),
                Route("/authorize", authorization.submit, methods=["POST"]),
                Route("/device", device.show, methods=["GET"]),
                Route("/device", device.submit, methods=["POST"]),
                *own,
                *(route for each in pages.values() for route in routes(*each)),
                _static(_STYLESHEET, stylesheet(), "text/css"),
                _static(_SCRIPT, script.read_text("utf-8"), "text/javascript"),
            ],
            exception_handlers={404: self._not_found, DatabaseError: self._unavailable},
        )
        # Starlette would redirect to the host that the Host header names.
        self.asgi.router.redirect_slashes = False

    @property
    def misdirected(self) -> Response:
        """The page for a request with another host name."""
        return self._renderer.message(
            "This is not the issuer's address",
            "The address in your browser is not the issuer's address. To protect you from fake "
            "pages, the issuer does not accept it. If you run the issuer, set this address with "
            "--issuer.",
            421,
            next_step=Link(f"{self._url}/", f"Go to {self._url}"),
        )

    async def _start(self, request: Request) -> Response:
        user = None
        if self._issuer.login is not None:
            cookie = self._sessions.of(request).id
            user = await self._store.arun(lambda found: user_of(self._issuer, cookie, found))
        return self._renderer.page(
            "start.html",
            users_log_in=self._issuer.login is not None,
            subject="" if user is None else user.shown,
        )

    async def _not_found(self, _request: Request, _failed: Exception) -> Response:
        return self._renderer.message(
            "There is no such page", "Check the address, or go to the start page.", 404
        )

    async def _unavailable(self, request: Request, failed: Exception) -> Response:
        if isinstance(failed, DatabaseOutcomeUnknownError):
            event = AuditEvent("outcome_unknown", error=failed.code)
            self._audit.record(event, request.url.path, peer_of(request))
        if not isinstance(failed, DatabaseBusyError):
            _log.error("A page could not be shown: %s", failed)
        unknown = isinstance(failed, DatabaseOutcomeUnknownError)
        response = self._renderer.message(
            "Temporarily unavailable",
            "The connection to the database failed, so the issuer does not know whether your "
            "choice was stored. Check the device or application; if it is still waiting, start "
            "again there."
            if unknown
            else "The issuer cannot use its database at the moment. Nothing was done. Try again "
            "shortly.",
            503,
        )
        response.headers["retry-after"] = "1"
        return response


def _static(name: str, content: str, media_type: str) -> Route:
    async def respond(_request: Request) -> Response:
        return static_file(content, media_type)

    return Route(f"/static/{name}", respond, methods=["GET"])
