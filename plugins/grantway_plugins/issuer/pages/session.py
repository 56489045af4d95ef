"""A browser's session: one random cookie, and the tokens that its forms carry against CSRF."""

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
        key: Signs the tokens of its forms.
        new: Whether the browser has yet to be given the cookie.
    """

    id: str = field(repr=False)
    key: bytes = field(repr=False)
    new: bool = False

    def csrf(self, about: str) -> str:
        """Return the token of a form.

        Args:
            about: What the form is for, such as one device's code. The token works for no other.
        """
        return hmac.new(self.key, f"{self.id} {about}".encode(), hashlib.sha256).hexdigest()


class Sessions:
    """Tells browsers apart. The key lives as long as the process; after that, forms are reloaded.

    Args:
        secure: Whether the issuer is reached by https, so that its cookie must be too.
    """

    def __init__(self, *, secure: bool) -> None:
        self._key = secrets.token_bytes(32)
        self._secure = secure

    def of(self, request: Request) -> Session:
        """Return the session of a request, or a new one if it has no cookie of ours."""
        given = request.cookies.get(COOKIE, "")
        new = len(given) != 2 * _ID_BYTES or not given.isascii() or not given.isalnum()
        return Session(secrets.token_hex(_ID_BYTES) if new else given, self._key, new)

    def accepts(self, session: Session, csrf: object, request: Request, about: str) -> bool:
        """Whether a form comes from a page that this session was shown.

        Args:
            session: The browser's session.
            csrf: The token that the form carries.
            request: The request that sent the form.
            about: The value given to ``Session.csrf``.
        """
        if session.new or not isinstance(csrf, str):
            return False
        # Ports of one machine share cookies, so another local page counts as a stranger.
        if request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
            return False
        return hmac.compare_digest(csrf.encode("utf-8", "replace"), session.csrf(about).encode())

    def give(self, session: Session, response: Response) -> None:
        """Give a new session's cookie to the browser."""
        if session.new:
            response.set_cookie(
                COOKIE, session.id, httponly=True, samesite="lax", secure=self._secure, path="/"
            )
