"""The pages below ``/login``: a login's form, and the return from another site."""

from __future__ import annotations

import logging
import math
from typing import Literal
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from grantway._processes.copies import OneProcess
from grantway._secrets.params import Params
from grantway_plugins.issuer._decisions.rate_limit import RateLimit
from grantway_plugins.issuer._decisions.user import User
from grantway_plugins.issuer._extensions.view import View
from grantway_plugins.issuer._login.attempts import (
    MAX_RETURN,
    Attempt,
    end_attempt,
    find_attempt,
)
from grantway_plugins.issuer._login.current_user import log_in, user_of
from grantway_plugins.issuer._login.interface import (
    Identity,
    LoginFailure,
    LoginOutcome,
    LoginRedirect,
    LoginRequest,
    Prompt,
)
from grantway_plugins.issuer._login.method import LoginMethod
from grantway_plugins.issuer._login.steps import LoginSteps, failure_of
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.asgi import peer_of as peer_in
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.headers import Headers, joined
from grantway_plugins.server._listening.peers import network_of
from grantway_plugins.server._pages.forms import read_form
from grantway_plugins.server._pages.rendering import Link
from grantway_plugins.server._pages.session import Session, peer_of

from .context import PageContext
from .return_to import MARKER, OTHER, ReturnTo, marked
from .throttle import Throttle

PATH = "/login"
CALLBACK = "/login/callback"
#: Maximum number of logins per minute that begin from one network, because each is stored.
MOST_BEGUN = 600
#: Maximum number of failures per minute that are logged.
_LOGGED = 60
_NO_COOKIE = (
    "The login was started in another browser, or your browser does not keep this site's cookies. "
    "You are not logged in. Allow cookies for this site, then start again in the application."
)
_OTHER_TAB = (
    "You logged in in another tab meanwhile, or this link is of another browser. Nothing was "
    "changed. Start again in the application."
)
_FINISHED = (
    "This login was already finished, or is too old. If you are not logged in, start again in the "
    "application."
)

_log = logging.getLogger("grantway.issuer")


