"""``/authorize``: the user allows or denies a client."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from grantway_plugins.issuer._audit_log import AuditLog
from grantway_plugins.issuer._decisions.authorization import (
    AuthorizationRequest,
    AuthorizationResponse,
    ConsentRequest,
    ErrorPage,
    approve,
    deny,
    validate,
)
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.redirect_uri import destination

from .decision_events import approval_event, denial_event
from .forms import read_form
from .rendering import Link, Renderer
from .session import Sessions, peer_of

_FORM = "authorize"


class AuthorizationPage:
    """Shows the page and takes its form.

    Args:
        issuer: The issuer.
        store: The database.
        sessions: The browser sessions.
        renderer: Renders the page.
        audit: Logs decisions and rejected requests.
        body_seconds: Time that a browser gets to send a form.
    """

    def __init__(
        self,
        issuer: Issuer,
        store: IssuerStore,
        sessions: Sessions,
        renderer: Renderer,
        audit: AuditLog,
        *,
        body_seconds: float,
    ) -> None:
        self._issuer = issuer
        self._store = store
        self._sessions = sessions
        self._renderer = renderer
        self._audit = audit
        self._body_seconds = body_seconds

    async def show(self, request: Request) -> Response:
        """Show the approval page, or respond at once if no approval is needed."""
        asks = AuthorizationRequest.of(request.query_params.multi_items())

        def work(transaction: Transaction) -> ErrorPage | AuthorizationResponse | ConsentRequest:
            judged = validate(self._issuer, asks, transaction)
            if isinstance(judged, ConsentRequest) and self._issuer.settings.approve == "auto":
                return approve(self._issuer, judged, transaction)
            return judged

        judged = await self._store.arun(work)
        if not isinstance(judged, ConsentRequest):
            if isinstance(judged, ErrorPage) or "error" in judged.params:
                self._record(_refusal(judged), request)
            return self._answer(judged)
        session = self._sessions.of(request)
        response = self._renderer.page(
            "authorize.html",
            leaves=True,
            client=judged.client,
            scopes=self._renderer.scopes(judged.scope),
            subject=self._issuer.settings.subject,
            destination=destination(judged.redirect.uri),
            request=asks.values,
            csrf=session.csrf(_FORM),
        )
        self._sessions.set_cookie(session, response)
        return response

    async def submit(self, request: Request) -> Response:
        """Store the user's decision and send the browser back to the client."""
        form = await read_form(request, self._renderer, self._body_seconds)
        if isinstance(form, Response):
            return form
        csrf, answer = form.pop("csrf", None), form.pop("decision", None)
        asks = AuthorizationRequest.of((name, value or "") for name, value in form.items())
        if not self._sessions.accepts(self._sessions.of(request), csrf, request, _FORM):
            return self._renderer.stale(
                Link(self._address(asks.values), "Open the page again")
                if asks.values
                else Link(f"{self._renderer.base}/", "Go to the start page")
            )
        if answer not in {"approve", "deny"}:
            return self._renderer.nothing_chosen()

        def work(transaction: Transaction) -> tuple[ErrorPage | AuthorizationResponse, AuditEvent]:
            judged = validate(self._issuer, asks, transaction)
            if not isinstance(judged, ConsentRequest):
                return judged, _refusal(judged)
            client_id = judged.client.client_id
            if answer == "approve":
                sent_back = approve(self._issuer, judged, transaction)
                return sent_back, approval_event(self._issuer, client_id)
            return deny(self._issuer, judged), denial_event(self._issuer, client_id)

        judged, event = await self._store.arun(work)
        self._record(event, request)
        return self._answer(judged)

    def _record(self, event: AuditEvent, request: Request) -> None:
        self._audit.record(event, "/authorize", peer_of(request))

    def _address(self, values: Mapping[str, str]) -> str:
        return f"{self._renderer.base}/authorize?{urlencode(values)}"

    def _answer(self, judged: ErrorPage | AuthorizationResponse) -> Response:
        if isinstance(judged, ErrorPage):
            return self._renderer.message(
                "This link does not work",
                f"{judged.why} Nothing was done. Close this page and start again in the "
                "application.",
                400,
            )
        if not judged.automatic:
            return self._renderer.page(
                "return.html",
                400,
                leaves=True,
                client=judged.client,
                destination=destination(judged.redirect_uri),
                description=judged.params["error_description"],
                response=judged,
            )
        if judged.mode == "form_post":
            return self._renderer.page(
                "form_post.html",
                leaves=True,
                scripts=True,
                destination=destination(judged.redirect_uri),
                response=judged,
            )
        response = RedirectResponse(judged.url, 303)
        # Starlette quotes the URL, but a client must get back exactly what it registered.
        response.headers["location"] = judged.url
        response.headers["cache-control"] = "no-store"
        response.headers["referrer-policy"] = "no-referrer"
        return response


def _refusal(judged: ErrorPage | AuthorizationResponse) -> AuditEvent:
    """Return the audit log's event for a request with a mistake, which no person saw."""
    if isinstance(judged, ErrorPage):
        return AuditEvent("denial", error="invalid_request", reason=judged.why)
    return AuditEvent(
        "denial",
        client_id=judged.client.client_id,
        error=judged.params["error"],
        reason=judged.params["error_description"],
    )
