"""The page ``/authorize``, where the user allows or denies a client's request."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from grantway_plugins.issuer._audit_log import AuditLog
from grantway_plugins.issuer._clients.documents import ClientDocumentReader, DocumentError
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
from grantway_plugins.issuer._decisions.resources import PARAMETER as RESOURCE
from grantway_plugins.issuer._decisions.user import local_user
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
    """Shows the approval page and handles its form.

    Args:
        issuer: The issuer.
        store: The database.
        sessions: The browser sessions.
        renderer: Renders the page.
        audit: Logs decisions and invalid requests.
        documents: Reads the documents of clients, or None.
        body_seconds: Time limit for a submitted form, in seconds.
    """

    def __init__(
        self,
        issuer: Issuer,
        store: IssuerStore,
        sessions: Sessions,
        renderer: Renderer,
        audit: AuditLog,
        *,
        documents: ClientDocumentReader | None = None,
        body_seconds: float,
    ) -> None:
        self._issuer = issuer
        self._store = store
        self._sessions = sessions
        self._renderer = renderer
        self._audit = audit
        self._documents = documents
        self._body_seconds = body_seconds

    async def show(self, request: Request) -> Response:
        """Show the approval page, or respond directly if no approval is needed."""
        authorization_request = AuthorizationRequest.of(request.query_params.multi_items())

        def work(transaction: Transaction) -> ErrorPage | AuthorizationResponse | ConsentRequest:
            outcome = validate(self._issuer, authorization_request, transaction)
            if isinstance(outcome, ConsentRequest) and self._issuer.settings.approve == "auto":
                return approve(
                    self._issuer, outcome, local_user(self._issuer.settings), transaction
                )
            return outcome

        unknown = await self._document_error(authorization_request, request)
        if unknown is not None:
            self._record(_denial_event(unknown), request)
            return self._respond(unknown)
        outcome = await self._store.arun(work)
        if not isinstance(outcome, ConsentRequest):
            if isinstance(outcome, ErrorPage) or "error" in outcome.params:
                self._record(_denial_event(outcome), request)
            return self._respond(outcome)
        session = self._sessions.of(request)
        response = self._renderer.page(
            "authorize.html",
            leads_to_client=True,
            client=outcome.client,
            scopes=self._renderer.scopes(outcome.scope),
            subject=self._issuer.settings.subject,
            destination=destination(outcome.redirect.uri),
            request=authorization_request.pairs,
            resources=outcome.resources,
            csrf=session.csrf(_FORM),
        )
        self._sessions.set_cookie(session, response)
        return response

    async def submit(self, request: Request) -> Response:
        """Store the user's decision and redirect the browser to the client."""
        form = await read_form(
            request, self._renderer, self._body_seconds, repeatable=frozenset({RESOURCE})
        )
        if isinstance(form, Response):
            return form
        csrf, decision = form.pop("csrf", None), form.pop("decision", None)
        authorization_request = AuthorizationRequest.of(
            (name, each)
            for name, value in form.items()
            for each in (value if isinstance(value, list) else [value])
        )
        if not self._sessions.accepts(self._sessions.of(request), csrf, request, _FORM):
            return self._renderer.stale(
                Link(self._address(authorization_request.pairs), "Open the page again")
                if authorization_request.values
                else Link(f"{self._renderer.base}/", "Go to the start page")
            )
        if decision not in {"approve", "deny"}:
            return self._renderer.nothing_chosen()

        def work(transaction: Transaction) -> tuple[ErrorPage | AuthorizationResponse, AuditEvent]:
            outcome = validate(self._issuer, authorization_request, transaction)
            if not isinstance(outcome, ConsentRequest):
                return outcome, _denial_event(outcome)
            client_id = outcome.client.client_id
            if decision == "approve":
                user = local_user(self._issuer.settings)
                sent_back = approve(self._issuer, outcome, user, transaction)
                return sent_back, approval_event(self._issuer, client_id)
            return deny(self._issuer, outcome, transaction), denial_event(self._issuer, client_id)

        outcome, event = await self._store.arun(work)
        self._record(event, request)
        return self._respond(outcome)

    async def _document_error(
        self, asked: AuthorizationRequest, request: Request
    ) -> ErrorPage | None:
        """Read the client's document if its id is a URL; return the error if that is impossible."""
        if self._documents is None:
            return None
        try:
            await self._documents.ensure(asked.values.get("client_id"), peer_of(request))
        except DocumentError as error:
            return ErrorPage(f"The application cannot be identified: its client_id {error}.")
        return None

    def _record(self, event: AuditEvent, request: Request) -> None:
        self._audit.record(event, "/authorize", peer_of(request))

    def _address(self, pairs: Sequence[tuple[str, str]]) -> str:
        return f"{self._renderer.base}/authorize?{urlencode(pairs)}"

    def _respond(self, outcome: ErrorPage | AuthorizationResponse) -> Response:
        if isinstance(outcome, ErrorPage):
            return self._renderer.message(
                "This link does not work",
                f"{outcome.reason} Nothing was done. Close this page and start again in the "
                "application.",
                400,
            )
        if not outcome.automatic:
            return self._renderer.page(
                "return.html",
                400,
                leads_to_client=True,
                client=outcome.client,
                destination=destination(outcome.redirect_uri),
                description=outcome.params["error_description"],
                response=outcome,
            )
        if outcome.mode == "form_post":
            return self._renderer.page(
                "form_post.html",
                leads_to_client=True,
                scripts=True,
                destination=destination(outcome.redirect_uri),
                response=outcome,
            )
        return self._renderer.redirect(outcome.url)


def _denial_event(outcome: ErrorPage | AuthorizationResponse) -> AuditEvent:
    """Return the audit event for a request that was rejected without asking the user."""
    if isinstance(outcome, ErrorPage):
        return AuditEvent("denial", error="invalid_request", reason=outcome.reason)
    return AuditEvent(
        "denial",
        client_id=outcome.client.client_id,
        error=outcome.params["error"],
        reason=outcome.params["error_description"],
    )
