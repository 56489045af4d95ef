"""The pages as routes: ``/authorize``, ``/device`` and their stylesheet."""

from __future__ import annotations

import asyncio
import logging
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from grantway_plugins.issuer.authorization import Asked, Refused, SentBack, approve, deny, judge
from grantway_plugins.issuer.decision import Refusal
from grantway_plugins.issuer.errors import StoreBusyError, StoreError
from grantway_plugins.issuer.issuer import Issuer
from grantway_plugins.issuer.randomness import digest, plain_user_code, shown_user_code
from grantway_plugins.issuer.records import Client, DeviceCode, DeviceStatus
from grantway_plugins.issuer.redirect_uri import origin
from grantway_plugins.issuer.store import Store
from grantway_plugins.issuer.transaction import Transaction
from grantway_plugins.issuer.wire import BODY_CAP, BODY_TIME, parse_form

from .session import Session, Sessions
from .throttle import Throttle

_log = logging.getLogger(__name__)
_TEMPLATES = Environment(
    loader=PackageLoader("grantway_plugins.issuer.pages"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
)
_STYLESHEET = (resources.files("grantway_plugins.issuer.pages") / "templates/issuer.css").read_text(
    "utf-8"
)


class Pages:
    """The pages of one issuer, as an ASGI application in ``asgi``.

    Args:
        issuer: Whose pages.
        store: Where clients and codes are.
    """

    def __init__(self, issuer: Issuer, store: Store) -> None:
        self._issuer = issuer
        self._store = store
        self._sessions = Sessions(secure=issuer.settings.url.startswith("https:"))
        self._throttle = Throttle(issuer.clock)
        self.asgi = Starlette(
            routes=[
                Route("/authorize", self._show_authorization, methods=["GET"]),
                Route("/authorize", self._answer_authorization, methods=["POST"]),
                Route("/device", self._show_device, methods=["GET"]),
                Route("/device", self._answer_device, methods=["POST"]),
                Route("/static/issuer.css", _stylesheet, methods=["GET"]),
            ],
            exception_handlers={StoreError: _unavailable},
        )

    # --- /authorize ---

    async def _show_authorization(self, request: Request) -> Response:
        params = _query(request)

        def work(transaction: Transaction) -> Refused | SentBack | Asked:
            judged = judge(self._issuer, params, transaction)
            if isinstance(judged, Asked) and self._issuer.settings.approve == "auto":
                return approve(self._issuer, judged, transaction)
            return judged

        judged = await self._store.arun(work)
        if not isinstance(judged, Asked):
            return _refused_or_sent_back(judged)
        session = self._sessions.of(request)
        response = _page(
            "authorize.html",
            form_action=f"'self' {origin(judged.redirect.uri)}",
            client=judged.client,
            scope=judged.scope,
            subject=self._issuer.settings.subject,
            back_to=judged.redirect.uri.partition("?")[0],
            request=params,
            csrf=session.csrf,
        )
        self._sessions.give(session, response)
        return response

    async def _answer_authorization(self, request: Request) -> Response:
        form = await _form(request)
        if isinstance(form, Response):
            return form
        if not self._sessions.accepts(self._sessions.of(request), form.pop("csrf", None), request):
            return _stale()
        answer = form.pop("decision", None)
        if answer not in {"approve", "deny"}:
            return _message("Nothing was chosen", "Go back and press one of the buttons.", 400)

        def work(transaction: Transaction) -> Refused | SentBack:
            judged = judge(self._issuer, form, transaction)
            if not isinstance(judged, Asked):
                return judged
            if answer == "approve":
                return approve(self._issuer, judged, transaction)
            return deny(self._issuer, judged)

        return _refused_or_sent_back(await self._store.arun(work))

    # --- /device ---

    async def _show_device(self, request: Request) -> Response:
        session = self._sessions.of(request)
        typed = request.query_params.get("user_code")
        # As an image or a frame of a stranger's page, it would make the person wait.
        if typed is None or request.headers.get("sec-fetch-dest", "document") != "document":
            response = _page("device_entry.html", csrf=session.csrf, wrong="")
        else:
            response = await self._show_code(request, session, typed)
        self._sessions.give(session, response)
        return response

    async def _answer_device(self, request: Request) -> Response:
        form = await _form(request)
        if isinstance(form, Response):
            return form
        session = self._sessions.of(request)
        if not self._sessions.accepts(session, form.get("csrf"), request):
            return _stale()
        answer = form.get("decision")
        if answer is None:
            return await self._show_code(request, session, form.get("user_code", ""))
        if answer not in {"approve", "deny"}:
            return _message("Nothing was chosen", "Go back and press one of the buttons.", 400)
        return await self._decide_code(request, session, form.get("user_code", ""), answer)

    async def _show_code(self, request: Request, session: Session, typed: str) -> Response:
        found = await self._find_code(request, session, typed)
        if isinstance(found, Response):
            return found
        code, client = found
        return _page(
            "device_confirm.html",
            client=client,
            scope=code.scope,
            subject=self._issuer.settings.subject,
            user_code=shown_user_code(plain_user_code(typed)),
            csrf=session.csrf,
        )

    async def _decide_code(
        self, request: Request, session: Session, typed: str, answer: str
    ) -> Response:
        found = await self._find_code(request, session, typed)
        if isinstance(found, Response):
            return found
        code, _client = found
        approved = answer == "approve"
        status = DeviceStatus.APPROVED if approved else DeviceStatus.DENIED
        subject = self._issuer.settings.subject if approved else None
        if not await self._store.arun(
            lambda transaction: transaction.decide_device_code(code.digest, status, subject)
        ):
            return _message("Already answered", "This code was answered before.", 409)
        if approved:
            return _message(
                "Approved", "Your device will go on by itself. You can close this page."
            )
        return _message("Denied", "The device gets no access. You can close this page.")

    async def _find_code(
        self, request: Request, session: Session, typed: str
    ) -> tuple[DeviceCode, Client] | Response:
        """The live code that was typed, or the page to show instead. Wrong ones are counted."""
        peer = request.client.host if request.client else "unknown"
        keys = (f"session {session.id}", f"peer {peer}")
        wait = self._throttle.wait(*keys)
        if wait > 0:
            return self._throttled(wait)
        # Counted before it is looked up, or many sent at once would all be looked at.
        self._throttle.wrong(*keys)
        key = digest(plain_user_code(typed))
        now = self._issuer.clock()

        def work(transaction: Transaction) -> tuple[DeviceCode, Client] | None:
            code = transaction.device_code_for_user_code(key)
            if code is None or now >= code.expires_at or code.status is not DeviceStatus.PENDING:
                return None
            client = transaction.client(code.client_id)
            return None if client is None else (code, client)

        found = await self._store.arun(work)
        if found is not None:
            self._throttle.right(*keys)
            return found
        wait = self._throttle.wait(*keys)
        if wait > 0:
            return self._throttled(wait)
        return _page(
            "device_entry.html",
            400,
            csrf=session.csrf,
            wrong="This code is not known, or it has expired or was answered. Check it and try "
            "again.",
        )

    @staticmethod
    def _throttled(wait: float) -> Response:
        seconds = int(wait) + (wait > int(wait))
        response = _message(
            "Too many wrong codes", f"Wait {seconds} seconds, then enter the code again.", 429
        )
        response.headers["retry-after"] = str(seconds)
        return response


async def _unavailable(_request: Request, failed: Exception) -> Response:
    if not isinstance(failed, StoreBusyError):
        _log.error("A page could not be shown: %s", failed)
    response = _message("Busy", "Nothing was done. Try again in a moment.", 503)
    response.headers["retry-after"] = "1"
    return response


async def _stylesheet(_request: Request) -> Response:
    return Response(
        _STYLESHEET,
        media_type="text/css",
        headers={"cache-control": "max-age=3600", "x-content-type-options": "nosniff"},
    )


def _page(
    template: str, status: int = 200, *, form_action: str = "'self'", **values: Any
) -> Response:
    policy = (
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action {form_action}"
    )
    return Response(
        _TEMPLATES.get_template(template).render(values),
        status,
        media_type="text/html",
        headers={
            "cache-control": "no-store",
            "content-security-policy": policy,
            "cross-origin-opener-policy": "same-origin",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
        },
    )


def _message(title: str, text: str, status: int = 200) -> Response:
    return _page("message.html", status, title=title, text=text)


def _stale() -> Response:
    return _message(
        "This form is out of date", "Open the page again and repeat what you chose.", 403
    )


def _refused_or_sent_back(judged: Refused | SentBack) -> Response:
    if isinstance(judged, Refused):
        return _message("This link does not work", judged.why, 400)
    response = RedirectResponse(judged.url, 303)
    # Starlette quotes; what was registered must come back letter by letter.
    response.headers["location"] = judged.url
    response.headers["cache-control"] = "no-store"
    response.headers["referrer-policy"] = "no-referrer"
    return response


def _query(request: Request) -> dict[str, str]:
    """The query; a name that stands twice becomes empty, which no rule accepts."""
    collected: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        collected[name] = "" if name in collected else value
    return collected


async def _form(request: Request) -> dict[str, str] | Response:
    body = b""
    try:
        async with asyncio.timeout(BODY_TIME):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_CAP:
                    return _message("Too large", "The form is too large.", 413)
    except (ClientDisconnect, TimeoutError):
        return _message("Incomplete", "The form did not arrive whole. Send it again.", 400)
    try:
        form: dict[str, str] = parse_form(body)
    except Refusal:
        return _message("Not a form", "The form could not be read.", 400)
    return form
