"""The page ``/device``, where the user enters a user code and allows or denies it (RFC 8628)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from grantway_plugins.issuer._audit_log import AuditLog
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.randomness import (
    digest,
    plain_user_code,
    shown_user_code,
)
from grantway_plugins.issuer._decisions.user import local_user
from grantway_plugins.issuer._storage.records import (
    DeviceCodeRecord,
    DeviceStatus,
    RegisteredClient,
)
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.audit_event import AuditEvent

from .decision_events import approval_event, denial_event
from .forms import read_form
from .rendering import Link, Renderer
from .session import Session, Sessions, peer_of
from .throttle import Throttle

#: Maximum length of the input field; longer input is truncated when it is shown again.
_FIELD = 40
_UNKNOWN = (
    "No device is waiting with this code. Check it and try again. Codes expire after a few "
    "minutes; if this one is older, start again on the device to get a new one."
)
_PATH = "/device"
_TOO_MANY = AuditEvent("denial", error="slow_down", reason="Too many wrong codes")
_EXPIRED = "This code has expired. Start again on the device to get a new code, and enter it here."


@dataclass(frozen=True, slots=True)
class _Found:
    """The device code of a user code, its client, and whether it has expired."""

    code: DeviceCodeRecord
    client: RegisteredClient | None
    expired: bool

    @property
    def decided(self) -> bool:
        return self.code.status is not DeviceStatus.PENDING


class DevicePage:
    """Shows the pages and handles their forms.

    Args:
        issuer: The issuer.
        store: The database.
        sessions: The browser sessions.
        renderer: Renders the pages.
        audit: Logs decisions and wrong codes.
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
        body_seconds: float,
    ) -> None:
        self._issuer = issuer
        self._store = store
        self._sessions = sessions
        self._renderer = renderer
        self._audit = audit
        self._body_seconds = body_seconds
        self._throttle = Throttle(issuer.clock)

    async def show(self, request: Request) -> Response:
        """Show the form for a user code, or the confirmation page if the URL contains one."""
        session = self._sessions.of(request)
        typed = request.query_params.get("user_code")
        # Another site could embed the URL as an image or frame to use up the user's attempts.
        if not typed or request.headers.get("sec-fetch-dest", "document") != "document":
            response = self._entry(session)
        else:
            response = await self._enter(request, session, typed)
        self._sessions.set_cookie(session, response)
        return response

    async def submit(self, request: Request) -> Response:
        """Handle a submitted user code, or the user's decision about a device."""
        form = await read_form(request, self._renderer, self._body_seconds)
        if isinstance(form, Response):
            return form
        session = self._sessions.of(request)
        typed, decision = form.get("user_code") or "", form.get("decision")
        if decision not in {"approve", "deny", None}:
            return self._renderer.nothing_chosen()
        shown = "" if decision is None else plain_user_code(typed)
        if not self._sessions.accepts(session, form.get("csrf"), request, _purpose(shown)):
            query = f"?{urlencode({'user_code': typed})}" if typed else ""
            return self._renderer.stale(
                Link(f"{self._renderer.base}/device{query}", "Open the page again")
            )
        if decision is None:
            return await self._enter(request, session, typed)
        return await self._decide(request, typed, approved=decision == "approve")

    async def _enter(self, request: Request, session: Session, typed: str) -> Response:
        """Show the confirmation page for a user code, and count wrong codes."""
        peer = peer_of(request)
        session_id = None if session.new else session.id
        wait = self._throttle.enter(session_id, peer)
        if wait > 0:
            self._audit.record(_TOO_MANY, _PATH, peer)
            return self._throttled(session, typed, wait)
        try:
            found = await self._find(typed)
        except BaseException:
            self._throttle.give_back(session_id, peer)
            raise
        if found is None:
            self._throttle.record_wrong_entry(peer)
            self._audit.record(AuditEvent("wrong_user_code"), _PATH, peer)
            wait = self._throttle.wait(session_id, peer)
            if wait > 0:
                return self._throttled(session, typed, wait)
            return self._entry(session, 400, typed=typed, problem=_UNKNOWN)
        self._throttle.give_back(session_id, peer)
        if found.decided:
            return self._already_decided()
        if found.expired or found.client is None:
            return self._entry(session, 400, typed=typed, problem=_EXPIRED)
        plain = plain_user_code(typed)
        return self._renderer.page(
            "device_confirm.html",
            client=found.client,
            scopes=self._renderer.scopes(found.code.scope),
            resources=found.code.details.resources,
            subject=self._issuer.settings.subject,
            user_code=shown_user_code(plain),
            csrf=session.csrf(_purpose(plain)),
        )

    async def _decide(self, request: Request, typed: str, *, approved: bool) -> Response:
        """Store the decision. The CSRF token proves that this browser was shown this code."""
        status = DeviceStatus.APPROVED if approved else DeviceStatus.DENIED
        subject = local_user(self._issuer.settings).subject if approved else None

        def work(transaction: Transaction) -> tuple[_Found | None, bool]:
            found = self._look_up(typed, transaction)
            if found is None or found.decided or found.expired or found.client is None:
                return found, False
            return found, transaction.device_codes.decide(found.code, status, subject)

        found, decided = await self._store.arun(work)
        another = Link(f"{self._renderer.base}/device", "Connect another device")
        if found is None or found.client is None or (found.expired and not found.decided):
            return self._renderer.message("This code has expired", _EXPIRED, 400, next_step=another)
        if not decided:
            return self._already_decided()
        client_id = found.client.client_id
        event = (
            approval_event(self._issuer, client_id)
            if approved
            else denial_event(self._issuer, client_id)
        )
        self._audit.record(event, _PATH, peer_of(request))
        if approved:
            return self._renderer.message(
                "Device connected",
                "The device continues by itself within a few seconds. You can close this page.",
                next_step=another,
            )
        return self._renderer.message(
            "Access denied",
            "The device gets no access. You can close this page.",
            next_step=another,
        )

    async def _find(self, typed: str) -> _Found | None:
        return await self._store.arun(lambda transaction: self._look_up(typed, transaction))

    def _look_up(self, typed: str, transaction: Transaction) -> _Found | None:
        code = transaction.device_codes.find_by_user_code(digest(plain_user_code(typed)))
        if code is None:
            return None
        expired = self._issuer.clock() >= code.expires_at
        return _Found(code, transaction.clients.find(code.client_id), expired)

    def _entry(
        self, session: Session, status: int = 200, *, typed: str = "", problem: str = ""
    ) -> Response:
        return self._renderer.page(
            "device_entry.html",
            status,
            csrf=session.csrf(_purpose("")),
            problem=problem,
            typed=typed[:_FIELD],
        )

    def _throttled(self, session: Session, typed: str, wait: float) -> Response:
        seconds = math.ceil(wait)
        unit = "second" if seconds == 1 else "seconds"
        response = self._entry(
            session,
            429,
            typed=typed,
            problem=f"Too many wrong codes. Wait {seconds} {unit}, then enter the code again.",
        )
        response.headers["retry-after"] = str(seconds)
        return response

    def _already_decided(self) -> Response:
        return self._renderer.message(
            "Already decided",
            "This code was already allowed or denied, and the decision is final. If the device "
            "is still waiting, start again on the device to get a new code.",
            409,
            next_step=Link(f"{self._renderer.base}/device", "Enter another code"),
        )


def _purpose(plain: str) -> str:
    """Return the purpose of a form, for its CSRF token; an empty code means the entry form."""
    return f"device {plain}"
