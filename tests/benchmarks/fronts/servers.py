"""The token endpoint and the upstream of the comparison, with faults."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qsl

from tests.faults import free_port
from tests.plugins.gateway.servers import asgi_server

#: Header in which the upstream says why it rejects a token.
REASON = "x-upstream"


class Provider:
    """A token endpoint that can be down or slow, and reject its clients.

    Args:
        lifetime: Lifetime of new tokens in seconds.

    Attributes:
        delay: Seconds until a response.
        rejecting: Whether all clients get ``invalid_client``.
        expiries: Time at which each token expires (``time.monotonic``).
        url: Address of the server.
    """

    def __init__(self, lifetime: int) -> None:
        self.lifetime = lifetime
        self.delay = 0.0
        self.rejecting = False
        self.expiries: dict[str, float] = {}
        self._port = free_port()
        self._running = ExitStack()
        self.url = f"http://127.0.0.1:{self._port}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Respond to a token request."""
        form = dict(parse_qsl((await receive())["body"].decode()))
        await asyncio.sleep(self.delay)
        if self.rejecting:
            await respond(send, 401, json.dumps({"error": "invalid_client"}))
            return
        token = f"{form.get('tenant', 'single')}-{len(self.expiries)}"
        self.expiries[token] = time.monotonic() + self.lifetime
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime}
        await respond(send, 200, json.dumps(answer), ("content-type", "application/json"))

    def up(self) -> None:
        """Start the server."""
        self._running.enter_context(asgi_server(self, self._port))

    def down(self) -> None:
        """Stop the server, so that connections are refused."""
        self._running.close()

    def revoke(self) -> None:
        """Revoke all tokens that were issued."""
        self.expiries = dict.fromkeys(self.expiries, 0.0)

    def table(self) -> str:
        """Return the table of the gateway's file."""
        return (
            f'[providers.idp]\ntoken_endpoint = "{self.url}/token"\nclient_id = "gateway"\n'
            'client_secret = {source = "file", path = "secret.txt"}\n'
        )


class Upstream:
    """An ASGI application that accepts only valid tokens, to the millisecond.

    Args:
        provider: The provider of the tokens.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Respond with 200, or with 401 and the reason."""
        await receive()
        value = dict(scope["headers"]).get(b"authorization", b"").decode()
        expiry = self._provider.expiries.get(value.removeprefix("Bearer "))
        if expiry is None:
            reason = "unknown token" if value else "no token"
        elif not expiry:
            reason = "revoked token"
        else:
            reason = "" if time.monotonic() < expiry else "expired token"
        challenge = ("www-authenticate", 'Bearer error="invalid_token"')
        if reason:
            await respond(send, 401, reason, (REASON, reason), challenge)
        else:
            await respond(send, 200, "ok")


async def respond(send: Any, status: int, body: str, *headers: tuple[str, str]) -> None:
    """Send a response."""
    pairs = [(name.encode(), value.encode()) for name, value in headers]
    pairs.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body.encode()})
