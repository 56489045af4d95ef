"""Connections of users at a real provider, without pages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grantway import Token
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._connections._background.worker import ConnectionWorker
from grantway_plugins.gateway._connections.service import Connections
from grantway_plugins.gateway._connections.user import User
from grantway_plugins.gateway._metrics import GatewayMetrics
from grantway_plugins.gateway._running.building import build_runtime
from grantway_plugins.gateway._running.runtime import Runtime
from grantway_plugins.issuer import IssuerServer
from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests.plugins.gateway.connections.test_configuration import GOOD
from tests.plugins.gateway.running.conftest import Backends
from tests.waiting import PATIENCE

ANN = User("https://login.example.com", "ann", "Ann")
BEN = User("https://login.example.com", "ben")
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
#: The provider in ``GOOD``.
_TARGET = (
    'token_endpoint = "https://github.example.com/token"\n'
    'authorization_endpoint = "https://github.example.com/authorize"\n'
)


def gateway_file(
    backends: Backends,
    folder: Path,
    *,
    grant: str = "authorization_code",
    store: str = "",
    connections: str = "",
    url: str = "",
) -> Path:
    """Write the file of a gateway whose provider is the real one.

    Args:
        backends: The provider.
        folder: Folder of the file.
        grant: The grant with which users connect.
        store: The store as TOML, instead of one in memory.
        connections: More lines of ``[connections]``.
        url: URL of another provider, which has a token endpoint only.
    """
    client = backends.register(
        redirect_uris=["https://gateway.example.com/connect/github/callback"],
        grant_types=["authorization_code", "refresh_token", DEVICE_CODE],
        scope="repo user",
    )
    endpoints = f'issuer = "{backends.issuer.url}"\n'
    if url:
        endpoints = f'token_endpoint = "{url}/token"\nauthorization_endpoint = "{url}/authorize"\n'
    text = (
        GOOD.replace(_TARGET, endpoints)
        .replace('"my-gateway"', f'"{client["client_id"]}"')
        .replace('scope = ["repo"]', f'scope = ["repo"]\ngrant = "{grant}"')
        .replace("very secret and never shown", client["client_secret"])
        .replace(
            'login = { issuer = "https://login',
            f'{connections}\nlogin = {{ issuer = "https://login',
        )
    )
    if store:
        text = text.replace('{ kind = "memory" }', store)
    path = folder / "gateway.toml"
    path.write_text(text)
    return path


def run_file(path: Path, metrics: GatewayMetrics | None = None) -> tuple[Runtime, Connections]:
    """Return the components of a gateway."""
    runtime = build_runtime(ConfigFile(path), metrics=metrics)
    assert runtime.connections is not None
    return runtime, runtime.connections


def login(connections: Connections, issuer: IssuerServer) -> Token:
    """Log a person in at the provider with a device code, and return the token."""
    client = connections.providers["github"].client
    started = client.call("device_authorization", scope=["repo"])
    with BrowserDriver() as browser:
        browser.approve_device(started["verification_uri_complete"])
    return client.create_token(grant_type=DEVICE_CODE, device_code=started["device_code"])


def worker_of(connections: Connections, **options: Any) -> ConnectionWorker:
    """Return a fast worker."""
    current: Callable[[], Connections] = lambda: connections  # noqa: E731
    return ConnectionWorker(current, **{"tick": 0.02, "rate": 1000.0, **options})


async def eventually(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait until a condition, which may be asynchronous, is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, "the condition was not met in time"
        await asyncio.sleep(0.01)
