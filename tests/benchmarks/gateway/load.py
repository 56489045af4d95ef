"""Load generator for gateways, which checks every response.

Run ``python load.py``. One line on standard input contains the arguments of ``Load``. The program
prints ``started`` with the first request, and one line with the results at the end.

Requests are sent at a fixed rate, independent of responses. Latency is measured from the scheduled
time of a request, so pauses of the gateway are included (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import httptools

from tests.benchmarks.gateway.cores import pin

#: Seconds between two checks of the clock.
_TICK = 0.002
#: Seconds without requests to a gateway that refused a connection.
_AVOID = 1.0
#: Seconds to wait for responses after the last request.
_LAST = 5.0


class Sent:
    """A request without a response yet."""

    __slots__ = ("due", "number", "tenant")

    def __init__(self, number: int, tenant: str, due: float) -> None:
        self.number, self.tenant, self.due = number, tenant, due


class Connection(asyncio.Protocol):
    """A persistent connection to a gateway, for one request at a time."""

    def __init__(self, gateway: Gateway, first: Sent) -> None:
        self._gateway = gateway
        self.sent: Sent | None = first
        self._waits = False
        self._fresh()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._gateway.load.open.add(self)
        # Read at once: an overloaded gateway may respond before the request arrives.
        assert self.sent is not None
        self.send(self.sent)

    def send(self, sent: Sent) -> None:
        """Send a request."""
        self.sent = sent
        self.transport.write(
            b"GET /%d HTTP/1.1\r\nhost: gateway.test\r\nx-tenant: %b\r\nx-number: %d\r\n\r\n"
            % (sent.number, sent.tenant.encode(), sent.number)
        )

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, _value: bytes) -> None:
        self._waits = self._waits or name.lower() == b"retry-after"

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        sent, self.sent = self.sent, None
        assert sent is not None
        status, body, waits = self._parser.get_status_code(), self._body, self._waits
        stays = self._parser.should_keep_alive()
        self._fresh()
        self._gateway.load.answered(sent, status, body, waits)
        if stays:
            self._gateway.free(self)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gateway.lost(self)

    def _fresh(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body, self._waits = b"", False


class Gateway:
    """The connections to one gateway."""

    def __init__(self, load: Load, port: int) -> None:
        self.load, self.port = load, port
        self.avoided_until = 0.0
        self._idle: deque[Connection] = deque()

    def send(self, sent: Sent) -> None:
        """Send a request over an idle connection or a new one."""
        if self._idle:
            self._idle.popleft().send(sent)
        else:
            self.load.in_background(self._send_anew(sent))

    async def _send_anew(self, sent: Sent) -> None:
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: Connection(self, sent), "127.0.0.1", self.port
            )
        except OSError:
            self.avoided_until = time.monotonic() + _AVOID
            self.load.failed(sent, "connection refused")

    def free(self, connection: Connection) -> None:
        """Return a connection to the pool."""
        self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """Remove a closed connection."""
        self.load.open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if connection.sent is not None:
            self.avoided_until = time.monotonic() + _AVOID
            self.load.failed(connection.sent, "connection lost")


class Load:
    """The load generator.

    Args:
        ports: TCP ports of the gateways, used in turn. An unreachable gateway is skipped for a
            second, as by a load balancer.
        rate: Requests per second.
        seconds: Duration of the load.
        tenants: Number of tenants, chosen by a Zipf distribution with exponent 1.
        seed: Seed of the random choice.
        each_first: Number of requests per tenant, in order and at the same rate, before the load.
    """

    def __init__(
        self,
        ports: list[int],
        rate: float,
        seconds: float,
        tenants: int,
        seed: int = 1,
        *,
        each_first: int = 0,
    ) -> None:
        self._gateways = [Gateway(self, port) for port in ports]
        self._turn = itertools.cycle(self._gateways)
        self._rate, self._seconds = rate, seconds
        self._names = [f"t{number}" for number in range(tenants)]
        self._weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(tenants)))
        self._random = random.Random(seed)
        self._first = deque(name for name in self._names for _ in range(each_first))
        self._chosen: deque[str] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self.open: set[Connection] = set()
        self._waiting: set[Sent] = set()
        self._began = 0.0
        self._outcomes: Counter[str] = Counter()
        self._by_second: dict[int, Counter[str]] = {}
        self._latencies: list[float] = []
        self._seen: set[str] = set()

    async def run(self) -> dict[str, Any]:
        """Send all requests, and return the results."""
        self._began = time.monotonic()
        print(json.dumps({"started": self._began}), flush=True)
        total = int(self._rate * self._seconds)
        sent = 0
        while sent < total:
            due = int((time.monotonic() - self._began) * self._rate)
            for number in range(sent, min(due, total)):
                self._send(number)
            sent = max(sent, min(due, total))
            await asyncio.sleep(_TICK)
        for _ in range(int(_LAST / _TICK)):
            if not self._waiting:
                break
            await asyncio.sleep(_TICK)
        for each in list(self._waiting):
            self.failed(each, "no response")
        return self._told(total)

    def _send(self, number: int) -> None:
        sent = Sent(number, self._tenant(), self._began + number / self._rate)
        self._waiting.add(sent)
        self._seen.add(sent.tenant)
        now = time.monotonic()
        gateway = next(self._turn)
        for _ in self._gateways:
            if gateway.avoided_until <= now:
                break
            gateway = next(self._turn)
        gateway.send(sent)

    def _tenant(self) -> str:
        if self._first:
            return self._first.popleft()
        if not self._chosen:
            self._chosen.extend(
                self._random.choices(self._names, cum_weights=self._weights, k=1000)
            )
        return self._chosen.popleft()

    def answered(self, sent: Sent, status: int, body: bytes, waits: bool) -> None:
        """Classify a response."""
        echo = json.loads(body) if body.startswith(b"{") else {"error": body.decode()}
        if status != 200:
            pause = " with Retry-After" if waits else ""
            self._end(sent, f"{status} {echo.get('error', '')}{pause}")
        elif echo["number"] != str(sent.number):
            self._end(sent, "ANOTHER REQUEST'S ANSWER")
        elif echo["tenant"] != sent.tenant:
            self._end(sent, "ANOTHER TENANT'S TOKEN" if echo["tenant"] else "NO TOKEN")
        elif echo["ended"]:
            self._end(sent, "AN ENDED TOKEN")
        else:
            self._latencies.append(time.monotonic() - sent.due)
            self._end(sent, "ok")

    def failed(self, sent: Sent, reason: str) -> None:
        """Record a request without a response."""
        self._end(sent, reason)

    def _end(self, sent: Sent, outcome: str) -> None:
        if sent in self._waiting:
            self._waiting.discard(sent)
            self._outcomes[outcome] += 1
            second = int(sent.due - self._began)
            self._by_second.setdefault(second, Counter())[outcome] += 1

    def in_background(self, work: Any) -> None:
        """Run a coroutine as a task, and keep a reference to it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _told(self, total: int) -> dict[str, Any]:
        for each in list(self.open):
            each.transport.close()
        found = sorted(self._latencies) or [0.0]
        return {
            "sent": total,
            "outcomes": self._outcomes,
            "by_second": self._by_second,
            "tenants": len(self._seen),
            "median": found[len(found) // 2],
            "p99": found[len(found) * 99 // 100],
            "longest": found[-1],
        }


async def _main(spec: dict[str, Any]) -> None:
    print(json.dumps(await Load(**spec).run()), flush=True)
    await asyncio.sleep(0)


def main() -> None:
    """Run the load that standard input specifies."""
    spec = json.loads(sys.stdin.readline())
    pin(spec.pop("core", None))
    asyncio.run(_main(spec))


if __name__ == "__main__":
    main()
