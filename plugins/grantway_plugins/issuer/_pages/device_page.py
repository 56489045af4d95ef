"""The page ``/device``, where the user enters a user code and allows or denies it (RFC 8628)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from grantway_plugins.issuer._decisions.randomness import (
    digest,
    plain_user_code,
    shown_user_code,
)
from grantway_plugins.issuer._decisions.user import User, local_user
from grantway_plugins.issuer._login.current_user import user_of
from grantway_plugins.issuer._storage.records import (
    DeviceCodeRecord,
    DeviceStatus,
    RegisteredClient,
)
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._pages.forms import read_form
from grantway_plugins.server._pages.rendering import Link
from grantway_plugins.server._pages.session import Session, peer_of

from .context import PageContext
from .decision_events import approval_event, denial_event
from .logins import Logins
from .return_to import MARKER, OTHER, ReturnTo
from .throttle import Throttle

#: Maximum length of the input field; longer input is truncated when it is shown again.
_FIELD = 40
_UNKNOWN = (
    "No device is waiting with this code. Check it and try again. Codes expire after a few "
    "minutes; if this one is older, start again on the device to get a new one."
)
_PATH = "/device"
#: Cookie with the code of the link that the user opened, until the user is logged in.
_COOKIE = "grantway_user_code"
_COOKIE_SECONDS = 1800
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


class _LoggedOutError(Exception):
    """Raised to roll back a decision because no user is logged in."""


class DevicePage:
    """Shows the pages and handles their forms.

    Args:
        context: The objects that all pages need.
        logins: Logs users in.
    """

    def __init__(self, context: PageContext, logins: Logins) -> None:
        self._logins = logins
        self._issuer = context.issuer
        self._store = context.store
        self._sessions = context.sessions
        self._renderer = context.renderer
        self._audit = context.audit
        self._body_seconds = context.body_seconds
        self._throttle = Throttle(context.issuer.clock)
        self._path = f"{context.renderer.base}{_PATH}"

    async def show(self, request: Request) -> Response:
        """Show the form for a user code, or the confirmation page if the URL contains one."""
        session = self._sessions.of(request)
        kept = request.cookies.get(_COOKIE)
        typed = request.query_params.get("user_code") or kept
        user = await self._user(session)
        if user is None or request.query_params.get(MARKER) == OTHER:
            return await self._log_in(request, typed or "")
        # Another site could embed the URL as an image or frame to use up the user's attempts.
        if not typed or request.headers.get("sec-fetch-dest", "document") != "document":
            response = self._entry(session, user)
        else:
            response = await self._enter(request, session, user, typed)
            if kept is not None:
                response.delete_cookie(_COOKIE, path=self._path)
        self._sessions.set_cookie(session, response)
        return response

    async def submit(self, request: Request) -> Response:
        """Handle a submitted user code, or the user's decision about a device."""
        form = await read_form(request, self._renderer, self._body_seconds)
        if isinstance(form, Response):
            return form
        session = self._sessions.of(request)
        typed, decision = form.get("user_code") or "", form.get("decision")
        again = ReturnTo(_PATH, (("user_code", typed),) if typed else ())
        problem = self._problem(request, session, form, again)
        if problem is not None:
            return problem
        if decision == "switch":
            return await self._logins.switch(request, again)
        if decision is not None:
            return await self._decide(request, session, typed, decision)
        user = await self._user(session)
        if user is None:  # the session ended meanwhile
            return await self._log_in(request, typed)
        return await self._enter(request, session, user, typed)

    def _problem(
        self, request: Request, session: Session, form: Mapping[str, str], again: ReturnTo
    ) -> Response | None:
        """Return the response to a form without a valid decision or CSRF token, or None."""
        decision = form.get("decision")
        if decision not in {"approve", "deny", "switch", None}:
            return self._renderer.nothing_chosen()
        purposes = {
            _purpose("" if decision is None else plain_user_code(form.get("user_code", "")))
        }
        if decision == "switch":  # both pages have this button
            purposes.add(_purpose(""))
        csrf = form.get("csrf")
        if any(self._sessions.accepts(session, csrf, request, each) for each in purposes):
            return None
        return self._renderer.stale(Link(f"{self._renderer.base}{again}", "Open the page again"))

    async def _user(self, session: Session) -> User | None:
        if self._issuer.login is None:
            return local_user(self._issuer.settings)
        return await self._store.arun(lambda found: user_of(self._issuer, session.id, found))

    async def _log_in(self, request: Request, typed: str) -> Response:
        """Let the user log in, and keep the code in a cookie meanwhile.

        The database has only digests of codes, so the page to return to does not contain it.
        """
        response = await self._logins.begin(request, ReturnTo(_PATH))
        if typed:
            response.set_cookie(
                _COOKIE,
                plain_user_code(typed)[:_FIELD],
                max_age=_COOKIE_SECONDS,
                httponly=True,
                samesite="lax",
                secure=self._issuer.settings.url.startswith("https:"),
                path=self._path,
            )
        return response

    async def _enter(self, request: Request, session: Session, user: User, typed: str) -> Response:
        """Show the confirmation page for a user code, and count wrong codes."""
        peer = peer_of(request)
        session_id = None if session.new else session.id
        wait = self._throttle.enter(session_id, peer)
        if wait > 0:
            self._audit.record(_TOO_MANY, _PATH, peer)
            return self._throttled(session, user, typed, wait)
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
                return self._throttled(session, user, typed, wait)
            return self._entry(session, user, 400, typed=typed, problem=_UNKNOWN)
        self._throttle.give_back(session_id, peer)
        if found.decided:
            return self._already_decided()
        if found.expired or found.client is None:
            return self._entry(session, user, 400, typed=typed, problem=_EXPIRED)
        plain = plain_user_code(typed)
        return self._renderer.page(
            "device_confirm.html",
            client=found.client,
            scopes=self._renderer.scopes(found.code.scope),
            resources=found.code.details.resources,
            leads_to_client=self._logins.can_switch,
            subject=user.shown,
            can_switch=self._logins.can_switch,
            user_code=shown_user_code(plain),
            csrf=session.csrf(_purpose(plain)),
        )

    async def _decide(
        self, request: Request, session: Session, typed: str, decision: str
    ) -> Response:
        """Store the decision. The CSRF token proves that this browser was shown this code."""
        approved = decision == "approve"
        status = DeviceStatus.APPROVED if approved else DeviceStatus.DENIED

        def work(transaction: Transaction) -> tuple[_Found | None, User | None]:
            found = self._look_up(typed, transaction)
            if found is None or found.decided or found.expired or found.client is None:
                return found, None
            user = user_of(self._issuer, session.id, transaction)
            if user is None:
                raise _LoggedOutError
            details = replace(
                found.code.details, auth_time=user.auth_time, session_id=user.session_id
            )
            code = replace(found.code, details=details)
            decided = transaction.device_codes.decide(
                code, status, user.subject if approved else None
            )
            return found, user if decided else None

        try:
            found, user = await self._store.arun(work)
        except _LoggedOutError:  # the session ended meanwhile
            return await self._log_in(request, typed)
        another = Link(f"{self._renderer.base}/device", "Connect another device")
        if found is None or found.client is None or (found.expired and not found.decided):
            return self._renderer.message("This code has expired", _EXPIRED, 400, next_step=another)
        if user is None:
            return self._already_decided()
        client_id = found.client.client_id
        event = approval_event(user, client_id) if approved else denial_event(user, client_id)
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
        self,
        session: Session,
        user: User,
        status: int = 200,
        *,
        typed: str = "",
        problem: str = "",
    ) -> Response:
        return self._renderer.page(
            "device_entry.html",
            status,
            leads_to_client=self._logins.can_switch,
            subject=user.shown,
            can_switch=self._logins.can_switch,
            csrf=session.csrf(_purpose("")),
            problem=problem,
            typed=typed[:_FIELD],
        )

    def _throttled(self, session: Session, user: User, typed: str, wait: float) -> Response:
        seconds = math.ceil(wait)
        unit = "second" if seconds == 1 else "seconds"
        response = self._entry(
            session,
            user,
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
