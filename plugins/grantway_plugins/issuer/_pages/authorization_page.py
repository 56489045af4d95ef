"""The page ``/authorize``, where the user allows or denies a client's request."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from grantway_plugins.issuer._clients.documents import ClientDocumentReader, DocumentError
from grantway_plugins.issuer._decisions.authorization import approve, deny, reject, validate
from grantway_plugins.issuer._decisions.authorization_request import (
    AuthorizationRequest,
    AuthorizationResponse,
    ConsentRequest,
    ErrorPage,
)
from grantway_plugins.issuer._decisions.interaction import next_step, remember
from grantway_plugins.issuer._decisions.resources import PARAMETER as RESOURCE
from grantway_plugins.issuer._decisions.user import User
from grantway_plugins.issuer._login.current_user import answer, user_of
from grantway_plugins.issuer._login.interface import Prompt
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial
from grantway_plugins.server._http.redirect_uri import destination
from grantway_plugins.server._pages.forms import read_form
from grantway_plugins.server._pages.rendering import Link
from grantway_plugins.server._pages.session import Session, peer_of

from .context import PageContext
from .decision_events import approval_event, denial_event
from .logins import Logins
from .return_to import MARKER, OTHER, ReturnTo

_FORM = "authorize"
_PATH = "/authorize"


@dataclass(frozen=True, slots=True)
class _Pending:
    """A valid request that needs the user to log in, or to decide."""

    consent: ConsentRequest
    user: User | None
    must_log_in: bool = False


class AuthorizationPage:
    """Shows the approval page and handles its form.

    Args:
        context: The objects that all pages need.
        logins: Logs users in.
        documents: Reads the documents of clients, or None.
    """

    def __init__(
        self,
        context: PageContext,
        logins: Logins,
        documents: ClientDocumentReader | None = None,
    ) -> None:
        self._logins = logins
        self._documents = documents
        self._issuer = context.issuer
        self._store = context.store
        self._sessions = context.sessions
        self._renderer = context.renderer
        self._audit = context.audit
        self._body_seconds = context.body_seconds

    async def show(self, request: Request) -> Response:
        """Show the approval page, or respond directly if no approval is needed."""
        asked = AuthorizationRequest.of(request.query_params.multi_items())
        session = self._sessions.of(request)
        marker = request.query_params.get(MARKER, "")
        unknown = await self._document_error(asked, request)
        if unknown is not None:
            self._record(_denial_event(unknown), request)
            return self._respond(unknown)
        outcome, event = await self._store.arun(
            lambda transaction: self._judge(asked, session, marker, "", transaction)
        )
        self._record(event, request)
        if not isinstance(outcome, _Pending):
            return self._respond(outcome)
        consent, demands = outcome.consent, outcome.consent.demands
        if outcome.must_log_in:
            return await self._logins.begin(
                request,
                ReturnTo.of(request, _PATH),
                prompt=_prompt(outcome),
                max_age=demands.max_age,
                login_hint=demands.login_hint,
            )
        response = self._renderer.page(
            "authorize.html",
            leads_to_client=True,
            client=consent.client,
            scopes=self._renderer.scopes(consent.scope),
            subject="" if outcome.user is None else outcome.user.shown,
            can_switch=self._logins.can_switch,
            marker=marker,
            destination=destination(consent.redirect.uri),
            request=asked.pairs,
            resources=consent.resources,
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
        marker = form.pop(MARKER, "")
        asked = AuthorizationRequest.of(
            (name, each)
            for name, value in form.items()
            for each in (value if isinstance(value, list) else [value])
        )
        session = self._sessions.of(request)
        again = ReturnTo(_PATH, tuple(asked.pairs))
        if not self._sessions.accepts(session, csrf, request, _FORM):
            return self._renderer.stale(
                Link(f"{self._renderer.base}{again}", "Open the page again")
                if asked.values
                else Link(f"{self._renderer.base}/", "Go to the start page")
            )
        if decision == "switch":
            return await self._logins.switch(request, again)
        if decision not in {"approve", "deny"}:
            return self._renderer.nothing_chosen()
        outcome, event = await self._store.arun(
            lambda transaction: self._judge(asked, session, marker, decision, transaction)
        )
        self._record(event, request)
        if isinstance(outcome, _Pending):  # the session ended meanwhile
            return self._renderer.redirect(f"{self._renderer.base}{again}")
        return self._respond(outcome)

    def _judge(
        self,
        asked: AuthorizationRequest,
        session: Session,
        marker: str,
        decision: str,
        transaction: Transaction,
    ) -> tuple[ErrorPage | AuthorizationResponse | _Pending, AuditEvent | None]:
        """Return the response, or what the user has to do before, and the audit event.

        Args:
            asked: The parameters of the request.
            session: The browser's session.
            marker: The login attempt of this request, or another ``MARKER``.
            decision: ``approve``, ``deny``, or empty if the user has not decided yet.
            transaction: The transaction.
        """
        issuer = self._issuer
        consent = validate(issuer, asked, transaction)
        if not isinstance(consent, ConsentRequest):
            return consent, _denial_event(consent)
        user = user_of(issuer, session.id, transaction)
        answered = user is not None and user.answers(marker)
        step = next_step(issuer, consent, user, transaction, answered=answered)
        if isinstance(step, Denial):
            rejected = reject(issuer, consent, step, transaction)
            return rejected, _denial_event(rejected)
        switches = marker == OTHER and not decision and not consent.demands.silent
        if user is None or step == "log_in" or switches:
            return _Pending(consent, user, must_log_in=True), None
        client_id = consent.client.client_id
        if decision == "deny":
            return deny(issuer, consent, transaction), denial_event(user, client_id)
        if step == "ask" and not decision:
            return _Pending(consent, user), None
        if decision:
            remember(issuer, consent, user, transaction)
        answer(session.id, user, transaction)
        automatic = issuer.settings.approve == "auto"
        return (
            approve(issuer, consent, user, transaction),
            None if automatic else approval_event(user, client_id),
        )

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

    def _record(self, event: AuditEvent | None, request: Request) -> None:
        self._audit.record(event, _PATH, peer_of(request))

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


def _prompt(pending: _Pending) -> Prompt:
    """Return what the login must ask for."""
    demands = pending.consent.demands
    if "login" in demands.prompt:
        return "login"
    if "select_account" in demands.prompt:
        return "select_account"
    is_too_old = pending.user is not None and demands.max_age is not None
    return "login" if is_too_old else ""


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
