"""The MCP clients of the Python SDK and of FastMCP, with their own OAuth implementations."""

from __future__ import annotations

import asyncio
import threading
import warnings
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import httpx2
import requests
from fastmcp import Client as FastClient
from fastmcp.client.auth import OAuth
from key_value.aio.stores.memory import MemoryStore
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from mcp.types import TextContent
from pydantic import AnyUrl

from tests.waiting import PATIENCE, until

REDIRECT = "http://127.0.0.1:54321/callback"

#: Approves a request as the user, and returns the redirect.
Approve = Callable[[str], str]


@dataclass
class Account:
    """What a client keeps between its processes: its registration and its tokens.

    Attributes:
        logins: URL of each authorization request.
    """

    approve: Approve
    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None
    logins: list[str] = field(default_factory=list)
    fast_store: MemoryStore = field(default_factory=MemoryStore)

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info

    @property
    def requested(self) -> list[dict[str, str]]:
        """The parameters of each authorization request."""
        return [dict(parse_qsl(urlsplit(each).query)) for each in self.logins]


class Caller(Protocol):
    """A connected client."""

    auth: OAuthClientProvider

    async def call(self, tool: str) -> str:
        """Call a tool, and return its text."""
        ...

    async def progress(self, tool: str) -> list[float]:
        """Call a tool, and return the progress that it reports."""
        ...


#: Connects a client to a server; ``document`` is its Client ID Metadata Document.
Connect = Callable[..., Any]


class Progress:
    """Collects the progress that a tool reports, in ``seen``."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    async def __call__(
        self,
        progress: float,
        total: float | None,
        message: str | None,
    ) -> None:
        self.seen.append(progress)


@dataclass
class _Sdk:
    auth: OAuthClientProvider
    client: Client

    async def call(self, tool: str) -> str:
        return _text((await self.client.call_tool(tool, {})).content)

    async def progress(self, tool: str) -> list[float]:
        progress = Progress()
        await self.client.call_tool(tool, {}, progress_callback=progress)
        return progress.seen


def sdk(mode: str) -> Connect:
    """Return how to connect the SDK's client; ``legacy`` uses sessions, ``auto`` the newest."""

    @asynccontextmanager
    async def connect(
        url: str, account: Account, *, document: str | None = None
    ) -> AsyncIterator[Caller]:
        async def callback() -> AuthorizationCodeResult:
            target = await asyncio.to_thread(account.approve, account.logins[-1])
            found = dict(parse_qsl(urlsplit(target).query))
            return AuthorizationCodeResult(
                code=found["code"], state=found["state"], iss=found["iss"]
            )

        async def redirect(target: str) -> None:
            account.logins.append(target)

        metadata = OAuthClientMetadata(client_name="judge", redirect_uris=[AnyUrl(REDIRECT)])
        auth = OAuthClientProvider(url, metadata, account, redirect, callback)
        auth.context.client_metadata_url = document  # the constructor demands https
        async with AsyncExitStack() as exits:
            http = await exits.enter_async_context(httpx2.AsyncClient(auth=auth, timeout=PATIENCE))
            client = Client(streamable_http_client(url, http_client=http), mode=mode)
            yield _Sdk(auth, await exits.enter_async_context(client))

    return connect


@dataclass
class _Fast:
    auth: OAuthClientProvider
    client: FastClient[Any]

    async def call(self, tool: str) -> str:
        return _text((await self.client.call_tool(tool, {})).content)

    async def progress(self, tool: str) -> list[float]:
        progress = Progress()
        await self.client.call_tool(tool, {}, progress_handler=progress)
        return progress.seen


@asynccontextmanager
async def fastmcp(
    url: str, account: Account, *, document: str | None = None
) -> AsyncIterator[Caller]:
    """Connect FastMCP's client, with a browser that approves every request."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using in-memory token storage", UserWarning)
        auth = OAuth(url, token_storage=account.fast_store, client_name="judge")
    auth.context.client_metadata_url = document  # the constructor demands https
    browsers: list[threading.Thread] = []

    def browse(target: str) -> bool:
        account.logins.append(target)
        browsers.append(threading.Thread(target=_approve, args=(account.approve, target)))
        browsers[-1].start()
        return True

    try:
        with mock.patch.object(webbrowser, "open", browse):
            async with FastClient(url, auth=auth) as client:
                yield _Fast(auth, client)
    finally:
        for each in browsers:
            await asyncio.to_thread(each.join, PATIENCE)


def _approve(approve: Approve, url: str) -> None:
    """Approve a request, and return to the client when it listens."""
    target = approve(url)

    def arrives() -> bool:
        try:
            requests.get(target, timeout=PATIENCE)
        except requests.ConnectionError:
            return False
        return True

    until(arrives)


def _text(content: list[Any]) -> str:
    [found] = content
    assert isinstance(found, TextContent)
    return found.text
