"""The token that one forwarded request carries."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from grantway._processes.copies import OneProcess
from grantway._types.token import Token
from grantway_plugins.auth._presentation import Presentation

from ._rejection import ConnectionNeededError, RequestRejectedError
from ._store_failures import STORE_FAILURES

if TYPE_CHECKING:
    from ._observer import Observer, Outcome
    from ._route import Route
    from ._route_credential import RouteCredential

logger = logging.getLogger("grantway.gateway")
_UNAUTHORIZED = 401


class UpstreamToken(OneProcess):
    """The token of one forwarded request; also a ``TokenSource`` for other adapters.

    Attributes:
        route: The route of the request.
        tenant: The tenant that owns the token; empty if ``kept`` or ``bare``.
        path: The path to forward, usually in the normal form.
        kept: Whether the request is forwarded unchanged, with the caller's credentials.
        bare: Whether it is forwarded without any credentials (a CORS preflight).
        header: Name and value of the header to set; None to set no header.
        removed: Lower-case names of the headers to remove.
        caller_until: Expiry of the verified caller's token in seconds since the epoch; infinity if
            the caller is not verified.
    """

    stays = "it belongs to one request"

    __slots__ = (
        "_credential",
        "_observer",
        "_presentation",
        "_token",
        "_value",
        "bare",
        "caller_until",
        "header",
        "kept",
        "path",
        "removed",
        "route",
        "tenant",
    )

    def __init__(
        self,
        route: Route,
        path: str,
        tenant: str,
        credential: RouteCredential | None,
        observer: Observer | None,
        *,
        bare: bool = False,
    ) -> None:
        self.route = route
        self.path = path
        self.tenant = tenant
        self.bare = bare
        self.kept = credential is None and not bare
        self.header: tuple[str, str] | None = None
        self.removed = route.never_forwarded if self.kept else route.removed
        self.caller_until = math.inf
        self._credential = credential
        self._observer = observer
        self._presentation: Presentation | None = None  # needed only for a 401
        self._token: Token | None = None
        self._value = ""

    # --- For adapters that set a header -----------------------------------------------------------

    def fetch(self, timeout: float | None = None) -> None:
        """Get a valid token and set ``header``. Call it immediately before sending the request.

        Args:
            timeout: Longest wait in seconds; by default the route's.

        Raises:
            RequestRejectedError: The caller's token was rejected.
            Exception: There is no token, and the route is closed.
        """
        self.header = None
        try:
            self.token(timeout)
        except RequestRejectedError:
            raise
        except Exception:  # stores and callbacks may raise anything
            if self.route.on_failure == "closed":
                raise
            return
        self.header = (self.route.header, self._value)

    async def fetch_async(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as fetch()
        """Do the same as ``fetch`` without blocking the event loop."""
        self.header = None
        try:
            await self.token_async(timeout)
        except RequestRejectedError:
            raise
        except Exception:  # as in fetch()
            if self.route.on_failure == "closed":
                raise
            return
        self.header = (self.route.header, self._value)

    def fetch_at_once(self) -> bool:
        """Set ``header`` if a valid token is available without waiting; return whether it is."""
        token = None if self._credential is None else self._credential.token_at_once()
        if token is None:
            return False
        try:
            self._value = self.route.bearer.value(token)
        except Exception:  # noqa: BLE001 - fetch() raises it again
            return False
        self._finish(None, token)
        self.header = (self.route.header, self._value)
        return True

    @property
    def stale(self) -> bool:
        """Whether the token in ``header`` may have expired, so that ``fetch`` must be repeated."""
        return self._credential is not None and not self._credential.fresh

    @property
    def refresh_in(self) -> float:
        """Seconds until the token in ``header`` is refreshed; 0 if it may be at any time."""
        return 0.0 if self._credential is None else self._credential.refresh_in

    def rejected(self, status: int, www_authenticate: str) -> bool:
        """Return whether the upstream rejected the token, so that another one may be accepted.

        A rejected token is not used again. For each request, this returns True at most once.

        Args:
            status: Status of the response.
            www_authenticate: All its challenges, joined by commas; empty if there are none.
        """
        if status != _UNAUTHORIZED or self.header is None or self._token is None:
            return False
        if self._presentation is None:
            self._presentation = Presentation(self.route.bearer, self.route.origin)
        self._presentation.token = self._token
        if not self._presentation.rejected(status, www_authenticate):
            return False
        self.invalidate(self._token)
        return True

    # --- For adapters that take a TokenSource -----------------------------------------------------

    def token(self, timeout: float | None = None) -> Token:
        """Return a valid token of the tenant; see ``grantway.Credential.token``."""
        seconds = self._seconds(timeout)
        credential, started = self._start()
        try:
            token = credential.token(seconds)
            self._value = self.route.bearer.value(token)
        except Exception as error:
            self._finish(started, error)
            raise
        self._finish(started, token)
        return token

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """Do the same as ``token`` without blocking the event loop."""
        seconds = self._seconds(timeout)
        credential, started = self._start()
        try:
            token = await credential.token_async(seconds)
            self._value = self.route.bearer.value(token)
        except Exception as error:
            self._finish(started, error)
            raise
        self._finish(started, token)
        return token

    def invalidate(self, token: Token) -> None:
        """Discard a token that the upstream rejected."""
        if self._credential is not None:
            self._credential.invalidate(token)
            self.report("rejected")

    def report(self, outcome: Outcome) -> None:
        """Report an outcome to the observer."""
        if self._observer is not None:
            try:
                self._observer.injected(self.route, outcome)
            except Exception:
                logger.exception("an observer failed")

    def __repr__(self) -> str:
        return f"UpstreamToken(route={self.route.name!r}, tenant={self.tenant!r}, kept={self.kept})"

    def _start(self) -> tuple[RouteCredential, float | None]:
        """Return the credential and the start of the wait for it, None if it is fresh."""
        credential = self._credential
        assert credential is not None  # adapters do not fetch a token for a kept or bare request
        if self._observer is None or credential.fresh:
            return credential, None
        return credential, time.monotonic()

    def _finish(self, started: float | None, result: Token | Exception) -> None:
        """Report the wait and the outcome to the observer."""
        if self._observer is not None:
            try:
                if started is None:
                    self._observer.hit(self.route)
                else:
                    self._observer.waited(self.route, time.monotonic() - started)
            except Exception:
                logger.exception("an observer failed")
        if isinstance(result, Exception):
            STORE_FAILURES.failed(self.route, result)
        if isinstance(result, Token):
            self.report("injected" if self._token is None else "again")
            self._token = result
        elif isinstance(result, RequestRejectedError) or (
            isinstance(result, ConnectionNeededError) and self.route.on_failure == "closed"
        ):
            self.report("refused")
        else:
            self.report(self.route.on_failure)

    def _seconds(self, timeout: float | None) -> float | None:
        """Return the shorter one of two timeouts."""
        limit = self.route.timeout
        if timeout is None or limit is None:
            return limit if timeout is None else max(0.0, timeout)
        return max(0.0, min(timeout, limit))
