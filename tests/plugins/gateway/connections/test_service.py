"""Connect and disconnect a user at a real provider, without pages."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from grantway import Client, Provider, Token
from grantway._exceptions import StoreSaveError, StoreUnreadableError
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._connections.outcomes import ConnectionStatus
from grantway_plugins.gateway._connections.service import Connections
from grantway_plugins.gateway._connections.tokens import ConnectionTokens
from grantway_plugins.gateway._connections.user import User
from grantway_plugins.gateway._running.building import build_runtime
from grantway_plugins.gateway._running.runtime import Runtime
from grantway_plugins.gateway.upstream import (
    AsgiUpstreamAuth,
    Route,
    UpstreamAuth,
    WsgiUpstreamAuth,
    single,
)
from grantway_plugins.gateway.upstream._rejection import ConnectionNeededError, response_for
from grantway_plugins.gateway.upstream._route import OnFailure
from grantway_plugins.issuer import IssuerServer
from grantway_plugins.stores import generate_key
from tests.plugins.gateway.connections.test_configuration import GOOD, KEY
from tests.plugins.gateway.running.conftest import Backends

ANN = User("https://login.example.com", "ann", "Ann")
BEN = User("https://login.example.com", "ben")
TARGET = 'token_endpoint = "https://github.example.com/token"\nauthorization_endpoint = "https://github.example.com/authorize"\n'


def write(folder: Path, backends: Backends) -> Path:
    """Write a gateway file whose provider is a real one."""
    client = backends.register(
        redirect_uris=["https://gateway.example.com/connect/github/callback"],
        grant_types=["authorization_code", "client_credentials", "refresh_token"],
        scope="repo user",
    )
    path = folder / "gateway.toml"
    path.write_text(
        GOOD.replace(TARGET, f'issuer = "{backends.issuer.url}"\n')
        .replace('"my-gateway"', f'"{client["client_id"]}"')
        .replace("very secret and never shown", client["client_secret"])
    )
    return path


@pytest.fixture
def runtime(backends: Backends, tmp_path: Path) -> Iterator[Runtime]:
    """Return the components of a gateway whose provider is a real one."""
    runtime = build_runtime(ConfigFile(write(tmp_path, backends)))
    yield runtime
    runtime.components.close()


@pytest.fixture
def connections(runtime: Runtime) -> Connections:
    assert runtime.connections is not None
    return runtime.connections


def issued(connections: Connections) -> Token:
    """Return a token of the provider, with which a login would end."""
    client = connections.providers["github"].client
    return client.create_token(grant_type="client_credentials", scope=["repo"])


def needed(connections: Connections, user: User) -> dict[str, str]:
    """Return the body of the response to a request without a connection."""
    source = ConnectionTokens(connections, "github").credential(user.id)
    with pytest.raises(ConnectionNeededError) as raised:
        asyncio.run(source.token_async())
    response = response_for(raised.value)
    assert response.status == 403
    body: dict[str, str] = json.loads(response.body)
    assert body["provider"] == "github"
    assert body["connect_url"] == "https://gateway.example.com/connect/github"
    assert (b"connect-url", body["connect_url"].encode()) in response.headers
    return body


def test_connects_each_user_alone(connections: Connections) -> None:
    assert needed(connections, ANN)["error"] == "connection_required"
    token = issued(connections)
    result = asyncio.run(connections.connected(ANN, "github", token))
    assert (result.again, result.ends, result.missing_scope) == (False, True, ())
    source = ConnectionTokens(connections, "github").credential(ANN.id)
    assert asyncio.run(source.token_async()).access_token == token.access_token
    assert needed(connections, BEN)["error"] == "connection_required"
    (shown,) = asyncio.run(connections.overview(ANN))
    assert (shown.state, shown.title, shown.scope) == ("connected", "GitHub", ("repo",))
    assert shown.ends_at is not None
    (other,) = asyncio.run(connections.overview(BEN))
    assert other.state == "none"


def test_disconnecting_revokes_and_deletes_the_token(
    connections: Connections, backends: Backends
) -> None:
    token = issued(connections)
    asyncio.run(connections.connected(ANN, "github", token))
    result = asyncio.run(connections.disconnect(ANN, "github"))
    assert (result.existed, result.revoked, result.problem) == (True, True, "")
    client = connections.providers["github"].client
    found = client.call("introspection", token=token.access_token)
    assert found["active"] is False
    assert needed(connections, ANN)["error"] == "connection_required"
    events = asyncio.run(connections.records.history(ANN.id))
    assert [each.name for each in events] == ["revoked", "connected"]
    again = asyncio.run(connections.disconnect(ANN, "github"))
    assert (again.existed, again.revoked) == (False, False)


def test_disconnecting_deletes_the_token_of_an_unreachable_provider(
    connections: Connections, issuer: IssuerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(connections.connected(ANN, "github", issued(connections)))
    at = connections.providers["github"]
    nowhere = Provider(
        token_endpoint=f"{issuer.url}/token", revocation_endpoint="http://127.0.0.1:1/revoke"
    )
    client = Client(nowhere, client_id="x", auth="none")
    monkeypatch.setattr(type(at), "client", property(lambda _self: client))
    result = asyncio.run(connections.disconnect(ANN, "github"))
    assert (result.existed, result.revoked) == (True, False)
    assert result.problem == "connection_failed"
    monkeypatch.undo()
    assert needed(connections, ANN)["error"] == "connection_required"
    (event, _) = asyncio.run(connections.records.history(ANN.id))
    assert (event.name, event.reason) == ("disconnected", "connection_failed")


def test_a_rejected_token_breaks_the_connection_once(connections: Connections) -> None:
    token = Token("at", refresh_token="unknown to the provider", expires_in=0)
    asyncio.run(connections.connected(ANN, "github", token))
    assert needed(connections, ANN)["error"] == "connection_broken"
    assert needed(connections, ANN)["error"] == "connection_broken"
    (shown,) = asyncio.run(connections.overview(ANN))
    assert shown.state == "broken"
    events = asyncio.run(connections.records.history(ANN.id))
    assert [(each.name, each.reason) for each in events] == [
        ("broken", "invalid_grant"),
        ("connected", ""),
    ]
    record = asyncio.run(connections.records.connection(ANN.id, "github"))
    assert record is not None
    assert record.due_at == math.inf
    result = asyncio.run(connections.connected(ANN, "github", issued(connections)))
    assert result.again
    (shown,) = asyncio.run(connections.overview(ANN))
    assert shown.state == "connected"


def test_a_failed_login_keeps_the_earlier_connection(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issued(connections)
    asyncio.run(connections.connected(ANN, "github", token))
    credential = connections.credential("github", ANN.id)

    async def fail(_self: object, _token: Token) -> None:
        raise StoreSaveError("The disk is full")

    monkeypatch.setattr(type(credential), "accept_async", fail)
    with pytest.raises(StoreSaveError):
        asyncio.run(connections.connected(ANN, "github", Token("other")))
    assert asyncio.run(credential.token_async()).access_token == token.access_token


def test_users_connect_again_and_disconnect_after_the_loss_of_a_key(
    backends: Backends, tmp_path: Path
) -> None:
    path = write(tmp_path, backends)
    store = f'{{ kind = "sql", url = "sqlite:///{tmp_path}/tokens.db" }}'
    text = path.read_text().replace('{ kind = "memory" }', store)

    async def with_key(key: str, work: Callable[[Connections], Awaitable[None]]) -> None:
        path.write_text(text.replace(KEY, key))
        runtime = await asyncio.to_thread(build_runtime, ConfigFile(path))
        assert runtime.connections is not None
        await work(runtime.connections)
        await runtime.components.close_async()

    async def connect(connections: Connections) -> None:
        token = await asyncio.to_thread(issued, connections)
        await connections.connected(ANN, "github", token)
        source = ConnectionTokens(connections, "github").credential(ANN.id)
        assert (await source.token_async()).access_token == token.access_token

    async def unreadable(connections: Connections) -> None:
        source = ConnectionTokens(connections, "github").credential(ANN.id)
        with pytest.raises(StoreUnreadableError, match="Add that key"):
            await source.token_async()
        (shown,) = await connections.overview(ANN)
        assert (shown.state, shown.scope) == ("connected", ())

    async def disconnect(connections: Connections) -> None:
        result = await connections.disconnect(ANN, "github")
        assert (result.existed, result.revoked) == (True, False)
        assert await connections.overview(ANN) == [ConnectionStatus("github", "GitHub")]

    asyncio.run(with_key(KEY, connect))
    second, third = generate_key(), generate_key()
    asyncio.run(with_key(second, unreadable))
    asyncio.run(with_key(second, connect))
    asyncio.run(with_key(third, disconnect))


@pytest.mark.parametrize(("on_failure", "status"), [("closed", 403), ("open", 200)])
def test_middleware_of_applications_names_the_page(
    runtime: Runtime, connections: Connections, on_failure: OnFailure, status: int
) -> None:
    route = Route(
        "github",
        provider="github",
        credential=ConnectionTokens(connections, "github"),
        tenant=single(),
        on_failure=on_failure,
    )
    seen: list[str | None] = []

    def app(environ: Any, start: Any) -> list[bytes]:
        seen.append(environ.get("HTTP_AUTHORIZATION"))
        start("200 OK", [])
        return [b""]

    wsgi = WsgiUpstreamAuth(app, UpstreamAuth([route]))
    found = httpx.Client(transport=httpx.WSGITransport(app=wsgi)).get("http://api.example.com/")
    assert found.status_code == status

    async def asgi_app(scope: Any, _receive: Any, send: Any) -> None:
        seen.append(dict(scope["headers"]).get(b"authorization"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> httpx.Response:
        asgi = AsgiUpstreamAuth(asgi_app, UpstreamAuth([route]))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=asgi)) as client:
            return await client.get("http://api.example.com/")

    other = asyncio.run(ask())
    assert other.status_code == status
    assert seen == ([] if status == 403 else [None, None])
    if status == 403:
        assert found.json() == other.json()
        assert found.json()["error"] == "connection_required"
