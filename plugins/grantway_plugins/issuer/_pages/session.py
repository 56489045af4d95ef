"""A browser's session: one random cookie, and the tokens that its forms carry against CSRF."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "grantway_session"
#: Bytes of a session id in hex; anything else is not a cookie of ours.
_ID_BYTES = 32
#: Seconds for which one key signs new forms.
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Session:
    """The session of one browser.

    Attributes:
        id: The cookie's value.
        keys: Signing keys of its forms' tokens: the first signs, all of them verify.
        new: Whether the cookie must still be set.
    """

    id: str = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    new: bool = False

    def csrf(self, about: str) -> str:
        """Return the token of a form.

        Args:
            about: What the form is for, such as one device's code. The token works for no other.
        """
        return self._signed(self.keys[0], about)

    def signed(self, csrf: str, about: str) -> bool:
        """Return whether this is the token of a form that the browser was shown."""
        given = csrf.encode("utf-8", "replace")
        return any(
            hmac.compare_digest(given, self._signed(key, about).encode()) for key in self.keys
        )

    def _signed(self, key: bytes, about: str) -> str:
        return hmac.new(key, f"{self.id} {about}".encode(), hashlib.sha256).hexdigest()


class Sessions:
    """Creates and recognises browser sessions.

    Each day has a separate key, derived from one that every issuer on the database shares. A
    form that one issuer shows can therefore be sent to another one, also after a restart. It is
    accepted until the end of the next day.

    Args:
        key: What the days' keys are derived from.
        clock: Seconds since the epoch.
        secure: Whether the issuer is reached by https, so that its cookie must be too.
        path: The path below which the browser sends the cookie.
    """

    def __init__(
        self, key: bytes, *, clock: Callable[[], float], secure: bool, path: str = "/"
    ) -> None:
        self._key = key
        self._clock = clock
        self._secure = secure
        self._path = path

    def of(self, request: Request) -> Session:
        """Return the session of a request, or a new one if it has no cookie of ours."""
        given = request.cookies.get(COOKIE, "")
        new = len(given) != 2 * _ID_BYTES or not given.isascii() or not given.isalnum()
        today = int(self._clock() // _DAY)
        # Tomorrow's too: the clock of the issuer that showed the form may be ahead.
        keys = tuple(self._key_of(day) for day in (today, today - 1, today + 1))
        return Session(secrets.token_hex(_ID_BYTES) if new else given, keys, new)

    def _key_of(self, day: int) -> bytes:
        return hmac.new(self._key, f"forms of day {day}".encode(), hashlib.sha256).digest()

    def accepts(self, session: Session, csrf: object, request: Request, about: str) -> bool:
        """Return whether a form comes from a page that this session was shown.

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
        return session.signed(csrf, about)

    def set_cookie(self, session: Session, response: Response) -> None:
        """Set a new session's cookie."""
        if session.new:
            response.set_cookie(
                COOKIE,
                session.id,
                httponly=True,
                samesite="lax",
                secure=self._secure,
                path=self._path,
            )


def peer_of(request: Request) -> str:
    """Return the address that sent a request."""
    return request.client.host if request.client else "unknown"
