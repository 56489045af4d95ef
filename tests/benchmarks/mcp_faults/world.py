"""Issuers and a protected resource, which record their requests and fail on demand."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import closing
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from grantway_plugins.issuer import IssuerServer, IssuerSettings, Lifetimes
from grantway_plugins.issuer._decisions.operator_clients import (
    add_client,
    all_clients,
    remove_client,
)
from tests.benchmarks.mcp_faults.record import Answer, Record, Reply, Server
from tests.faults import Received, Stage
from tests.waiting import PATIENCE

#: Lifetime of access tokens, in seconds.
HOUR = 3600.0
#: Scopes that the resource needs for its tools, and the one that it never accepts.
SCOPES = {"read": "mcp:read", "write": "mcp:write", "admin": "mcp:admin"}
_METADATA = "/.well-known/oauth-protected-resource/mcp"
_HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "host", "accept-encoding"}
#: Number of requests for which the slow tool waits, and for how many seconds.
TOGETHER = 8
_PATIENCE = 3.0
_EVENT = b"data: {}\n\n"


class Issuer:
    """An issuer of grantway behind a server that records its requests and injects faults.

    Args:
        name: Name in the record.
        record: Where requests are recorded.
        clock: Returns the time.
        lifetimes: Lifetimes of tokens.
        resource: Name of the server that may receive access tokens.
    """

    def __init__(
        self, name: str, record: Record, clock: Any, lifetimes: Lifetimes, resource: str
    ) -> None:
        self._record = record
        self._resource = resource
        self.front = Server(name, record, _kind, self.answer)
        self.url = self.front.url
        self._server = IssuerServer(
            IssuerSettings(
                issuer=self.url,
                approve="auto",
                lifetimes=lifetimes,
                registration="open",
                default_scopes=(SCOPES["read"],),
            ),
            clock=clock,
        )
        self._inner = urlsplit(self._server.address).netloc
        metadata = {"client_name": "resource", "grant_types": ["client_credentials"]}
        made = add_client(self._server.store, metadata, introspects=True)
        pair = f"{made['client_id']}:{made['client_secret']}".encode()
        self._introspects = {"Authorization": f"Basic {b64encode(pair).decode()}"}

    def start(self) -> None:
        """Start the issuer."""
        self._server.start()
        self.front.start()

    def stop(self) -> None:
        """Stop the issuer."""
        self.front.stop()
        self._server.stop()

    def answer(self, received: Received) -> Reply:
        """Return the issuer's response, and record the secrets in it."""
        named = {name: value for name, value in received.headers.items() if name not in _HOP_BY_HOP}
        named["Host"] = urlsplit(self.url).netloc
        reply = self._send(received.method, received.target, received.body, named)
        self._record_secrets(_kind(received), reply)
        return reply

    def scope_of(self, token: str) -> list[str] | None:
        """Return the scopes of an active token, or None."""
        form = urlencode({"token": token}).encode()
        named = {**self._introspects, "Content-Type": "application/x-www-form-urlencoded"}
        found = self._send("POST", "/introspect", form, named).json
        return str(found.get("scope", "")).split() if found["active"] else None

    def forget_clients(self) -> None:
        """Delete all registered clients."""
        for client in all_clients(self._server.store):
            if not client.introspects:
                remove_client(self._server.store, client.client_id)

    def _send(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        with closing(http.client.HTTPConnection(self._inner, timeout=PATIENCE)) as connection:
            connection.request(method, target, body or None, dict(headers))
            response = connection.getresponse()
            kept = {
                name.title(): value
                for name, value in response.getheaders()
                if name.lower() not in _HOP_BY_HOP
            }
            return Reply(response.status, response.read(), kept)

    def _record_secrets(self, kind: str, reply: Reply) -> None:
        own = self.front.name
        location = {name.lower(): value for name, value in reply.headers.items()}.get("location")
        if kind == "authorize" and location:
            for code in parse_qs(urlsplit(location).query).get("code", ()):
                self._record.add_secret("code", code, own)
        if reply.status not in {200, 201} or kind not in {"refresh", "token", "register"}:
            return
        found = reply.json
        for member, words, servers in (
            ("refresh_token", "refresh token", (own,)),
            ("client_secret", "client secret", (own,)),
            ("access_token", "access token", (own, self._resource)),
        ):
            if member in found:
                self._record.add_secret(words, found[member], *servers)


def _kind(received: Received) -> str:
    """Return the kind of a request to an issuer."""
    path = urlsplit(received.target).path
    if path.startswith("/.well-known"):
        return "metadata"
    if path == "/token":
        grant = received.form.get("grant_type", [""])[0]
        return "refresh" if grant == "refresh_token" else "token"
    return path.strip("/").partition("/")[0] or "other"


class World:
    """An issuer and a resource, and a second issuer that the resource may name.

    Args:
        reuse_window: Seconds for which the issuer accepts a replaced refresh token.
        lifetimes: Other lifetimes of the issuer.
        same_host: Whether the issuer's endpoints are on the resource's host.
        public: Base URL of the resource for clients that reach it through a proxy, and its TLS
            context.

    Attributes:
        record: All requests.
        passed: Seconds by which the clocks of the servers are ahead.
        document: Members of the resource's metadata that differ.
        challenge: The challenge, if it differs.
        open: Whether the resource needs no token.
        accepts: Whether the resource accepts tokens at all.
        rejected: Access tokens that the resource rejects.
        most: Highest number of concurrent requests to the slow tool.
    """

    def __init__(
        self,
        *,
        reuse_window: float = 0.0,
        same_host: bool = False,
        public: tuple[str, ssl.SSLContext] | None = None,
        **lifetimes: float,
    ) -> None:
        self.record = Record()
        self.passed = 0.0
        self.document: dict[str, Any] = {}
        self.challenge: str | None = None
        self.open = False
        self.accepts = True
        self.rejected: set[str] = set()
        self.most = 0
        self.end_streams = threading.Event()
        self._same_host = same_host
        self._lifetimes = Lifetimes(
            **{"access_token": HOUR, "refresh_reuse_window": reuse_window, **lifetimes}
        )
        self._changed = threading.Condition()
        self._inside = 0
        self._last_token = ""
        name = "the issuer" if same_host else "the resource"
        self.issuer = self._issuer("the issuer", name)
        self.issuers = [self.issuer]
        if same_host:
            self.resource = self.issuer.front
            self.resource._classify = _kind_of_resource
            self.resource._healthy = self._answer
        else:
            url, tls = public or (None, None)
            self.resource = Server(name, self.record, _kind_of_resource, self._answer, tls=tls)
            self.resource.url = url or self.resource.url
        self.url = f"{self.resource.url}/mcp"

    def __enter__(self) -> Self:
        self.issuer.start()
        if not self._same_host:
            self.resource.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end_streams.set()
        if not self._same_host:
            self.resource.stop()
        for each in self.issuers:
            each.stop()

    def time(self) -> float:
        """Return the time of the servers."""
        return time.time() + self.passed

    def add_issuer(self) -> Issuer:
        """Start another issuer."""
        other = self._issuer("the new issuer", self.resource.name)
        other.start()
        self.issuers.append(other)
        return other

    def reject_last_token(self) -> None:
        """Let the resource reject the last access token that it accepted."""
        self.rejected.add(self._last_token)

    @property
    def refreshes(self) -> int:
        """Number of refresh requests that the issuer received."""
        return len(self.record.entries("refresh", "the issuer"))

    def _issuer(self, name: str, resource: str) -> Issuer:
        return Issuer(name, self.record, self.time, self._lifetimes, resource)

    # --- The resource ---------------------------------------------------------------------------

    def _answer(self, received: Received) -> Answer:
        path = urlsplit(received.target).path
        if path == _METADATA:
            return Reply.of_json(self.metadata())
        if path == "/mcp":
            return self._protected(received)
        return self.issuer.answer(received) if self._same_host else Reply(404)

    def metadata(self) -> dict[str, Any]:
        """Return the resource's metadata (RFC 9728)."""
        return {
            "resource": self.url,
            "authorization_servers": [self.issuer.url],
            "scopes_supported": [SCOPES["read"]],
            **self.document,
        }

    def _protected(self, received: Received) -> Answer:
        token = received.headers.get("authorization", "").removeprefix("Bearer ")
        if not self.open:
            scope = self._scope_of(token)
            if scope is None:
                return self._denied(401, SCOPES["read"], "invalid_token" if token else "")
            self._last_token = token
            tool = _tool_of(received)
            if (needed := SCOPES.get(tool, SCOPES["read"])) not in scope or tool == "admin":
                return self._denied(403, needed, "insufficient_scope")
            if tool == "slow":
                self._wait_for_others()
        if received.method == "GET":
            return self._stream
        return Reply.of_json({"jsonrpc": "2.0", "id": 1, "result": {"content": []}})

    def _scope_of(self, token: str) -> list[str] | None:
        if not token or token in self.rejected or not self.accepts:
            return None
        (named,) = self.metadata()["authorization_servers"]
        found = next((each for each in self.issuers if each.url == named), self.issuer)
        return found.scope_of(token)

    def _denied(self, status: int, scope: str, error: str) -> Reply:
        named = {"scope": scope, "resource_metadata": f"{self.resource.url}{_METADATA}"}
        if error:
            named["error"] = error
        challenge = self.challenge or "Bearer {}"
        text = challenge.format(", ".join(f'{name}="{value}"' for name, value in named.items()))
        return Reply(status, b"", {"WWW-Authenticate": text})

    def _wait_for_others(self) -> None:
        """Wait until enough requests are here, or a moment has passed, and count them."""
        with self._changed:
            self._inside += 1
            self.most = max(self.most, self._inside)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most >= TOGETHER, _PATIENCE)
            self._inside -= 1

    def _stream(self, stage: Stage) -> bool:
        """Send an event at once, and another one at the end of the stream."""
        stage.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + _EVENT)
        self.end_streams.wait()
        stage.send(_EVENT)
        return False


def _kind_of_resource(received: Received) -> str:
    """Return the kind of a request to the resource."""
    path = urlsplit(received.target).path
    if path == "/mcp":
        return "call"
    if path.startswith("/.well-known/oauth-protected-resource"):
        return "resource_metadata"
    return _kind(received)


def _tool_of(received: Received) -> str:
    """Return the name of the tool that a request calls."""
    if not received.body:
        return "read"
    name: str = json.loads(received.body)["params"]["name"]
    return name
