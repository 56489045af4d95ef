"""The three clients, each set up as its documentation shows, with storage that outlives a process.

Each function returns an HTTP client with the authentication of one resource.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import webbrowser
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import requests

from tests.benchmarks.mcp_faults.record import BROWSER
from tests.waiting import PATIENCE, until

if TYPE_CHECKING:
    import httpx2
    from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

NAME = "comparison"
#: Seconds after which FastMCP's ``callback_timeout`` ends a login that shows an error page.
_LOGIN = 10.0


@dataclass(frozen=True)
class Setup:
    """What a client gets.

    Attributes:
        url: URL of the resource.
        folder: Folder of the stored logins.
        redis: URL of a Valkey server that stores the logins instead; or empty.
    """

    url: str
    folder: str
    redis: str = ""


class LoginPageError(Exception):
    """The browser shows an error page instead of redirecting."""


def visit(url: str) -> str:
    """Open an authorization request in a browser, and return the URL of the redirect."""
    session = requests.Session()
    session.trust_env = False
    with session:
        response = session.get(
            url, headers={BROWSER: "yes"}, allow_redirects=False, timeout=PATIENCE
        )
    if not response.is_redirect:
        raise LoginPageError(f"status {response.status_code}")
    return str(response.headers["location"])


def follow(url: str) -> bool:
    """Open an authorization request in a browser that follows the redirect.

    A user needs longer to approve it than the client needs to listen for the redirect.
    """
    location = visit(url)
    until(partial(_get, location))
    return True


def _get(url: str) -> bool:
    try:
        requests.get(url, timeout=PATIENCE)
    except requests.ConnectionError:
        return False
    return True


# --- grantway -------------------------------------------------------------------------------------


def grantway(setup: Setup) -> httpx2.AsyncClient:
    """Use ``ResourceAuth`` with the file or Redis store."""
    import httpx2

    from grantway import default_registry
    from grantway_grants import authorization_code
    from grantway_plugins.auth import ResourceAuth

    stores = default_registry()
    store = (
        stores.store("redis", url=setup.redis)
        if setup.redis
        else stores.store("file", folder=setup.folder)
    )
    auth = ResourceAuth(
        setup.url,
        client_name=NAME,
        store=store,
        login=partial(authorization_code.login_async, open_browser=follow),
    )
    return httpx2.AsyncClient(auth=auth, timeout=PATIENCE)


# --- The MCP SDK ----------------------------------------------------------------------------------


class FileTokens:
    """A ``TokenStorage`` with two files, which are replaced atomically."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def get_tokens(self) -> OAuthToken | None:
        """Return the stored tokens."""
        from mcp.shared.auth import OAuthToken

        found = self._read("tokens.json")
        return None if found is None else OAuthToken.model_validate(found)

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Store tokens."""
        self._write("tokens.json", tokens.model_dump(mode="json"))

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return the stored registration."""
        from mcp.shared.auth import OAuthClientInformationFull

        found = self._read("client.json")
        return None if found is None else OAuthClientInformationFull.model_validate(found)

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Store the registration."""
        self._write("client.json", client_info.model_dump(mode="json"))

    def _read(self, name: str) -> Any:
        path = self._folder / name
        return json.loads(path.read_text()) if path.exists() else None

    def _write(self, name: str, document: Any) -> None:
        descriptor, path = tempfile.mkstemp(dir=self._folder)
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(document))
        Path(path).replace(self._folder / name)


class RedisTokens(FileTokens):
    """A ``TokenStorage`` with two keys of a Valkey server."""

    def __init__(self, url: str) -> None:
        import redis

        self._redis = redis.Redis.from_url(url)

    def _read(self, name: str) -> Any:
        found = self._redis.get(name)
        return json.loads(found) if isinstance(found, bytes) else None

    def _write(self, name: str, document: Any) -> None:
        self._redis.set(name, json.dumps(document))


def sdk(setup: Setup) -> httpx2.AsyncClient:
    """Use ``OAuthClientProvider`` as in the page "OAuth clients" of the SDK's documentation."""
    import httpx2
    from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
    from mcp.shared.auth import OAuthClientMetadata
    from pydantic import AnyUrl

    storage = RedisTokens(setup.redis) if setup.redis else FileTokens(Path(setup.folder))
    redirects: list[str] = []

    async def open_browser(url: str) -> None:
        redirects.append(visit(url))

    async def wait_for_callback() -> AuthorizationCodeResult:
        found = parse_qs(urlsplit(redirects.pop()).query)
        named = {name: found[name][0] for name in ("code", "state", "iss") if name in found}
        return AuthorizationCodeResult(**named)

    auth = OAuthClientProvider(
        server_url=setup.url,
        client_metadata=OAuthClientMetadata(
            client_name=NAME, redirect_uris=[AnyUrl("http://127.0.0.1:3030/callback")]
        ),
        storage=storage,
        redirect_handler=open_browser,
        callback_handler=wait_for_callback,
    )
    return httpx2.AsyncClient(auth=auth, follow_redirects=True)


# --- FastMCP --------------------------------------------------------------------------------------


def fastmcp(setup: Setup) -> httpx2.AsyncClient:
    """Use ``OAuth`` with the file or Redis store of py-key-value, as its documentation shows."""
    from fastmcp.client.auth import OAuth
    from key_value.aio.protocols import AsyncKeyValue
    from key_value.aio.stores.filetree import (
        FileTreeStore,
        FileTreeV1CollectionSanitizationStrategy,
        FileTreeV1KeySanitizationStrategy,
    )
    from key_value.aio.stores.redis import RedisStore
    from mcp.shared._httpx_utils import create_mcp_http_client

    storage: AsyncKeyValue
    if setup.redis:
        storage = RedisStore(url=setup.redis)
    else:
        folder = Path(setup.folder)
        storage = FileTreeStore(
            data_directory=folder,
            key_sanitization_strategy=FileTreeV1KeySanitizationStrategy(folder),
            collection_sanitization_strategy=FileTreeV1CollectionSanitizationStrategy(folder),
        )
    webbrowser.open = _open_in_thread  # type: ignore[assignment]
    auth = OAuth(
        mcp_url=setup.url, client_name=NAME, token_storage=storage, callback_timeout=_LOGIN
    )
    # FastMCP's transport creates its HTTP client with this function.
    return create_mcp_http_client(auth=auth)


def _open_in_thread(url: str) -> bool:
    threading.Thread(target=follow, args=[url], daemon=True).start()
    return True


CLIENTS = {"grantway": grantway, "MCP SDK": sdk, "FastMCP": fastmcp}
#: Distribution of each client.
DISTRIBUTIONS = {"grantway": "grantway", "MCP SDK": "mcp", "FastMCP": "fastmcp"}
