"""Tests with clients that offer HTTP/2 without TLS: Java's HTTP client and ``curl --http2``.

See ``tests/plugins/server/test_protocol.py`` for tests with the raw bytes.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from grantway_plugins.gateway import EmbeddedIssuer, TokenEndpoint
from grantway_plugins.server import HttpProtocol
from grantway_plugins.server._listening.address import listen
from tests.plugins.gateway.hostile import Running, issuing, noting, started
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

FORM = "grant_type=client_credentials"
POST = Path(__file__).parent / "java" / "Post.java"


@dataclass(frozen=True)
class Servers:
    """The running servers, and a client of the issuer.

    Attributes:
        tokens: URLs of token endpoints.
        gateway: Gateway with a route ``/api`` to an upstream.
        client: ID and secret of the client.
    """

    tokens: list[str]
    gateway: Running
    client: tuple[str, str]

    @property
    def route(self) -> str:
        return f"http://127.0.0.1:{self.gateway.port}/api"


@contextmanager
def uvicorn_with(app: Any, http: Any) -> Iterator[str]:
    """Serve an application with plain uvicorn."""
    opened = listen("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(app, http=http, ws="none", lifespan="off", log_config=None)
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[opened])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{opened.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with ExitStack() as running:
        upstream = running.enter_context(noting())
        issuer, client = running.enter_context(issuing())
        folder = tmp_path_factory.mktemp("gateway")
        gateway = running.enter_context(started(folder, upstream, (issuer, client), PATIENCE))
        endpoint = TokenEndpoint(EmbeddedIssuer(issuer.store, issuer.settings)).asgi
        mounted = [
            running.enter_context(uvicorn_with(endpoint, http)) for http in (HttpProtocol, "h11")
        ]
        tokens = [f"{url}/token" for url in (issuer.url, *mounted)]
        yield Servers(tokens, gateway, client)


def run(*command: str) -> str:
    """Run a program without proxy settings, and return its output."""
    clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=clean
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_serves_curl_with_http2(servers: Servers, chunked: bool) -> None:
    curl = [
        "curl",
        "-sS",
        "--http2",
        "-w",
        " %{http_version}\n",
        "-H",
        "X-Tenant: acme",
        "-d",
        FORM,
    ]
    curl += ["-H", "Transfer-Encoding: chunked"] if chunked else []
    # The same URL twice: the second request reuses the connection.
    for url in servers.tokens:
        output = run(*curl, "-u", ":".join(servers.client), url, url).splitlines()
        assert len(output) == 2, output
        for each in output:
            assert '"access_token"' in each
            assert each.endswith(" 1.1")
    assert run(*curl, servers.route, servers.route) == "ok 1.1\nok 1.1\n"
    _check_forwarded(servers.gateway, 2)


@pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed")
def test_serves_the_http_client_of_the_jdk(servers: Servers) -> None:
    basic = base64.b64encode(":".join(servers.client).encode()).decode()
    output = run("java", str(POST), f"Basic {basic}", FORM, *servers.tokens, servers.route)
    lines = output.splitlines()
    assert len(lines) == 3 * (len(servers.tokens) + 1)
    for each in lines[:-3]:
        assert each.startswith("200 ")
        assert '"access_token"' in each
    assert lines[-3:] == ["200 ok"] * 3
    _check_forwarded(servers.gateway, 3)


def _check_forwarded(gateway: Running, count: int) -> None:
    """Check that the upstream received plain HTTP/1.1 with the body."""
    assert len(gateway.upstream.seen) == count
    for method, _, headers, body in gateway.upstream.seen:
        assert (method, body) == ("POST", FORM.encode())
        names = dict(headers)
        assert not {"upgrade", "http2-settings", "connection"} & names.keys()
        assert gateway.tenant_of(names["authorization"]) == "acme"
    gateway.upstream.seen.clear()
