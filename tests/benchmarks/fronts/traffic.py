"""Requests at a fixed rate to several proxies at once, and the responses."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp

from tests.benchmarks.fronts.servers import REASON

_TIMEOUT = aiohttp.ClientTimeout(total=35)


class Target(NamedTuple):
    """The requests to one proxy.

    Attributes:
        url: Where they are sent.
        tenants: Names of the tenants, in turn.
    """

    url: str
    tenants: tuple[str, ...]


class Sample(NamedTuple):
    """The outcome of a request.

    Attributes:
        sent: Seconds after the begin at which it was sent.
        tenant: Its tenant.
        outcome: ``200``, the status of the proxy, a reason of the upstream, or ``no response``.
        seconds: How long it took.
    """

    sent: float
    tenant: str
    outcome: str
    seconds: float


class Traffic:
    """Sends requests to all targets at the same rate, independent of responses.

    Args:
        targets: The targets by name.
        rate: Requests per second to each of them.

    Attributes:
        samples: The outcomes by name of the target.
    """

    def __init__(self, targets: Mapping[str, Target], rate: float) -> None:
        self._targets, self._rate = targets, rate
        self.samples: dict[str, list[Sample]] = {name: [] for name in targets}
        self._began = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the begin."""
        return time.monotonic() - self._began

    async def run(self, seconds: float, *, stagger: float = 0.0) -> None:
        """Send requests.

        Args:
            seconds: How long to send them.
            stagger: Seconds between the first requests of two tenants.
        """
        self._began = time.monotonic()
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session:
            tasks = []
            for number in range(int(seconds * self._rate)):
                await asyncio.sleep(max(0.0, number / self._rate - self.elapsed))
                for name, target in self._targets.items():
                    index = number % len(target.tenants)
                    if self.elapsed < index * stagger:
                        continue
                    work = self._send(session, name, target.url, target.tenants[index])
                    tasks.append(asyncio.create_task(work))
            await asyncio.gather(*tasks)

    async def _send(self, session: aiohttp.ClientSession, name: str, url: str, tenant: str) -> None:
        sent = self.elapsed
        try:
            async with session.get(url, headers={"X-Tenant": tenant}) as response:
                await response.read()
                outcome = response.headers.get(REASON) or str(response.status)
        except (aiohttp.ClientError, TimeoutError):
            outcome = "no response"
        self.samples[name].append(Sample(sent, tenant, outcome, self.elapsed - sent))


def summary(samples: list[Sample], rate: float, ends: float) -> dict[str, Any]:
    """Return the failed requests, the longest duration, and how long failures last after a fault.

    Args:
        samples: The outcomes.
        rate: Requests per second.
        ends: Seconds after the begin at which the fault ends.
    """
    bad = [sample for sample in samples if sample.outcome != "200"]
    last = max((sample.sent for sample in bad), default=0.0)
    return {
        "requests": len(samples),
        "rate": rate,
        "failed": dict(Counter(sample.outcome for sample in bad)),
        "longest_s": round(max(sample.seconds for sample in samples), 2),
        "failed_after_s": round(max(0.0, last - ends), 2),
    }