class LoginPage(OneProcess):
    """Lets users log in, and returns to the pages that need them.

    Args:
        method: How users log in.
        context: The objects that all pages need.
    """

    def __init__(self, method: LoginMethod, context: PageContext) -> None:
        self._name = method.name
        self._steps = LoginSteps(method)
        self._issuer = context.issuer
        self._store = context.store
        self._sessions = context.sessions
        self._renderer = context.renderer
        self._audit = context.audit
        self._body_seconds = context.body_seconds
        self._throttle = Throttle(context.issuer.clock)
        self._logged = RateLimit(_LOGGED)
        self._begun = RateLimit(MOST_BEGUN)

    async def begin(
        self,
        request: Request,
        return_to: ReturnTo,
        *,
        prompt: Prompt = "",
        max_age: float | None = None,
        login_hint: str | None = None,
    ) -> Response:
        """Begin a login, and return to a page afterwards.

        Args:
            request: The request to the page.
            return_to: The page.
            prompt: As in ``LoginRequest``.
            max_age: As in ``LoginRequest``.
            login_hint: As in ``LoginRequest``.
        """
        target = str(return_to)
        if len(target) > MAX_RETURN:
            return self._renderer.message(
                "This link is too long", "Start again in the application.", 414
            )
        network = network_of(peer_of(request))
        wait = self._begun.wait(network)
        if wait > 0:
            return self._throttled(wait, peer_of(request))
        self._begun.take(network)
        if request.query_params.get(MARKER) == OTHER:
            prompt = prompt or "select_account"
        session = self._sessions.of(request)
        attempt = Attempt.new(
            session.id,
            target,
            self._issuer.clock(),
            prompt=prompt,
            max_age=max_age,
            login_hint=login_hint,
        )
        outcome = await self._step("begin", attempt, session, request, {})
        return await self._respond(outcome, attempt, session, request, stored=False)

    async def start(self, request: Request) -> Response:
        """Log in without a request of a client."""
        session = self._sessions.of(request)
        user = await self._store.arun(lambda found: user_of(self._issuer, session.id, found))
        if user is not None and MARKER not in request.query_params:
            return self._renderer.redirect(f"{self._renderer.base}/")
        return await self.begin(request, ReturnTo("/"))

    async def submit(self, request: Request) -> Response:
        """Handle a submitted form of a login."""
        form = await read_form(request, self._renderer, self._body_seconds)
        if isinstance(form, Response):
            return form
        attempt_id = request.query_params.get("attempt", "")
        session = self._sessions.of(request)
        csrf = form.pop("csrf", None)
        if not self._sessions.accepts(session, csrf, request, _purpose(attempt_id)):
            return self._renderer.stale(Link(f"{self._renderer.base}/", "Go to the start page"))
        peer = peer_of(request)
        wait = self._throttle.enter(session.id, peer)
        if wait > 0:
            return self._throttled(wait, peer)
        attempt = await self._found(attempt_id, session, ends=False)
        if isinstance(attempt, Response):
            self._throttle.give_back(session.id, peer)
            return attempt
        outcome = await self._step("finish", attempt, session, request, form)
        if isinstance(outcome, Identity):
            self._throttle.give_back(session.id, peer)
        else:
            self._throttle.record_wrong_entry(peer)
        return await self._respond(outcome, attempt, session, request, stored=True)

    async def callback(self, request: Request) -> Response:
        """Continue a login when the browser returns from another site."""
        pairs = request.query_params.multi_items()
        params = dict(pairs)
        if len(params) < len(pairs):
            return self._renderer.message(
                "This link does not work",
                "A parameter is duplicated. Start again in the application.",
                400,
            )
        session = self._sessions.of(request)
        # Ended before the code is used, so that the same link cannot be used twice.
        attempt = await self._found(params.get("state", ""), session, ends=True)
        if isinstance(attempt, Response):
            return attempt
        outcome = await self._step("finish", attempt, session, request, params)
        return await self._respond(outcome, attempt, session, request, stored=False)

    async def end_session_url(self, state: str) -> str | None:
        """Return where to log out of the provider, or None.

        Args:
            state: Identifies the logout when the browser returns.
        """
        url = f"{self._issuer.settings.url}/session/ended"
        return await self._steps.end_session_url(url, state)

    async def _found(self, attempt_id: str, session: Session, *, ends: bool) -> Attempt | Response:
        """Return an attempt of this browser, or a page that says why there is none."""

        def work(transaction: Transaction) -> tuple[Attempt | None, User | None]:
            attempt = find_attempt(attempt_id, transaction)
            if ends and attempt is not None and attempt.is_of(session.id):
                end_attempt(attempt_id, transaction)
            return attempt, user_of(self._issuer, session.id, transaction)

        attempt, user = await self._store.arun(work)
        if attempt is None:
            return self._renderer.message("This login is no longer valid", _FINISHED, 400)
        if not attempt.is_of(session.id):
            # Without a link: the page to return to is that of another browser's user.
            if user is not None:
                return self._renderer.message("You are already logged in", _OTHER_TAB, 400)
            return self._renderer.message("You are not logged in", _NO_COOKIE, 400)
        if attempt.is_late(self._issuer.clock()):
            late = LoginFailure("The login took too long. Try again.", "it took too long", 400)
            return self._failure_page(late, attempt)
        return attempt

    async def _step(
        self,
        step: Literal["begin", "finish"],
        attempt: Attempt,
        session: Session,
        request: Request,
        params: dict[str, str],
    ) -> LoginOutcome:
        headers = Headers(
            joined((name, value.decode("latin-1")) for name, value in request.headers.raw)
        )
        asked = LoginRequest(
            attempt=attempt.id,
            callback=f"{self._issuer.settings.url}{CALLBACK}",
            params=Params(params),
            headers=headers,
            peer=peer_in(request.scope),
            now=self._issuer.clock(),
            began=attempt.began,
            prompt=attempt.prompt,
            max_age=attempt.max_age,
            login_hint=attempt.login_hint,
            browser_secret=session.id,
        )
        return await self._steps.run(step, asked)

    async def _respond(
        self,
        outcome: LoginOutcome,
        attempt: Attempt,
        session: Session,
        request: Request,
        *,
        stored: bool,
    ) -> Response:
        """Continue with the outcome of a step. ``stored``: whether the attempt is in the database.

        An attempt is stored only if the login continues.
        """
        if isinstance(outcome, LoginFailure):
            self._record_failure(outcome, request)
            return self._failure_page(outcome, attempt)
        if isinstance(outcome, Identity):
            return await self._finish(outcome, attempt, session, request, stored=stored)
        try:
            response = (
                self._renderer.redirect(outcome.url)
                if isinstance(outcome, LoginRedirect)
                else self._form(outcome, attempt, session)
            )
        except Exception as error:  # noqa: BLE001 - the template is a plugin's; the error may contain a secret
            failure = failure_of(error)
            self._record_failure(failure, request)
            return self._failure_page(failure, attempt)
        if not stored:
            await self._store.arun(attempt.save)
        self._sessions.set_cookie(session, response)
        return response

    async def _finish(
        self,
        identity: Identity,
        attempt: Attempt,
        session: Session,
        request: Request,
        *,
        stored: bool,
    ) -> Response:
        """Create the session, with a new cookie, and return to the page that needed the user."""
        new = self._sessions.new()

        def work(transaction: Transaction) -> bool:
            if stored and not end_attempt(attempt.id, transaction):
                return False
            log_in(self._issuer, identity, attempt.id, (session.id, new.id), transaction)
            return True

        if not await self._store.arun(work):
            return self._renderer.message("This login is no longer valid", _FINISHED, 400)
        event = AuditEvent("user_login", subject=identity.subject)
        self._audit.record(event, request.scope["path"], peer_of(request))
        response = self._renderer.redirect(
            marked(f"{self._renderer.base}{attempt.return_to}", attempt.id)
        )
        self._sessions.set_cookie(new, response)
        return response

    def _form(self, view: View, attempt: Attempt, session: Session) -> Response:
        action = f"{PATH}?{urlencode({'attempt': attempt.id})}"
        return self._renderer.view(
            view, action, session.csrf(_purpose(attempt.id)), leads_to_client=True
        )

    def _record_failure(self, failure: LoginFailure, request: Request) -> None:
        event = AuditEvent("login_failure", reason=failure.message, detail=failure.detail)
        self._audit.record(event, request.scope["path"], peer_of(request))
        if self._logged.wait("") <= 0:
            self._logged.take("")
            _log.warning(
                "A login with %s failed: %s", self._name, failure.detail or failure.message
            )

    def _failure_page(self, failure: LoginFailure, attempt: Attempt) -> Response:
        address = f"{self._renderer.base}{attempt.return_to}"
        if failure.other_account:
            address = marked(address, OTHER)
        return self._renderer.message(
            "You are not logged in",
            failure.message,
            failure.status,
            next_step=Link(address, "Try again"),
        )

    def _throttled(self, wait: float, peer: str) -> Response:
        seconds = math.ceil(wait)
        event = AuditEvent("login_failure", error="slow_down", reason="Too many attempts")
        self._audit.record(event, PATH, peer)
        response = self._renderer.message(
            "Too many attempts",
            f"Wait {seconds} {'second' if seconds == 1 else 'seconds'}, then go back in your "
            "browser and try again.",
            429,
        )
        response.headers["retry-after"] = str(seconds)
        return response


def _purpose(attempt_id: str) -> str:
    """Return the purpose of a login's form, for its CSRF token."""
    return f"login {attempt_id}"
