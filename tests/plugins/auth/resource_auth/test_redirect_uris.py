"""Logins at authorization servers that compare the port of redirect URIs on this machine.

RFC 8252 section 7.3 forbids that, but many do so, such as servers with MCP's Python SDK.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

import grantway
from grantway_grants import authorization_code
from grantway_plugins.auth import ResourceAuth
from tests.plugins.auth.scripted_server import ExactServer, Request, Response, ScriptedServer
from tests.plugins.auth.sites import folder_store, visit
from tests.waiting import PATIENCE


@pytest.fixture
def server() -> Iterator[ExactServer]:
    with ExactServer() as server:
        yield server


def browse(url: str) -> None:
    """Open a URL as a browser does; return before the redirect is followed."""
    redirect = visit(url)
    threading.Thread(target=requests.get, args=(redirect,), kwargs={"timeout": PATIENCE}).start()


login = partial(authorization_code.login, open_browser=browse, timeout=PATIENCE)


def status(server: ScriptedServer, **options: object) -> int:
    auth = ResourceAuth(server.mcp, **{"client_name": "test", "login": login, **options})  # type: ignore[arg-type]
    return requests.get(server.mcp, auth=auth, timeout=PATIENCE).status_code


@pytest.mark.parametrize("given", [None, "http://localhost/cb", "http://[::1]/callback"])
def test_a_login_uses_a_registered_port(server: ExactServer, given: str | None) -> None:
    assert status(server, redirect_uri=given) == requests.codes.ok
    expected = urlsplit(given or "http://127.0.0.1/callback")
    assert expected.geturl() == server.registered[-1]
    for each in map(urlsplit, server.registered[:-1]):
        assert (each.hostname, each.path) == (expected.hostname, expected.path)
        assert each.port
    assert server.redirected[0] in server.registered[:-1]


def test_a_later_login_uses_the_same_ports(server: ExactServer, tmp_path: Path) -> None:
    store = folder_store(tmp_path)
    assert status(server, store=store, subject="ann") == requests.codes.ok
    assert status(server, store=store, subject="bob") == requests.codes.ok
    assert set(server.redirected) <= set(server.registered[:-1])
    assert server.statuses("/register") == [201]


def test_a_login_does_not_need_a_certain_port(server: ExactServer) -> None:
    with ExitStack() as held:

        def register(request: Request, _usual: Response) -> None:
            for each in map(urlsplit, json.loads(request.body)["redirect_uris"]):
                if each.port:
                    with suppress(OSError):  # another program has it
                        held.enter_context(socket.create_server(("127.0.0.1", each.port)))

        server.script("/register", register)
        server.script("/authorize", lambda _request, _usual: None)
        assert status(server) == requests.codes.ok


def test_a_given_port_is_the_only_one(server: ExactServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = f"http://127.0.0.1:{port}/callback"
    assert status(server, redirect_uri=given) == requests.codes.ok
    assert server.registered == server.redirected == [given]


def test_a_program_that_chooses_the_address_gets_no_ports(server: ExactServer) -> None:
    server.script("/authorize", lambda _request, _usual: None)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for choice in ({"redirect_uri": f"http://127.0.0.1:{port}/cb"}, {"ports": [port]}):
        assert status(server, login=partial(login, **choice)) == requests.codes.ok


@pytest.mark.parametrize("given", ["http://127.0.0.1:99999/cb", "http://[::1/cb"])
def test_an_invalid_redirect_uri_is_named(server: ExactServer, given: str) -> None:
    with pytest.raises(grantway.ConfigurationError, match="redirect_uri: ") as caught:
        status(server, redirect_uri=given)
    assert set(caught.value.errors) == {"redirect_uri"}
    assert not server.statuses("/register")
