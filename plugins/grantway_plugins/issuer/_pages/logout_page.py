"""The pages below ``/session`` (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from grantway._processes.copies import OneProcess
from grantway_plugins.issuer._decisions.randomness import digest
from grantway_plugins.issuer._decisions.user import User
from grantway_plugins.issuer._login.current_user import user_of
from grantway_plugins.issuer._storage.records import RegisteredClient
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.redirect_uri import destination, with_query
from grantway_plugins.server._pages.forms import read_form
from grantway_plugins.server._pages.rendering import Link
from grantway_plugins.server._pages.session import Session, peer_of

from .context import PageContext
from .login_page import LoginPage
from .rendering import Renderer

PATH = "/session/end"
DONE = "/session/ended"
#: Member of a client's metadata with the addresses to which a logout may return.
URIS = "post_logout_redirect_uris"
#: The supported parameters; others are ignored.
_KNOWN = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state")
_FORM = "logout"
_NAMESPACE = "grantway-logouts"
#: Seconds until the browser must be back from the provider's logout.
_PROVIDER_SECONDS = 600.0
_OUT = "You are logged out of this site. Applications keep the access that you allowed."
_UNREGISTERED = (
    "The application wants to send you to an address that it did not register for this purpose. "
    "You are still logged in. To log out, go to the start page."
)


@dataclass(frozen=True, slots=True)
class _Logout:
    """A valid request to log out.

    Attributes:
        client: The client that sent the request, or None.
        then: Where to continue afterwards, or empty.
        user: The user who is logged in, or None.
        proven: Whether the client proved with an ID token that this user logged in to it. The user
            need not be asked then.
    """

    client: RegisteredClient | None
    then: str = field(repr=False)
    user: User | None
    proven: bool = False


class LogoutPage(OneProcess):
    """Asks the user whether to log out, ends the session, and returns to the client.

    Args:
        login: The pages of logins.
        context: The objects that all pages need.
    """

    def __init__(self, login: LoginPage, context: PageContext) -> None:
        self._login = login
        self._issuer = context.issuer
        self._store = context.store
        self._sessions = context.sessions
        self._renderer = context.renderer
        self._audit = context.audit
        self._body_seconds = context.body_seconds

    async def show(self, request: Request) -> Response:
        """Ask the user whether to log out."""
        pairs = request.query_params.multi_items()
        params = {name: value for name, value in pairs if name in _KNOWN and value}
        if len({name for name, _ in pairs}) < len(pairs):
            return self._invalid("A parameter is duplicated. You are still logged in.")
        session = self._sessions.of(request)
        logout = await self._validated(params, session)
        if isinstance(logout, Response):
            return logout
        if logout.proven:
            return await self._end_and_leave(request, session, logout)
        if logout.user is None:
            # Without a user's click, this would be an open redirector.
            return self._renderer.message(
                "You are logged out", _OUT, next_step=_next(logout.then, self._renderer)
            )
        response = self._renderer.page(
            "logout.html",
            leads_to_client=True,
            subject=logout.user.shown,
            client=logout.client,
            destination=destination(logout.then) if logout.then else "",
            request=[each for each in params.items() if each[0] != "id_token_hint"],
            csrf=session.csrf(_FORM),
        )
        self._sessions.set_cookie(session, response)
        return response

    async def submit(self, request: Request) -> Response:
        """Log out after the user pressed the button; or ask, if a client sent the form."""
        form = await read_form(request, self._renderer, self._body_seconds)
        if isinstance(form, Response):
            return form
        csrf = form.pop("csrf", None)
        params = {name: value for name, value in form.items() if name in _KNOWN}
        address = f"{self._renderer.base}{PATH}"
        if params:
            address = f"{address}?{urlencode(params)}"
        if csrf is None:
            # Browsers send the cookie with the redirect, but not with another site's form.
            return self._renderer.redirect(address)
        session = self._sessions.of(request)
        if not self._sessions.accepts(session, csrf, request, _FORM):
            return self._renderer.stale(Link(address, "Open the page again"))
        logout = await self._validated(params, session)
        if isinstance(logout, Response):
            return logout
        return await self._end_and_leave(request, session, logout)

    async def done(self, request: Request) -> Response:
        """Continue after the provider's logout."""
        state = request.query_params.get("state", "")
        found = await self._store.arun(lambda found: found.records(_NAMESPACE).take(state))
        then = "" if found is None else found["then"]
        return self._returned(then)

    async def end(self, request: Request, session: Session, response: Response) -> None:
        """End the user's session, and give the browser a new cookie.

        Args:
            request: The request.
            session: The browser's session.
            response: The response that sets the cookie.
        """

        def work(transaction: Transaction) -> User | None:
            user = user_of(self._issuer, session.id, transaction)
            transaction.sessions.remove(digest(session.id))
            return user

        user = await self._store.arun(work)
        if user is not None:
            event = AuditEvent("user_logout", subject=user.subject)
            self._audit.record(event, request.scope["path"], peer_of(request))
        self._sessions.set_cookie(self._sessions.new(), response)

    async def _validated(self, params: Mapping[str, str], session: Session) -> _Logout | Response:
        def work(transaction: Transaction) -> _Logout | None:
            user = user_of(self._issuer, session.id, transaction)
            hint = self._hint(params, transaction)
            client = transaction.clients.find(params.get("client_id") or hint.get("aud", ""))
            proven = bool(hint) and (user is None or _is_of(user, hint))
            uri = params.get("post_logout_redirect_uri")
            if uri is None:
                return _Logout(client, "", user, proven)
            if client is None or uri not in client.metadata.get(URIS, ()):
                return None
            state = params.get("state")
            then = uri if state is None else with_query(uri, {"state": state})
            return _Logout(client, then, user, proven)

        return await self._store.arun(work) or self._invalid(_UNREGISTERED)

    def _hint(self, params: Mapping[str, str], transaction: Transaction) -> Mapping[str, Any]:
        """Return the claims of an ID token that the issuer gave to the client, also an expired one.

        Empty if there is none, or if it is not the issuer's or not this client's.
        """
        token, keys = params.get("id_token_hint"), self._issuer.keys
        if token is None or keys is None:
            return {}
        claims = keys.verified(token, transaction, self._issuer.clock(), typ="JWT") or {}
        audience = claims.get("aud")
        if claims.get("iss") != self._issuer.settings.url or not isinstance(audience, str):
            return {}
        return claims if params.get("client_id", audience) == audience else {}

    async def _end_and_leave(self, request: Request, session: Session, logout: _Logout) -> Response:
        response = await self._leave(logout.then)
        await self.end(request, session, response)
        return response

    async def _leave(self, then: str) -> Response:
        """Return the response after a logout: to the provider, to the client, or a page."""
        state = secrets.token_urlsafe(32)
        url = await self._login.end_session_url(state)
        if url is None:
            return self._returned(then)
        until = self._issuer.clock() + _PROVIDER_SECONDS
        if then:
            await self._store.arun(
                lambda found: found.records(_NAMESPACE).put(state, {"then": then}, until=until)
            )
        return self._renderer.redirect(url)

    def _returned(self, then: str) -> Response:
        if then:
            return self._renderer.redirect(then)
        return self._renderer.message("You are logged out", _OUT)

    def _invalid(self, text: str) -> Response:
        return self._renderer.message("This link does not work", text, 400)


def _is_of(user: User, hint: Mapping[str, Any]) -> bool:
    """Return whether an ID token is of this user, and of this session if it names one."""
    return hint.get("sub") == user.subject and hint.get("sid", user.session_id) == user.session_id


def _next(then: str, renderer: Renderer) -> Link:
    if then:
        return Link(then, f"Continue to {destination(then)}")
    return Link(f"{renderer.base}/", "Go to the start page")
