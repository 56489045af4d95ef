"""Log users in to the pages at the OpenID provider of ``[connections] login``."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from grantway._exceptions import StoreUnreadableError
from grantway._plugins.default_registry import default_registry
from grantway._processes.copies import Value
from grantway._types.secret_source import SecretSource
from grantway_plugins._openid.flow import LoginAttempt, OpenIDFlow, OpenIDLoginError
from grantway_plugins.gateway._connections.user import User

from .identity import name_in

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.service import Connections

    from .sessions import BoundSession

_COOKIE = "grantway_connect_login"
#: Maximum number of logins that talk to the issuer at once.
_THREADS = 8

T = TypeVar("T")

_log = logging.getLogger("grantway.gateway")


@dataclass(frozen=True, slots=True)
class PageLoginSettings(Value):
    """Settings of the client with which users log in to the pages (see ``OpenIDSettings``)."""

    issuer: str
    client_id: str
    client_secret: str | SecretSource | None = field(default=None, repr=False, hash=False)
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    ca_bundle: str | None = None
    userinfo: bool = True
    parameters: dict[str, str] = field(default_factory=dict, hash=False)
    prompts: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def auth_method(self) -> str:
        """The client's authentication at the token endpoint."""
        return "none" if self.client_secret is None else "client_secret_basic"


class LoginFailedError(Exception):
    """A login failed.

    Attributes:
        message: What happened and what the user can do.
        status: HTTP status of the page.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message, self.status = message, status


class PageLogin:
    """Logs users in to the pages.

    A login in progress is kept in an encrypted cookie of the browser that began it, so that
    abandoned ones need no storage.

    Args:
        settings: Settings of the client.
        connections: The connections.
    """

    def __init__(self, settings: PageLoginSettings, connections: Connections) -> None:
        self._flow = OpenIDFlow(settings, default_registry(), "gateway")
        self._sealed, self._clock = connections.sealed, connections.clock
        at = connections.settings
        self._callback = f"{at.base}/-/callback"
        self._path, self._secure = f"{at.path}/-", at.url.startswith("https:")
        self._seconds = at.login_seconds
        # Not asyncio's threads: a slow issuer must not delay the store of the tokens.
        self._threads = ThreadPoolExecutor(_THREADS, "grantway login")

    async def begin(self, session: BoundSession, return_to: str, *, again: bool) -> tuple[str, str]:
        """Return the URL at which the user logs in, and the value of the cookie.

        Args:
            session: The browser's session.
            return_to: Path of the page to show after the login.
            again: Whether the user wants to choose another account.

        Raises:
            LoginFailedError: The login cannot begin.
        """
        attempt = LoginAttempt(
            self._callback,
            state=secrets.token_urlsafe(32),
            code_verifier=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            began=self._clock(),
            prompt="select_account" if again else "",
        )
        try:
            url = await self._in_thread(partial(self._flow.begin, attempt))
        except OpenIDLoginError as error:
            failure = _failure(error)
        else:
            value = {"return_to": return_to, "attempt": asdict(attempt)}
            return url, self._sealed.seal(value, _purpose(session))
        raise failure

    async def finish(self, session: BoundSession, request: Request) -> tuple[User, str]:
        """Return the user of a redirect, and the path of the page to show.

        Raises:
            LoginFailedError: The login failed, or began in another browser.
        """
        kept = self._kept(session, request)
        attempt = None if kept is None else LoginAttempt(**kept["attempt"])
        if kept is None or attempt is None or attempt.began + self._seconds <= self._clock():
            raise LoginFailedError(_NOT_STARTED, 400)
        pairs = request.query_params.multi_items()
        params = dict(pairs)
        state = params.get("state", "").encode("utf-8", "replace")
        if len(params) != len(pairs) or not hmac.compare_digest(state, attempt.state.encode()):
            raise LoginFailedError(_NOT_STARTED, 400)
        try:
            claims = await self._in_thread(
                partial(self._flow.finish, attempt, params, self._clock())
            )
        except OpenIDLoginError as error:
            failure = _failure(error)
        else:
            return User(claims["iss"], claims["sub"], name_in(claims)), kept["return_to"]
        raise failure

    def set_cookie(self, response: Response, value: str) -> None:
        """Remember a login in the browser; forget it if the value is empty."""
        prefix = "__Secure-" if self._secure else ""
        response.set_cookie(
            f"{prefix}{_COOKIE}",
            value,
            max_age=int(self._seconds) if value else 0,
            httponly=True,
            samesite="lax",
            secure=self._secure,
            path=self._path,
        )

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _kept(self, session: BoundSession, request: Request) -> Any:
        prefix = "__Secure-" if self._secure else ""
        try:
            return self._sealed.open(
                request.cookies.get(f"{prefix}{_COOKIE}", ""), _purpose(session)
            )
        except StoreUnreadableError:
            return None


_NOT_STARTED = (
    "This login was finished already, took too long, or was started in another browser. You are "
    "not logged in. Start again."
)


def _purpose(session: BoundSession) -> str:
    return f"login {session.id}"


def _failure(error: OpenIDLoginError) -> LoginFailedError:
    _log.warning("A login to the pages failed: %s", error.detail)
    return LoginFailedError(error.message, error.status)
