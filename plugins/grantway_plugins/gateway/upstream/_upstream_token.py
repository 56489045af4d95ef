"""One request on its way through the gateway, and the token that it is to carry."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

from grantway._processes.copies import OneProcess
from grantway._types.token import Token
from grantway_plugins.auth._bearer import Presentation, TokenSource

from ._refusal import RequestRefusedError

if TYPE_CHECKING:
    from ._observer import Observer, Outcome
    from ._route import Route

logger = logging.getLogger("grantway.gateway")
_NOTHING: frozenset[str] = frozenset()
_UNAUTHORIZED = 401


class RouteCredential(TokenSource, Protocol):
    """What gives a tenant's tokens: a ``grantway.Credential``."""

    @property
    def fresh(self) -> bool:
        """Whether a token is at hand."""
        ...


class Missing:
    """Stands for a credential that could not be made.

    Args:
        error: Why.
    """

    fresh = False

    def __init__(self, error: Exception) -> None:
        self._error = error

    def token(self, timeout: float | None = None) -> Token:
        """Raise the error."""
        raise self._error

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """Raise the error."""
        raise self._error

    def invalidate(self, token: Token) -> None:
        """Nothing was given out."""


class UpstreamToken(OneProcess):
    """What is done to one request. It is a ``TokenSource`` as well, for other adapters.

    Attributes:
        route: Which one it takes.
        tenant: Whose token it gets; empty where it keeps what it brought.
        path: Its path in the normal form, which is the one to forward.
        kept: Whether it keeps what it brought, and nothing is to be done.
        bare: Whether it goes on without a token and without what it brought (a CORS preflight).
        header: Name and value of the header to set; None where it is forwarded without.
        removed: Headers of the request to drop, in lower case.
    """

    stays = "it belongs to one request"

    __slots__ = (
        "_credential",
        "_observer",
        "_sending",
        "_sent",
        "_value",
        "bare",
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
        self.removed = _NOTHING if self.kept else route.removed
        self._credential = credential
        self._observer = observer
        self._sending: Presentation | None = None  # made for a 401, and not for each request
        self._sent: Token | None = None
        self._value = ""

    # --- For those that set a header --------------------------------------------------------------

    def fetch(self, timeout: float | None = None) -> None:
        """Set ``header``, at the last moment before the request is sent.

        Args:
            timeout: Seconds to wait at most; by default the route's.

        Raises:
            RequestRefusedError: the sender's token was not accepted.
            Exception: there is no token, and the route is closed then.
        """
        self.header = None
        try:
            self.token(timeout)
        except RequestRefusedError:
            raise
        except Exception:  # a store or a callback of the program may raise anything
            if self.route.on_failure == "closed":
                raise
            return
        self.header = (self.route.header, self._value)

    async def fetch_async(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as fetch()
        """As ``fetch``, for event loops."""
        self.header = None
        try:
            await self.token_async(timeout)
        except RequestRefusedError:
            raise
        except Exception:  # as in fetch()
            if self.route.on_failure == "closed":
                raise
            return
        self.header = (self.route.header, self._value)

    @property
    def stale(self) -> bool:
        """Whether the token of ``header`` may have ended, so that ``fetch`` is due again."""
        return self._credential is not None and not self._credential.fresh

    def after(self, status: int, www_authenticate: str) -> bool:
        """Take note of the answer. True once at most: with another token it may be another.

        The token is not used again then, whether the request is sent a second time or not.

        Args:
            status: Of the answer.
            www_authenticate: Its challenges, joined by commas; empty where there were none.
        """
        if status != _UNAUTHORIZED or self.header is None or self._sent is None:
            return False
        if self._sending is None:
            self._sending = Presentation(self.route.bearer, self.route.place)
        self._sending.header(self._sent)
        if not self._sending.rejected(status, www_authenticate):
            return False
        self.invalidate(self._sent)
        return True

    # --- For those that take a TokenSource --------------------------------------------------------

    def token(self, timeout: float | None = None) -> Token:
        """A valid token of the tenant; see ``grantway.Credential.token``."""
        credential, began = self._begin()
        try:
            token = credential.token(self._seconds(timeout))
            self._value = self.route.bearer.value(token)
        except Exception as error:
            self._end(began, error)
            raise
        self._end(began, token)
        return token

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """As ``token``, for event loops."""
        credential, began = self._begin()
        try:
            token = await credential.token_async(self._seconds(timeout))
            self._value = self.route.bearer.value(token)
        except Exception as error:
            self._end(began, error)
            raise
        self._end(began, token)
        return token

    def invalidate(self, token: Token) -> None:
        """Say that a token was refused upstream."""
        if self._credential is not None:
            self._credential.invalidate(token)
            self.tell("rejected")

    def tell(self, outcome: Outcome) -> None:
        """Tell the observer."""
        if self._observer is not None:
            try:
                self._observer.injected(self.route, outcome)
            except Exception:
                logger.exception("an observer failed")

    def __repr__(self) -> str:
        return f"UpstreamToken(route={self.route.name!r}, tenant={self.tenant!r}, kept={self.kept})"

    def _begin(self) -> tuple[RouteCredential, float]:
        """The credential; and when the wait for it began, or 0 where there is none."""
        credential = self._credential
        assert credential is not None  # nothing is asked of what is kept
        if self._observer is None:
            return credential, 0.0
        if not credential.fresh:
            return credential, time.monotonic()
        try:
            self._observer.hit(self.route)
        except Exception:
            logger.exception("an observer failed")
        return credential, 0.0

    def _end(self, began: float, end: Token | Exception) -> None:
        if began and self._observer is not None:
            try:
                self._observer.waited(self.route, time.monotonic() - began)
            except Exception:
                logger.exception("an observer failed")
        if isinstance(end, Token):
            self.tell("injected" if self._sent is None else "again")
            self._sent = end
        else:
            refused = isinstance(end, RequestRefusedError)
            self.tell("refused" if refused else self.route.on_failure)

    def _seconds(self, timeout: float | None) -> float | None:
        most = self.route.timeout
        if timeout is None or most is None:
            return most if timeout is None else max(0.0, timeout)
        return max(0.0, min(timeout, most))
