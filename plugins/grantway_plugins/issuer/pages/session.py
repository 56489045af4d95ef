"""A browser's session: one random cookie, and the CSRF token that belongs to it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "grantway_session"
#: Bytes of a session id in hex; anything else is not a cookie of ours.
_ID_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """One browser.

    Attributes:
        id: The cookie's value.
        csrf: What each of its forms carries.
        new: Whether the browser has yet to be given the cookie.
    """

    id: str = field(repr=False)
    csrf: str = field(repr=False)
    new: bool = False


class Sessions:
    """Tells browsers apart. The key lives as long as the process; after that, forms are reloaded.

    Args:
        secure: Whether the issuer is reached by https, so that its cookie must be too.
    """

    def __init__(self, *, secure: bool) -> None:
        self._key = secrets.token_bytes(32)
        self._secure = secure

    def of(self, request: Request) -> Session:
        """The session of a request; a new one where it brings none."""
        given = request.cookies.get(COOKIE, "")
        new = len(given) != 2 * _ID_BYTES or not given.isascii() or not given.isalnum()
        session_id = secrets.token_hex(_ID_BYTES) if new else given
        csrf = hmac.new(self._key, session_id.encode(), hashlib.sha256).hexdigest()
        return Session(session_id, csrf, new)

    def accepts(self, session: Session, csrf: object, request: Request) -> bool:
        """Whether a form comes from a page that this session was shown."""
        if session.new or not isinstance(csrf, str):
            return False
        # Ports of one machine share cookies, so another local page counts as a stranger.
        if request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
            return False
        return hmac.compare_digest(csrf.encode("utf-8", "replace"), session.csrf.encode())

    def give(self, session: Session, response: Response) -> None:
        """Hand a new session's cookie to the browser."""
        if session.new:
            response.set_cookie(
                COOKIE, session.id, httponly=True, samesite="lax", secure=self._secure, path="/"
            )
