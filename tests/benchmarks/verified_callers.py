"""Cost of verifying a caller by its access token, a JWT of about 800 characters.

Run: ``python tests/benchmarks/verified_callers.py [--calls N] [--rounds N]``

Prints the processor time of the fastest round in microseconds: a token that was seen before, from
a thread and in an event loop; the same with its DPoP proof, which is new for each request; a token
that is seen for the first time; and a token that was rejected before. The first two must be at most
5.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from grantway_plugins.gateway.upstream import RequestContext
from grantway_plugins.resource import (
    AcceptedIssuer,
    AccessDeniedError,
    ProtectedResource,
    Requirement,
)
from grantway_plugins.testing import WorkloadIssuer
from tests.plugins.server.proofs import KEY, proof

LIMIT = 5.0
API = "https://api.example.com"
NEEDED = Requirement(scopes=("orders:read",))


def request(authorization: str, dpop: str = "") -> RequestContext:
    """Return a request to the resource."""
    headers = {"authorization": [authorization], **({"dpop": [dpop]} if dpop else {})}
    return RequestContext("api.example.com", "/orders", headers.get, method="GET")


def measured(call: Callable[[], object], calls: int) -> float:
    """Return the processor time of one call in microseconds."""
    began = time.thread_time()
    for _ in range(calls):
        call()
    return (time.thread_time() - began) / calls * 1e6


class Cases:
    """The requests of all rows.

    Args:
        issuer: The issuer of the tokens.
        calls: Calls of one round.
        rounds: Number of rounds.
    """

    def __init__(self, issuer: WorkloadIssuer, calls: int, rounds: int) -> None:
        self.resource = ProtectedResource(API, [AcceptedIssuer(issuer.url)])
        self.calls, few = calls, max(1, calls // 50)
        self.few = few
        claims: dict[str, Any] = {"scope": "orders:read", "org_id": "acme", "filler": "x" * 350}

        def token(**more: Any) -> str:
            return issuer.token("ann", API, header={"typ": "at+jwt"}, **{**claims, **more})

        self.known = request(f"Bearer {token()}")
        self.rejected = request(f"Bearer {token(lifetime=-60)}")
        bound = token(cnf={"jkt": KEY.thumbprint()})
        self.bound = iter(
            [
                request(f"DPoP {bound}", proof(f"{API}/orders", htm="GET", token=bound))
                for _ in range(few * rounds)
            ]
        )
        self.new: Iterator[RequestContext] = cycle(
            [request(f"Bearer {token(jti=str(number))}") for number in range(few * rounds)]
        )

    def seen(self) -> float:
        """A token that was seen before, from a thread."""
        return measured(lambda: self.resource.verify(self.known, NEEDED), self.calls)

    def seen_async(self) -> float:
        """A token that was seen before, in an event loop."""

        async def run() -> float:
            began = time.thread_time()
            for _ in range(self.calls):
                await self.resource.verify_async(self.known, NEEDED)
            return (time.thread_time() - began) / self.calls * 1e6

        return asyncio.run(run())

    def with_proof(self) -> float:
        """A known token with a new proof."""
        return measured(lambda: self.resource.verify(next(self.bound), NEEDED), self.few)

    def first(self) -> float:
        """A token that is seen for the first time."""
        return measured(lambda: self.resource.verify(next(self.new), NEEDED), self.few)

    def rejected_before(self) -> float:
        """A token that was rejected before."""

        def call() -> None:
            try:
                self.resource.verify(self.rejected, NEEDED)
            except AccessDeniedError:
                return
            raise AssertionError("the token was accepted")

        return measured(call, self.few)


def main() -> None:
    """Run the benchmark, print the results, and fail if the limit is exceeded."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with WorkloadIssuer() as issuer:
        cases = Cases(issuer, options.calls, options.rounds)
        cases.resource.verify(cases.known, NEEDED)
        rows = {
            "seen before": cases.seen,
            "seen before, event loop": cases.seen_async,
            "seen before, with a new DPoP proof": cases.with_proof,
            "seen for the first time": cases.first,
            "rejected before": cases.rejected_before,
        }
        took = {name: min(row() for _ in range(options.rounds)) for name, row in rows.items()}
    for name, microseconds in took.items():
        print(f"{name:36}{microseconds:8.1f}")
    if max(took["seen before"], took["seen before, event loop"]) > LIMIT:
        sys.exit(f"A token that was seen before must take at most {LIMIT:g} microseconds.")


if __name__ == "__main__":
    main()
