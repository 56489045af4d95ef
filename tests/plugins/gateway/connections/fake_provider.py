"""A provider whose responses a test chooses, for faults that no real provider produces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode

from tests.plugins.gateway.servers import asgi_server


class FakeProvider:
    """An authorization server that allows every request at once.

    Attributes:
        token: Members of the token response; None never responds.
        redirect: Parameters of the redirect that replace the usual ones; None removes one.
        forms: The forms that the token and revocation endpoints received.
    """

    def __init__(self) -> None:
        self.token: dict[str, Any] | None = {}
        self.redirect: dict[str, str | None] = {}
        self.forms: list[dict[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Respond to one request."""
        if scope["path"] == "/authorize":
            asked = {
                name: each[0] for name, each in parse_qs(scope["query_string"].decode()).items()
            }
            found = {"code": "a-code", "state": asked["state"], **self.redirect}
            query = urlencode({name: each for name, each in found.items() if each is not None})
            location = f"{asked['redirect_uri']}?{query}".encode()
            await _send(send, 302, b"", (b"location", location))
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        form = {name: each[0] for name, each in parse_qs(body.decode()).items()}
        self.forms.append({**form, "path": scope["path"]})
        if scope["path"] == "/revoke":
            await _send(send, 200, b"")
        elif self.token is None:
            while (await receive())["type"] != "http.disconnect":
                pass
        else:
            members = {"access_token": "at", "token_type": "Bearer", **self.token}
            await _send(
                send, 200, json.dumps(members).encode(), (b"content-type", b"application/json")
            )


async def _send(send: Any, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def fake_provider() -> Iterator[tuple[FakeProvider, str]]:
    """Run the provider, and yield it with the table ``[providers.other]``."""
    provider = FakeProvider()
    with asgi_server(provider) as url:
        yield (
            provider,
            f"""
[providers.other]
issuer = "{url}"
token_endpoint = "{url}/token"
authorization_endpoint = "{url}/authorize"
revocation_endpoint = "{url}/revoke"
client_id = "gateway"
client_secret = "secret"
timeout = 60

[providers.gone]
authorization_endpoint = "{url}/authorize"
token_endpoint = "http://127.0.0.1:1/token"
client_id = "gateway"
client_secret = "secret"

[connections.providers.gone]
[connections.providers.other]
name = "Other"
scope = ["read", "write"]
""",
        )
