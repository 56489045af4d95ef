"""An issuer that rotates each refresh token, and counts what it is asked for."""

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

#: Seconds that an access token lives, where a test says nothing else.
HOUR = 3600.0
#: Seconds that it may take to answer, on a busy machine.
_PATIENCE = 30.0


class StrictIssuer:
    """Revokes a login when one of its refresh tokens is used a second time.

    It can be stopped, and comes back at the same address with all that it knew.

    Args:
        folder: Where its database lies.
        lifetime: Seconds that an access token lives.
        reuse_window: Seconds for which the refresh token that was just replaced still works.
        scope: Scope names of each login.
        auth: How the client proves who it is.

    Attributes:
        url: Its address.
        asked: The status of the answer to each request for a token since the last login.
        passed: Seconds that its clock is ahead of the true one.
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
        self.asked: list[int] = []
        self.passed = 0.0
        self._server: IssuerServer | None = None
        self.start()
        self.client_id, self.client_secret = self._register()

    def start(self) -> None:
        """Answer at its address."""
        self._server = IssuerServer(
            IssuerSettings(approve="auto", lifetimes=self._lifetimes, registration="unrestricted"),
            database=self._database,
            port=self._port,
            clock=lambda: time.time() + self.passed,
        )
        config = self._server._server.config
        config.app = _Counting(config.app, self.asked)
        self._server.start()

    def stop(self) -> None:
        """Answer nobody; what was issued is kept."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def client(self) -> Client:
        """The client that all machines are."""
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
        """What a person's approval brings; what is asked for is counted from here."""
        with self.client() as client:
            token = device_code.login(client, lambda _: None, scope=self._scope)
        self.asked.clear()
        return token

    def takes(self, access_token: str) -> bool:
        """Whether a resource server would take the access token now."""
        return bool(self._post("introspect", {"token": access_token}).json()["active"])

    def refreshes(self, token: Token | None) -> bool:
        """Whether this holds the newest refresh token of its login. Uses it up."""
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
        answer = requests.post(
            f"{self.url}/register",
            json={
                "client_name": "fleet",
                "scope": self._scope,
                "grant_types": [device_code.GRANT_TYPE, "refresh_token"],
                "token_endpoint_auth_method": self._auth,
            },
            timeout=_PATIENCE,
        ).json()
        return answer["client_id"], answer["client_secret"]

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
    """An ASGI application around the issuer's."""

    def __init__(self, app: Any, asked: list[int]) -> None:
        self._app = app
        self._asked = asked

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._asked.append(message["status"])
            await send(message)

        of_tokens = scope["type"] == "http" and scope["path"] == "/token"
        await self._app(scope, receive, counted if of_tokens else send)
