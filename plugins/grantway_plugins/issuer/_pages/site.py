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
from grantway_plugins.issuer._storage.errors import (
    DatabaseBusyError,
    DatabaseError,
    DatabaseOutcomeUnknownError,
)
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.server._http.audit_event import AuditEvent

from .authorization_page import AuthorizationPage
from .device_page import DevicePage
from .extension_page import ExtensionPage
from .rendering import Link, Renderer
from .session import Sessions, peer_of

_log = logging.getLogger("grantway.issuer")
_FILES = resources.files("grantway_plugins.issuer._pages") / "templates"
_STATIC = {"issuer.css": "text/css", "submit.js": "text/javascript"}

#: Paths of the public files that the pages load.
STATIC_PATHS = frozenset(f"/static/{name}" for name in _STATIC)
#: Paths of the issuer's own pages and of the files that they load.
PATHS = frozenset({"/", "/authorize", "/device"}) | STATIC_PATHS


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
        self._audit = audit
        self._url = issuer.settings.url
        self._renderer = Renderer(issuer.settings)
        sessions = Sessions(
            store.form_key,
            secure=issuer.settings.url.startswith("https:"),
            clock=issuer.clock,
            path=self._renderer.base or "/",
        )
        authorization = AuthorizationPage(
            issuer,
            store,
            sessions,
            self._renderer,
            audit,
            documents=documents,
            body_seconds=body_seconds,
        )
        device = DevicePage(
            issuer, store, sessions, self._renderer, audit, body_seconds=body_seconds
        )

        def routes(page: Page, extension: OfferedExtension) -> Iterator[Route]:
            served = ExtensionPage(
                page,
                extension,
                issuer=issuer,
                store=store,
                sessions=sessions,
                renderer=self._renderer,
                body_seconds=body_seconds,
            )
            yield Route(page.path, served.show, methods=["GET"])
            if page.submit is not None:
                yield Route(page.path, served.submit, methods=["POST"])

        self.asgi = Starlette(
            routes=[
                Route("/", self._start, methods=["GET"]),
                Route("/authorize", authorization.show, methods=["GET"]),
                Route("/authorize", authorization.submit, methods=["POST"]),
                Route("/device", device.show, methods=["GET"]),
                Route("/device", device.submit, methods=["POST"]),
                *(route for each in pages.values() for route in routes(*each)),
                *(_static(name, media_type) for name, media_type in _STATIC.items()),
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

    async def _start(self, _request: Request) -> Response:
        return self._renderer.page("start.html")

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


def _static(name: str, media_type: str) -> Route:
    content = (_FILES / name).read_text("utf-8")

    async def respond(_request: Request) -> Response:
        return Response(
            content,
            media_type=media_type,
            headers={"cache-control": "max-age=3600", "x-content-type-options": "nosniff"},
        )

    return Route(f"/static/{name}", respond, methods=["GET"])
