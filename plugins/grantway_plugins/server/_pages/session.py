"""Browser sessions: a random cookie, and CSRF tokens for the forms."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

#: Name of the cookie. Under https, a prefix keeps other hosts and paths from setting it.
COOKIE = "grantway_session"
#: Length of a session id, in bytes.
_ID_BYTES = 32
#: Seconds for which a key signs new forms.
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Session:
    """The session of one browser.

    Attributes:
        id: The cookie's value.
        keys: Keys of the CSRF tokens. The first one signs; all of them verify.
        new: Whether the response must set the cookie.
    """

    id: str = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    new: bool = False

    def csrf(self, purpose: str) -> str:
        """Return the CSRF token of a form.

        Args:
            purpose: Purpose of the form, such as the code of one device. The token is valid only
                for this purpose.
        """
        return self._signed(self.keys[0], purpose)

    def signed(self, csrf: str, purpose: str) -> bool:
        """Return whether a CSRF token is valid for this session and purpose."""
        given = csrf.encode("utf-8", "replace")
        return any(
            hmac.compare_digest(given, self._signed(key, purpose).encode()) for key in self.keys
        )

    def _signed(self, key: bytes, purpose: str) -> str:
        return hmac.new(key, f"{self.id} {purpose}".encode(), hashlib.sha256).hexdigest()


class Sessions:
    """Creates browser sessions and checks submitted forms.

    The key of each day is derived from a key that all servers of a site share. A form that one
    server shows can therefore be submitted to another one, and after a restart. It is accepted
    until the end of the next day.

    Args:
        key: The shared key.
        clock: Returns seconds since the epoch.
        url: The URL of the site, which determines name, path and protection of the cookie.
        name: Name of the cookie.
    """

    def __init__(
        self, key: bytes, *, clock: Callable[[], float], url: str, name: str = COOKIE
    ) -> None:
        self._key = key
        self._clock = clock
        parts = urlsplit(url)
        self._path = parts.path or "/"
        self._secure = parts.scheme == "https"
        prefix = ("__Host-" if self._path == "/" else "__Secure-") if self._secure else ""
        # Browsers send a cookie to all ports of a host, so sites on one machine need own names.
        self._cookie = f"{prefix}{name}{f'_{parts.port}' if parts.port else ''}"

    def of(self, request: Request) -> Session:
        """Return the session of a request, or a new one if it has no valid session cookie."""
        given = request.cookies.get(self._cookie, "")
        if len(given) != 2 * _ID_BYTES or not given.isascii() or not given.isalnum():
            return self.new()
        return Session(given, self._keys())

    def new(self) -> Session:
        """Return a new session, whose cookie replaces the browser's previous one."""
        return Session(secrets.token_hex(_ID_BYTES), self._keys(), new=True)

    def _keys(self) -> tuple[bytes, ...]:
        today = int(self._clock() // _DAY)
        # Including tomorrow's: the clock of the server that showed the form may be ahead.
        return tuple(self._key_of(day) for day in (today, today - 1, today + 1))

    def _key_of(self, day: int) -> bytes:
        return hmac.new(self._key, f"forms of day {day}".encode(), hashlib.sha256).digest()

    def accepts(self, session: Session, csrf: object, request: Request, purpose: str) -> bool:
        """Return whether a form was submitted from a page that was shown to this session.

        Args:
            session: The browser's session.
            csrf: The CSRF token of the form.
            request: The request that submitted the form.
            purpose: The value given to ``Session.csrf``.
        """
        if session.new or not isinstance(csrf, str):
            return False
        # Cookies are shared between the ports of a host, so "same-site" is not enough.
        if request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
            return False
        return session.signed(csrf, purpose)

    def set_cookie(self, session: Session, response: Response) -> None:
        """Set the cookie of a new session."""
        if session.new:
            response.set_cookie(
                self._cookie,
                session.id,
                httponly=True,
                samesite="lax",
                secure=self._secure,
                path=self._path,
            )


def peer_of(request: Request) -> str:
    """Return the address that sent a request."""
    return request.client.host if request.client else "unknown"
