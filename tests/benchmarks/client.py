"""Cost of one ``create_token`` and of an import, compared with other libraries.

Run: ``python tests/benchmarks/client.py [--rounds N] [--calls N]``

All clients refresh the same token at a small server in another process, over persistent loopback
connections, alternating within one run. The result is the median of all calls as a multiple of
``requests.Session().post`` with JSON decoding. Results of different runs are not comparable.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

ANSWER = json.dumps(
    {
        "access_token": "a" * 43,
        "token_type": "Bearer",
        "expires_in": 3600,
        "refresh_token": "r" * 43,
        "scope": "read write",
        # The parameter names of both AWS and the RFC, so that one response serves every client.
        "accessToken": "a" * 43,
        "tokenType": "Bearer",
        "expiresIn": 3600,
        "refreshToken": "r" * 43,
    }
).encode()


#: msal rejects http, so its session redirects this address to the benchmark's server.
MSAL_AUTHORITY = "https://login.example/tenant"
METADATA = json.dumps(
    {
        "issuer": MSAL_AUTHORITY,
        "token_endpoint": f"{MSAL_AUTHORITY}/token",
        "authorization_endpoint": f"{MSAL_AUTHORITY}/authorize",
    }
).encode()


class _Answering(asyncio.Protocol):
    """A server that responds to GET with metadata and to POST with a token."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            body = METADATA if head.startswith(b"get ") else ANSWER
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n"
                b"content-length: %d\r\n\r\n%b" % (len(body), body)
            )


def _serve(ready: Connection) -> None:
    _pin(1)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Answering, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def _calls(base: str) -> dict[str, Callable[[], object]]:
    url = f"{base}/token"

    import requests
    import requests.adapters

    session = requests.Session()
    form = {"grant_type": "refresh_token", "refresh_token": "r" * 43}

    import grantway

    ours = grantway.Client(
        grantway.Provider(token_endpoint=url), client_id="client", client_secret="s" * 32
    )
    from grantway_plugins import aws

    aws_params = {
        "clientId": "client",
        "clientSecret": "s" * 32,
        "grantType": "refresh_token",
        "refreshToken": "r" * 43,
    }
    drop_in = aws.client(region_name="us-east-1", endpoint_url=base)

    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    boto = boto3.client(
        "sso-oidc",
        region_name="us-east-1",
        endpoint_url=base,
        config=Config(signature_version=UNSIGNED),
    )

    from authlib.integrations.requests_client import OAuth2Session

    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # allow http on loopback
    authlib = OAuth2Session("client", "s" * 32, token_endpoint=url)

    from requests_oauth2client import OAuth2Client

    roc = OAuth2Client(token_endpoint=url, client_id="client", client_secret="s" * 32, testing=True)

    calls: dict[str, Callable[[], object]] = {
        "requests post + json": lambda: session.post(
            url, data=form, auth=("client", "s" * 32)
        ).json(),
        "grantway create_token": lambda: ours.create_token(
            grant_type="refresh_token", refresh_token="r" * 43
        ),
        "grantway sso_oidc drop-in": lambda: drop_in.create_token(**aws_params),
        "boto3 create_token": lambda: boto.create_token(**aws_params),
        "Authlib refresh_token": lambda: authlib.refresh_token(url, refresh_token="r" * 43),
        "requests-oauth2client": lambda: roc.refresh_token("r" * 43),
    }

    import msal

    class ToLoopback(requests.adapters.HTTPAdapter):
        def send(self, request: Any, **options: Any) -> Any:
            request.url = request.url.replace(MSAL_AUTHORITY, base)
            return super().send(request, **options)

    msal_session = requests.Session()
    msal_session.mount(MSAL_AUTHORITY, ToLoopback())
    app = msal.ConfidentialClientApplication(
        "client",
        client_credential="s" * 32,
        oidc_authority=MSAL_AUTHORITY,
        instance_discovery=False,
        http_client=msal_session,
    )
    calls["msal refresh token"] = lambda: app.acquire_token_by_refresh_token(
        "r" * 43, scopes=["read"]
    )
    return calls


def _pin(core: int) -> None:
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[core]})


def round_trips(rounds: int, calls: int) -> None:
    """Print the cost of one call of each client as a multiple of requests'."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,))
    server.start()
    try:
        base = f"http://127.0.0.1:{ours.recv()}"
        peers = _calls(base)
        _pin(0)
        seconds: dict[str, list[float]] = {name: [] for name in peers}
        for call in peers.values():
            for _ in range(20):
                call()
        for _ in range(rounds):
            for name, call in peers.items():
                for _ in range(calls):
                    began = time.perf_counter()
                    call()
                    seconds[name].append(time.perf_counter() - began)
    finally:
        server.terminate()
        server.join()
    base_cost = statistics.median(seconds["requests post + json"])
    print(f"\nA refresh over a kept connection ({rounds} rounds of {calls} calls, in turns)\n")
    print("| client | x requests post + json | median, microseconds | p99 |\n|---|---|---|---|")
    for name, taken in seconds.items():
        median = statistics.median(taken)
        p99 = statistics.quantiles(taken, n=100)[98]
        print(f"| {name} | {median / base_cost:.2f} | {median * 1e6:.0f} | {p99 * 1e6:.0f} |")


def imports(rounds: int) -> None:
    """Print the cost of an import in a fresh process as a multiple of requests'."""
    statements = {
        "import requests": "import requests",
        "import grantway": "import grantway",
        "first grantway.Client, plugins loaded": "import grantway; grantway.Client("
        "grantway.Provider(token_endpoint='http://127.0.0.1/token'), client_id='a')",
        "import boto3": "import boto3",
        "Authlib's session": "import authlib.integrations.requests_client",
        "import msal": "import msal",
        "import requests_oauth2client": "import requests_oauth2client",
    }
    best = dict.fromkeys(["pass", *statements], float("inf"))
    for _ in range(rounds):
        for name, code in {"pass": "pass", **statements}.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            best[name] = min(best[name], time.perf_counter() - began)
    base = best["import requests"] - best["pass"]
    print(f"\nImports, over a bare start of Python (best of {rounds})\n")
    print("| statement | x import requests | milliseconds |\n|---|---|---|")
    for name in statements:
        cost = best[name] - best["pass"]
        print(f"| {name} | {cost / base:.2f} | {cost * 1000:.1f} |")


def main() -> None:
    """Run both benchmarks."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--calls", type=int, default=100)
    chosen = options.parse_args()
    round_trips(chosen.rounds, chosen.calls)
    imports(chosen.rounds)


if __name__ == "__main__":
    main()
