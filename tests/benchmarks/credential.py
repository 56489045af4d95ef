"""Cost of getting a cached token, compared with other libraries, and cost of many tokens.

Run: ``python tests/benchmarks/credential.py [--rounds N] [--entries N]``

The result for cache hits is the best of many alternating rounds: a hit does no I/O, so anything
above the minimum is noise. Results of different runs are not comparable.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import random
import resource
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS = 20_000


def _pool(entries: int) -> Any:
    from grantway import Client, Provider

    client = Client(
        Provider(token_endpoint="http://127.0.0.1:9/token"), client_id="client", client_secret="s"
    )
    return client.credential_pool(grant_type="client_credentials", entries=entries)


def _fill(pool: Any, count: int) -> list[str]:
    """Create a number of credentials, each with a token."""
    from grantway import Token

    end = time.time() + 3600
    names = [f"tenant-{number}" for number in range(count)]
    for number, name in enumerate(names):
        pool.credential(name).accept(Token(f"at-{number}", expires_in=3600, expires_at=end))
    return names


def _hits() -> dict[str, Callable[[], object]]:
    """Return each library's call for a cached token."""
    from grantway import Token

    calls: dict[str, Callable[[], object]] = {}

    pool = _pool(10)
    (name,) = _fill(pool, 1)
    calls["grantway: credential.token()"] = pool.credential(name).token
    calls["grantway: pool.token(name)"] = lambda: pool.token(name)

    from authlib.integrations.requests_client import OAuth2Session

    held = {"access_token": "a" * 43, "token_type": "Bearer", "expires_at": time.time() + 3600}
    session = OAuth2Session("client", token=held)
    calls["Authlib: token.is_expired()"] = session.token.is_expired

    from botocore.tokens import DeferredRefreshableToken, FrozenAuthToken

    end = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    deferred = DeferredRefreshableToken("sso", lambda: FrozenAuthToken("a" * 43, end))
    calls["botocore: get_frozen_token()"] = deferred.get_frozen_token

    from google.oauth2.credentials import Credentials

    google = Credentials(
        "a" * 43,
        expiry=dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(hours=1),
    )
    calls["google-auth: before_request()"] = lambda: google.before_request(
        None, "GET", "http://127.0.0.1/", {}
    )

    import msal

    app = msal.ConfidentialClientApplication(
        "client",
        client_credential="s",
        authority="https://login.example/tenant",
        validate_authority=False,
        instance_discovery=False,
        http_client=_Metadata(),
    )
    app.token_cache.add(
        {
            "client_id": "client",
            "scope": ["read"],
            "token_endpoint": "https://login.example/tenant/token",
            "response": {"access_token": "a" * 43, "expires_in": 3600, "token_type": "Bearer"},
        }
    )

    def look_up() -> object:
        return app.acquire_token_for_client(["read"])

    assert "access_token" in (look_up() or {}), "msal did not find the token in its cache"
    calls["msal: acquire_token_for_client()"] = look_up
    assert isinstance(calls["grantway: credential.token()"](), Token)
    return calls


class _Metadata:
    """An HTTP client that serves msal's discovery without a network."""

    def get(self, _url: str, **_options: object) -> Any:
        import json
        from types import SimpleNamespace

        base = "https://login.example/tenant"
        text = json.dumps(
            {
                "issuer": base,
                "token_endpoint": f"{base}/token",
                "authorization_endpoint": f"{base}/authorize",
            }
        )
        return SimpleNamespace(
            status_code=200, text=text, headers={}, raise_for_status=lambda: None
        )

    def post(self, _url: str, **_options: object) -> Any:
        raise AssertionError("a cached token needs no request")

    def close(self) -> None:
        pass


def compare_hits(rounds: int) -> None:
    calls = _hits()
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for what, call in calls.items():
            best[what] = min(best[what], timeit.timeit(call, number=CALLS) / CALLS)
    ours = best["grantway: credential.token()"]
    print(f"A held token, best of {rounds} rounds of {CALLS:,} calls:\n")
    for what, seconds in best.items():
        print(f"{what:36} {seconds * 1e9:9.0f} ns {seconds / ours:8.2f} x")


def compare_sizes(entries: int) -> None:
    """Measure lookups, the size of an entry, and the longest eviction."""
    one = _pool(1)
    (name,) = _fill(one, 1)
    seconds = min(timeit.repeat(lambda: one.token(name), number=CALLS, repeat=20)) / CALLS

    gc.collect()
    before = _resident()
    pool = _pool(entries)
    names = _fill(pool, entries)
    gc.collect()
    grown = (_resident() - before) / entries
    weight = _weight(pool, names)

    near = names[:CALLS]
    far = random.Random(1).sample(names, CALLS)  # spread out, to miss the CPU caches
    plain = dict.fromkeys(names)
    print(f"\nA lookup by name, one entry:      {seconds * 1e9:7.0f} ns")
    for what, order in (("in order", near), ("in any order", far)):
        took = _each(pool.token, order)
        print(
            f"among {len(pool):,}, {what:13}      {took * 1e9:7.0f} ns, {took / seconds:.2f} x; "
            f"a plain dict {_each(plain.__getitem__, order) * 1e9:.0f} ns"
        )
    print(f"an entry beyond token and name:   {weight:7.0f} B (sys.getsizeof)")
    print(f"a whole entry, token and name:    {grown:7.0f} B (resident memory)")

    gc.disable()  # exclude the cost of garbage collection
    slowest = 0.0
    for number in range(CALLS):
        began = time.perf_counter()
        pool.credential(f"new-{number}")
        slowest = max(slowest, time.perf_counter() - began)
    gc.enable()
    print(f"longest of {CALLS:,} evictions:      {slowest * 1e6:7.0f} us")


def _each(look_up: Callable[[str], object], order: list[str]) -> float:
    """Return the best time of one lookup in seconds."""
    repeats = timeit.repeat(lambda: [look_up(name) for name in order], number=1, repeat=20)
    return min(repeats) / len(order)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _weight(pool: Any, names: list[str]) -> float:
    """Return the size in bytes of the dicts and of one credential with its own objects."""
    parts = pool._parts
    dicts = sum(
        sys.getsizeof(value)
        for part in parts
        for value in vars(part).values()
        if isinstance(value, dict)
    )
    credential = pool.credential(names[0])
    own = sys.getsizeof(credential) + sum(
        sys.getsizeof(value)
        for slot in type(credential).__slots__
        if isinstance(value := getattr(credential, slot), float)
    )
    return dicts / len(names) + own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--entries", type=int, default=1_000_000)
    options = parser.parse_args()
    compare_hits(options.rounds)
    compare_sizes(options.entries)


if __name__ == "__main__":
    main()
