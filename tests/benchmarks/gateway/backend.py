"""Backend for gateway benchmarks: an issuer that fails on demand, and an echo upstream.

Run ``python backend.py``. The first line of input contains the arguments of ``Backend``. Each
further line is a command such as ``{"do": "slow", "seconds": 5}``, whose result is printed as one
line.

The issuer issues a refresh token with each login and accepts it once. A gateway that loses a token
must log in the tenant again, which is counted. The echo returns the tenant of each token, which it
looks up at the issuer.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import httptools
import requests

from grantway import build_registry
from grantway.hookspecs import hookimpl
from grantway_grants.refresh_token import REFRESH_TOKEN
from grantway_plugins.grants.client_credentials import CLIENT_CREDENTIALS
from grantway_plugins.issuer import Issue, IssuerServer, IssuerSettings, Lifetimes
from grantway_plugins.issuer._decisions.grants.refresh_token import RefreshTokenIssuer
from grantway_plugins.issuer._decisions.randomness import digest, family_digest, new_secret
from grantway_plugins.issuer._storage.store import IssuerStore
from tests.benchmarks.gateway.cores import pin
from tests.faults import free_port
from tests.issuer_middleware import add_middleware

_TIMEOUT = 30.0


class Ledger:
    """Counters of token requests.

    Attributes:
        logins: Tenant -> number of tokens issued for the grant.
        refreshes: Tenant -> number of tokens issued for a refresh token.
        denied: Number of rejected refresh tokens.
        asked: Time and status of each token response.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Count from here."""
        self.logins: Counter[str] = Counter()
        self.refreshes: Counter[str] = Counter()
        self.denied = 0
        self.asked: list[tuple[float, int]] = []


class _Logins:
    """A client credentials grant with tenants and refresh tokens."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def decide(self, request: Any, _transaction: Any) -> Any:
        tenant = tenant_of(request.params["resource"][0])
        self._ledger.logins[tenant] += 1
        return request.issue(subject=tenant)


class _Refreshes(RefreshTokenIssuer):
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def decide(self, request: Any, transaction: Any) -> Any:
        decision = super().decide(request, transaction)
        if isinstance(decision, Issue):
            self._ledger.refreshes[decision.family.subject] += 1
        else:
            self._ledger.denied += 1
        return decision


class _Plugin:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @hookimpl
    def grantway_register_grants(self) -> Any:
        return [CLIENT_CREDENTIALS, REFRESH_TOKEN]

    @hookimpl
    def grantway_register_issuer_grants(self) -> Any:
        return {
            CLIENT_CREDENTIALS.grant_type: _Logins(self._ledger),
            REFRESH_TOKEN.grant_type: _Refreshes(self._ledger),
        }


def tenant_of(resource: str) -> str:
    """Return the tenant of ``https://NAME.tenants.test/``."""
    return (urlsplit(resource).hostname or "").partition(".")[0]


class Fault:
    """Faults that the issuer applies to token requests.

    Attributes:
        slow: Delay of each response in seconds.
        retry_after: Retry-After of 429 responses in seconds; 0 disables these responses.
    """

    slow = 0.0
    retry_after = 0

    def __init__(self, app: Any, ledger: Ledger) -> None:
        self._app, self._ledger = app, ledger

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Respond to one request."""
        if scope["type"] != "http" or scope["path"] != "/token":
            await self._app(scope, receive, send)
            return

        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._ledger.asked.append((time.monotonic(), message["status"]))
            await send(message)

        if Fault.retry_after:
            headers = [
                (b"retry-after", b"%d" % Fault.retry_after),
                (b"content-type", b"application/json"),
                (b"content-length", b"2"),
            ]
            await counted({"type": "http.response.start", "status": 429, "headers": headers})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        if Fault.slow:
            await asyncio.sleep(Fault.slow)
        await self._app(scope, receive, counted)


class Echo(asyncio.Protocol):
    """An upstream that returns the token's tenant, its expiry and the request number."""

    store: IssuerStore
    known: dict[bytes, tuple[str, float]]

    def connection_made(self, transport: Any) -> None:
        self._transport: Any = transport
        self._parser = httptools.HttpRequestParser(self)
        self._headers: dict[bytes, bytes] = {}

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_message_complete(self) -> None:
        token = self._headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        known = self.known.get(token)
        if known is None and token:
            known = self._learn(token)
        tenant, ends = known or ("", 0.0)
        body = b'{"tenant":"%b","ended":%b,"number":"%b"}' % (
            tenant.encode(),
            b"true" if token and time.time() >= ends else b"false",
            self._headers.get(b"x-number", b""),
        )
        self._headers = {}
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(body), body)
        )

    def _learn(self, token: bytes) -> tuple[str, float]:
        key = family_digest(token.decode("latin-1"))
        found = self.store.run(lambda transaction: transaction.access_token(key))
        # Cache unknown tokens too: the issuer commits a token before it returns it.
        known = ("", 0.0) if found is None else (found.family.subject, found.expires_at)
        self.known[token] = known
        return known


