"""Protected resources that name their issuers (RFC 9728), and issuers that record requests."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs

import requests

import grantway
from grantway_grants import authorization_code
from grantway_plugins.auth import ResourceAuth
from grantway_plugins.issuer import IssuerServer, IssuerSettings, Lifetimes
from grantway_plugins.issuer._decisions.operator_clients import add_client, remove_client
from tests.issuer_middleware import add_middleware
from tests.plugins.auth.resource import Resource, Seen
from tests.waiting import PATIENCE

KNOWN = "/.well-known/oauth-protected-resource"
CODE, REFRESH = "authorization_code", "refresh_token"
REDIRECT = "http://127.0.0.1:3000/callback"
DESCRIBED = {name: name for name in ("read", "write", "admin")}


class Received(NamedTuple):
    """A request that an issuer received, with its form, and the status of the response."""

    path: str
    form: dict[str, str]
    authorization: str
    status: int

    @property
    def text(self) -> str:
        """Everything that the client sent."""
        return f"{self.authorization} {self.form}"


class Issuer:
    """An issuer that approves every login and records the requests that it receives.

    Args:
        settings: Further settings.

    Attributes:
        received: The requests, except introspections.
        metadata: Members to replace in the metadata.
        passed: Seconds by which the issuer's clock is ahead.
        fail: Returns a status to respond with instead, by path; None responds as usual.
    """

    def __init__(self, **settings: Any) -> None:
        self.received: list[Received] = []
        self.metadata: dict[str, Any] = {}
        self.passed = 0.0
        self.fail: Callable[[str], int | None] = lambda path: None
        settings = {
            "approve": "auto",
            "registration": "open",
            "scope_descriptions": {**DESCRIBED, "offline_access": "stay logged in"},
            "lifetimes": Lifetimes(refresh_reuse_window=0),
            **settings,
        }
        self.server = IssuerServer(
            IssuerSettings(**settings), clock=lambda: time.time() + self.passed
        )
        add_middleware(self.server, lambda app: _Recording(app, self))
        self.server.start()
        self.url = self.server.url
        made = self.client(grant_types=["client_credentials"], introspects=True)
        self._introspector = (made["client_id"], made["client_secret"])

    def client(self, *, introspects: bool = False, **metadata: Any) -> Mapping[str, Any]:
        """Register a client as the operator."""
        found: Mapping[str, Any] = add_client(
            self.server.store, {"client_name": "x", **metadata}, introspects=introspects
        )
        return found

    def forget_clients(self) -> None:
        """Remove all clients that registered themselves."""
        for each in {each.form.get("client_id") for each in self.received if each.path == "/token"}:
            if each is not None:
                with suppress(grantway.ConfigurationError):  # removed before
                    remove_client(self.server.store, each)

    def introspect(self, token: str) -> Mapping[str, Any]:
        """Return the state of a token."""
        response = requests.post(
            f"{self.url}/introspect", {"token": token}, auth=self._introspector, timeout=PATIENCE
        )
        response.raise_for_status()
        found: Mapping[str, Any] = response.json()
        return found

    def count(self, path: str, grant_type: str | None = None) -> int:
        """Return how many requests to a path, with a grant type, succeeded."""
        return sum(
            each.path == path
            and each.status < requests.codes.bad_request
            and grant_type in {None, each.form.get("grant_type")}
            for each in self.received
        )

    def stop(self) -> None:
        """Stop the server."""
        self.server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_problem: object) -> None:
        self.stop()


class _Recording:
    """ASGI middleware that records requests."""

    def __init__(self, app: Any, issuer: Issuer) -> None:
        self._app = app
        self._issuer = issuer
        self._start: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] == "/introspect":
            await self._app(scope, receive, send)
            return
        body, path = bytearray(), scope["path"]
        if (status := self._issuer.fail(path)) is not None:
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body"})
            return

        async def heard() -> Any:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def told(message: Any) -> None:
            if path.startswith("/.well-known") and self._issuer.metadata:
                await self._change(message, send)
                return
            if message["type"] == "http.response.start":
                text = bytes(body).decode() or scope["query_string"].decode()
                form = {name: values[0] for name, values in parse_qs(text).items()}
                header = dict(scope["headers"]).get(b"authorization", b"").decode()
                self._issuer.received.append(Received(path, form, header, message["status"]))
            await send(message)

        await self._app(scope, heard, told)

    async def _change(self, message: Any, send: Any) -> None:
        """Send the metadata with other members."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        body = json.dumps({**json.loads(message["body"]), **self._issuer.metadata}).encode()
        headers = [each for each in self._start["headers"] if each[0] != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({**self._start, "headers": headers})
        await send({**message, "body": body})


class Site(Resource):
    """A resource at ``/mcp`` that requires a token of an issuer, and a scope for some paths.

    Attributes:
        issuer: The issuer that the metadata names.
        metadata: Further members of the metadata; None leaves one out.
        required: Required scopes by path.
        challenge: Further parameters of challenges of requests without a valid token.
        step_up: Challenges by path, instead of those for ``required``.
        public: Paths that require no token.
        redirects: Targets by path.
        down: Whether the metadata cannot be read.
        described: Whether there is metadata.
    """

    def __init__(self, issuer: Issuer) -> None:
        super().__init__(lambda token: False)
        self.issuer = issuer
        self.metadata: dict[str, Any] = {"scopes_supported": ["read"]}
        self.required: dict[str, set[str]] = {}
        self.challenge = ""
        self.step_up: dict[str, str] = {}
        self.public: set[str] = set()
        self.redirects: dict[str, str] = {}
        self.rejected: set[str] = set()
        self.down = False
        self.described = True

    @property
    def mcp(self) -> str:
        """URL of the resource."""
        return f"{self.url}/mcp"

    @property
    def looks(self) -> int:
        """How often the metadata was read."""
        return sum(each.path.startswith(KNOWN) for each in self.seen)

    @property
    def tokens(self) -> list[str]:
        """The distinct tokens that requests had, in order."""
        sent = [each.headers.get("authorization", "") for each in self.seen]
        return [text.rpartition(" ")[2] for text in dict.fromkeys(sent) if text]

    def respond_to(self, seen: Seen) -> tuple[int, dict[str, str]]:
        """See ``Resource``."""
        path = seen.path.partition("?")[0]
        if path.startswith(KNOWN):
            found = path == f"{KNOWN}/mcp" and self.described
            return (503 if self.down else 200 if found else 404), {}
        if path in self.public:
            return 200, {}
        if path in self.redirects:
            return 307, {"Location": self.redirects[path]}
        return self._judge(path, seen.headers.get("authorization", "").rpartition(" ")[2])

    def _judge(self, path: str, token: str) -> tuple[int, dict[str, str]]:
        state = self.issuer.introspect(token) if token and token not in self.rejected else {}
        where = f'resource_metadata="{self.url}{KNOWN}/mcp"' if self.described else 'realm="x"'
        if not state.get("active"):
            error = 'error="invalid_token", ' if token else ""
            return 401, {"WWW-Authenticate": f"Bearer {error}{where}{self.challenge}"}
        needed = self.required.get(path, set())
        if path in self.step_up and token not in self.accepted(path):
            return 401, {"WWW-Authenticate": self.step_up[path]}
        if not needed <= set(state.get("scope", "").split()):
            text = f'Bearer error="insufficient_scope", scope="{" ".join(sorted(needed))}"'
            return 403, {"WWW-Authenticate": text}
        return 200, {}

    def accepted(self, path: str) -> set[str]:
        """Return the tokens that meet the challenge of ``step_up``; all but the first one."""
        return set(self.tokens[1:])

    def content(self, seen: Seen) -> dict[str, Any]:
        """See ``Resource``."""
        if not seen.path.startswith(KNOWN):
            return super().content(seen)
        document = {
            "resource": self.mcp,
            "authorization_servers": [self.issuer.url],
            **self.metadata,
        }
        return {name: value for name, value in document.items() if value is not None}


class Logins:
    """A login function that counts its calls, and logs in without a user.

    Attributes:
        calls: The arguments of each call.
        fail: Error to raise instead, or None.
        begin: Called at the begin of each login.
    """

    def __init__(self, begin: Callable[[], object] = lambda: None) -> None:
        self.calls: list[dict[str, Any]] = []
        self.fail: Exception | None = None
        self.begin = begin

    def __call__(self, client: grantway.Client, **options: Any) -> grantway.Token:
        self.calls.append(options)
        self.begin()
        if self.fail is not None:
            raise self.fail
        return authorization_code.login_by_paste(client, visit, redirect_uri=REDIRECT, **options)

    @property
    def scopes(self) -> list[tuple[str, ...] | None]:
        """The scope of each call."""
        return [each["scope"] for each in self.calls]


def visit(url: str) -> str:
    """Open a URL of an issuer that approves every login, and return the redirect."""
    response = requests.get(url, allow_redirects=False, timeout=PATIENCE)
    return response.headers["location"]


def folder_store(folder: Path) -> grantway.Store:
    """Return a new store with the tokens in a folder."""
    return grantway.default_registry().store("file", folder=str(folder))


def auth_for(site: Site, login: Any = None, **options: Any) -> ResourceAuth:
    if not {"client_id", "auth"} & options.keys():
        options = {"client_name": "test", **options}
    return ResourceAuth(site.mcp, login=login, **options)


def get(site: Site, auth: ResourceAuth, path: str = "/mcp") -> int:
    return requests.get(f"{site.url}{path}", auth=auth, timeout=PATIENCE).status_code
