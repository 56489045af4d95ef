"""An issuer that rotates each refresh token and records its token responses."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from grantway import Client, Provider, Token
from grantway_grants import device_code
from grantway_plugins.issuer import IssuerServer, IssuerSettings, Lifetimes
from tests.faults import free_port
from tests.issuer_middleware import add_middleware

#: Default lifetime of access tokens in seconds.
HOUR = 3600.0
#: Seconds that a response may take on a busy machine.
_PATIENCE = 30.0


class StrictIssuer:
    """An issuer that revokes a login if one of its refresh tokens is reused.

    After a restart it has the same address and data.

    Args:
        folder: Folder of its database.
        lifetime: Lifetime of access tokens in seconds.
        reuse_window: Seconds for which a replaced refresh token still works.
        scope: Scope of each login.
        auth: The client's authentication method.

    Attributes:
        url: Address of the issuer.
        statuses: Status of each token response since the last login.
        passed: Seconds by which the issuer's clock is ahead.
    """

    def __init__(
        self,
        folder: Path,
        *,
        lifetime: float = HOUR,
        reuse_window: float = 0.0,
        scope: str = "read",
        auth: str = "client_secret_basic",
    ) -> None:
        self._port = free_port()
        self._database = folder / "issuer.sqlite3"
        self._lifetimes = Lifetimes(
            access_token=lifetime, refresh_reuse_window=reuse_window, device_interval=0
        )
        self._scope, self._auth = scope, auth
        self.url = f"http://127.0.0.1:{self._port}"
        self.statuses: list[int] = []
        self.passed = 0.0
        self._server: IssuerServer | None = None
        self.start()
        self.client_id, self.client_secret = self._register()

    def start(self) -> None:
        """Start the server at its address."""
        self._server = IssuerServer(
            IssuerSettings(approve="auto", lifetimes=self._lifetimes, registration="unrestricted"),
            database=self._database,
            port=self._port,
            clock=lambda: time.time() + self.passed,
        )
        add_middleware(self._server, lambda app: _Counting(app, self.statuses))
        self._server.start()

    def stop(self) -> None:
        """Stop the server and keep its data."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def client(self) -> Client:
        """Return the client that all machines use."""
        return Client(
            Provider(
                issuer=self.url,
                token_endpoint=f"{self.url}/token",
                device_authorization_endpoint=f"{self.url}/device_authorization",
            ),
            client_id=self.client_id,
            client_secret=self.client_secret,
            auth=self._auth,
        )

    def login(self) -> Token:
        """Log in, reset ``statuses``, and return the token."""
        with self.client() as client:
            token = device_code.login(client, lambda _: None, scope=self._scope)
        self.statuses.clear()
        return token

    def is_active(self, access_token: str) -> bool:
        """Return whether the access token is active."""
        return bool(self._post("introspect", {"token": access_token}).json()["active"])

    def refreshes(self, token: Token | None) -> bool:
        """Return whether the token's refresh token works. This uses it up."""
        assert token is not None
        form = {"grant_type": "refresh_token", "refresh_token": token.refresh_token}
        return self._post("token", form).status_code == requests.codes.ok

    def _post(self, path: str, form: dict[str, Any]) -> requests.Response:
        names = {"client_id": self.client_id, "client_secret": self.client_secret}
        by_header = self._auth == "client_secret_basic"
        return requests.post(
            f"{self.url}/{path}",
            form if by_header else form | names,
            auth=(self.client_id, self.client_secret) if by_header else None,
            timeout=_PATIENCE,
        )

    def _register(self) -> tuple[str, str]:
        client = requests.post(
            f"{self.url}/register",
            json={
                "client_name": "fleet",
                "scope": self._scope,
                "grant_types": [device_code.GRANT_TYPE, "refresh_token"],
                "token_endpoint_auth_method": self._auth,
            },
            timeout=_PATIENCE,
        ).json()
        return client["client_id"], client["client_secret"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class _Counting:
    """ASGI middleware that records the status of token responses."""

    def __init__(self, app: Any, statuses: list[int]) -> None:
        self._app = app
        self._statuses = statuses

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._statuses.append(message["status"])
            await send(message)

        of_tokens = scope["type"] == "http" and scope["path"] == "/token"
        await self._app(scope, receive, counted if of_tokens else send)