class Backend:
    """The issuer and the echo.

    Args:
        folder: Folder of the issuer's database.
        lifetime: Lifetime of access tokens in seconds.
        reuse_window: Seconds for which a replaced refresh token still works.
    """

    def __init__(self, folder: str, lifetime: float, reuse_window: float) -> None:
        self._database = Path(folder) / "issuer.sqlite3"
        self._lifetimes = Lifetimes(access_token=lifetime, refresh_reuse_window=reuse_window)
        self._port = free_port()
        self._ledger = Ledger()
        self._registry = build_registry({"tenants": _Plugin(self._ledger)}, entry_points=False)
        self._server: IssuerServer | None = None
        self._client_id = ""
        self.facts: dict[str, str] = {}
        self.up()
        Echo.store = self._store = IssuerStore(self._database)
        Echo.known = {}
        self._echo_port = 0
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve_echo, args=(ready,))
        self._thread.start()
        ready.wait()
        url = f"http://127.0.0.1:{self._port}"
        response = requests.post(
            f"{url}/register",
            json={
                "client_name": "gateway",
                "scope": "read",
                "grant_types": ["client_credentials", "refresh_token"],
                "token_endpoint_auth_method": "client_secret_basic",
            },
            timeout=_TIMEOUT,
        ).json()
        self._client_id = response["client_id"]
        self.facts = {
            "issuer": url,
            "echo": f"http://127.0.0.1:{self._echo_port}",
            "client_id": self._client_id,
            "client_secret": response["client_secret"],
        }

    # --- Commands ---------------------------------------------------------------------------------

    def down(self) -> None:
        """Stop the issuer."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def up(self) -> None:
        """Start the issuer again with its data."""
        self._server = IssuerServer(
            IssuerSettings(lifetimes=self._lifetimes, registration="unrestricted"),
            database=self._database,
            port=self._port,
            registry=self._registry,
        )
        add_middleware(self._server, lambda app: Fault(app, self._ledger))
        self._server.start()

    def slow(self, seconds: float) -> None:
        """Delay each token response by a number of seconds."""
        Fault.slow = seconds

    def busy(self, retry_after: int) -> None:
        """Respond to token requests with 429 and this Retry-After; 0 stops that."""
        Fault.retry_after = retry_after

    def rotate(self) -> str:
        """Replace the client's secret."""
        assert self._server is not None
        secret = new_secret("gws")
        connection = sqlite3.connect(self._database, timeout=_TIMEOUT)
        with connection:
            connection.execute(
                "UPDATE clients SET secret_digest = ? WHERE client_id = ?",
                (digest(secret), self._client_id),
            )
        connection.close()
        self._server.store._known_clients.clear()
        return secret

    def clear(self) -> None:
        """Count from here."""
        self._ledger.clear()

    def report(self) -> dict[str, Any]:
        """Return the counters."""
        return {
            "asked": self._ledger.asked,
            "logins": self._ledger.logins,
            "refreshes": self._ledger.refreshes,
            "denied": self._ledger.denied,
        }

    def close(self) -> None:
        """Stop the issuer and the echo."""
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._store.close()

    def _serve_echo(self, ready: threading.Event) -> None:
        server = self._loop.run_until_complete(
            self._loop.create_server(Echo, "127.0.0.1", 0, backlog=1024)
        )
        self._echo_port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.close()


def main() -> None:
    """Execute the commands from standard input."""
    spec = json.loads(sys.stdin.readline())
    pin(spec.pop("core", None))
    with ExitStack() as running:
        backend = Backend(**spec)
        running.callback(backend.close)
        print(json.dumps(backend.facts), flush=True)
        for line in iter(sys.stdin.readline, ""):
            order = json.loads(line)
            print(json.dumps(getattr(backend, order.pop("do"))(**order)), flush=True)


if __name__ == "__main__":
    main()
