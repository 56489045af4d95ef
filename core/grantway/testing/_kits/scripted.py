"""A client without a network, for the tests of middleware, observers and dialects."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grantway._plugins.building import build_registry
from grantway._requests.client import Client
from grantway._requests.provider import Provider
from grantway._requests.retry import RetryPolicy
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from grantway._types.fields import GrantSchema, Text
from grantway._types.grant import Grant, Replay
from grantway._types.token import Token
from grantway._wire.dialect import RFC6749

#: Part of every secret in these tests.
MARK = "very-secret-0123456789"
GRANT_TYPE = "urn:grantway:testing"


class _Schema(GrantSchema):
    """A code."""

    code = Text(required=True, example='"c0de"')


GRANT = Grant(
    grant_type=GRANT_TYPE,
    schema=_Schema(),
    replay=Replay.NEVER,
    secret=frozenset({"code"}),
    single_use=frozenset({"code"}),
)
#: The secret parameter of each request.
CODE = f"code-{MARK}"


def issued(number: int = 1) -> HttpResponse:
    """Return a response with a token."""
    return _response(
        200,
        {
            "access_token": f"at-{number}-{MARK}",
            "refresh_token": f"rt-{number}-{MARK}",
            "token_type": "Bearer",
            "expires_in": 3600,
        },
    )


def rejected() -> HttpResponse:
    """Return an error response."""
    return _response(400, {"error": "invalid_grant"})


def busy() -> HttpResponse:
    """Return a response after which the client tries again at once."""
    return HttpResponse(503, {"retry-after": "0"}, b"")


def _response(status: int, body: Mapping[str, Any]) -> HttpResponse:
    return HttpResponse(status, {"content-type": "application/json"}, json.dumps(body).encode())


#: A response, an exception to raise, or a function of the request that returns a response.
Step = HttpResponse | BaseException | Callable[[HttpRequest], HttpResponse]


class ScriptedTransport:
    """A transport that plays a script, and repeats its last step."""

    def __init__(self, script: Sequence[Step]) -> None:
        self._script = list(script)
        self._lock = threading.Lock()
        self.requests: list[HttpRequest] = []

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """Play the next step."""
        with self._lock:
            step = self._script[min(len(self.requests), len(self._script) - 1)]
            self.requests.append(request)
        if isinstance(step, BaseException):
            raise step
        return step if isinstance(step, HttpResponse) else step(request)

    async def send_async(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """Play the next step after other tasks have run."""
        await asyncio.sleep(0)
        return self.send(request, deadline)

    def close(self) -> None:
        """Do nothing."""


class ScriptedClient(Client):
    """A client whose provider plays a script.

    Attributes:
        requests: The requests that were sent.
    """

    def __init__(
        self, *script: Step, dialect: Any = RFC6749, plugin: object = None, **options: Any
    ) -> None:
        transport = ScriptedTransport(script)
        self.requests = transport.requests
        super().__init__(
            Provider(
                "https://as.example/token",
                revocation_endpoint="https://as.example/revoke",
                dialect=dialect,
            ),
            client_id="my-client",
            client_secret=f"cs-{MARK}",
            registry=build_registry(
                {"grant": GRANT, **({"plugin": plugin} if plugin else {})},
                entry_points=False,
                strict=True,
            ),
            retry=RetryPolicy(attempts=2, base=0.001),
            transport=transport,
            **options,
        )

    def token(self, code: str = CODE) -> Token:
        """Request a token."""
        return self.create_token(grant_type=GRANT_TYPE, code=code)

    async def token_async(self, code: str = CODE) -> Token:
        """Request a token without blocking the event loop."""
        return await self.create_token_async(grant_type=GRANT_TYPE, code=code)
