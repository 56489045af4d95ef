"""Browser sessions of a gateway under https."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._connections._web.sessions import BoundSession, BrowserSessions
from grantway_plugins.gateway._connections.service import Connections
from grantway_plugins.gateway._connections.user import User
from grantway_plugins.gateway._running.building import build_runtime
from tests.plugins.gateway.connections.test_configuration import GOOD

ANN = User("https://login.example.com", "ann", "Ann")
SESSION, BINDING = "__Secure-grantway_connect", "__Host-grantway_connect_binding"


@pytest.fixture
def connections(tmp_path: Path) -> Iterator[Connections]:
    path = tmp_path / "gateway.toml"
    path.write_text(GOOD)
    runtime = build_runtime(ConfigFile(path))
    assert runtime.connections is not None
    yield runtime.connections
    runtime.components.close()


def request(cookies: dict[str, str]) -> Request:
    header = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return Request({"type": "http", "headers": [(b"cookie", header.encode())]})


def cookies_of(sessions: BrowserSessions, session: BoundSession) -> SimpleCookie:
    """Return the cookies of a response."""
    response = Response()
    sessions.set_cookie(session, response)
    return SimpleCookie("\n".join(response.headers.getlist("set-cookie")))


def test_neither_upstreams_nor_other_hosts_can_take_or_give_a_session(
    connections: Connections,
) -> None:
    now = [1000.0]
    sessions = BrowserSessions(connections, b"key", clock=lambda: now[0])

    async def run() -> None:
        before = sessions.of(request({}))
        session = await sessions.log_in(before, ANN)
        cookies = cookies_of(sessions, session)
        assert cookies.keys() == {SESSION, BINDING}
        assert (cookies[SESSION]["path"], cookies[BINDING]["path"]) == ("/connect", "/")
        for each in cookies.values():
            assert each["secure"]
            assert each["httponly"]
            assert each["samesite"] == "lax"
            assert not each["domain"]
        sent = {name: each.value for name, each in cookies.items()}
        assert await sessions.user(sessions.of(request(sent))) == ANN
        assert cookies_of(sessions, sessions.of(request(sent))) == {}
        for wrong in (
            {BINDING: sent[BINDING]},
            {SESSION: sent[SESSION]},
            {**sent, BINDING: "a" * 64},
            {**sent, SESSION: "a" * 64},
            {**sent, SESSION: f"{sent[SESSION]}x"},
            {**sent, BINDING: ""},
        ):
            found = sessions.of(request(wrong))
            assert await sessions.user(found) is None
            assert found.csrf("connect github") != session.csrf("connect github")
        again = await sessions.log_in(sessions.of(request(sent)), ANN)
        assert again.secret != session.secret
        assert await sessions.user(sessions.of(request(sent))) is None
        now[0] += connections.settings.session_seconds
        kept = {SESSION: again.secret, BINDING: again.binding}
        assert await sessions.user(sessions.of(request(kept))) is None

    asyncio.run(run())


def test_the_database_contains_no_cookie(connections: Connections) -> None:
    sessions = BrowserSessions(connections, b"key", clock=lambda: 1000.0)
    user = User("https://login.example.com", "the-subject", "The Name")

    async def run() -> BoundSession:
        return await sessions.log_in(sessions.of(request({})), user)

    session = asyncio.run(run())
    stored = repr(vars(connections.records)["_values"])
    for secret in (session.id, session.secret, session.binding, user.subject, user.name):
        assert secret not in stored
