"""Responses of the proxies while the provider, the gateway or a token fails.

In each case, all proxies run at the same time with one gateway and one provider, and the requests
to each proxy have a separate tenant. The upstream rejects expired, revoked and missing tokens,
and says why.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import requests

from tests.benchmarks.fronts.candidates import (
    HOST,
    TENANTS,
    Setup,
    candidates,
    gateway_ports,
    write_file,
)
from tests.benchmarks.fronts.servers import Provider, Upstream
from tests.benchmarks.fronts.speed import OWN
from tests.benchmarks.fronts.traffic import Sample, Target, Traffic, summary
from tests.benchmarks.gateway.machines import GATEWAY_CORE, gateway
from tests.faults import free_port
from tests.plugins.gateway.servers import asgi_server
from tests.waiting import PATIENCE, until

#: Requests per second to each proxy.
RATE = 20.0
_ALL = tuple(f"t{number}" for number in range(TENANTS))


class _Scene(NamedTuple):
    """The servers of a case."""

    provider: Provider
    file: Path
    stack: ExitStack
    gateways: list[Any]
    traffic: Traffic

    def restart(self) -> None:
        """Stop the gateway with SIGTERM, and start it again."""
        os.kill(self.gateways[-1].pid, signal.SIGTERM)
        os.waitid(os.P_PID, self.gateways[-1].pid, os.WEXITED | os.WNOWAIT)
        self.start()

    def start(self) -> None:
        """Start the gateway."""
        self.gateways.append(self.stack.enter_context(gateway(self.file, core=GATEWAY_CORE)))

    def remove_tenants(self) -> None:
        """Remove all tenants from the file, and let the gateway read it again."""
        lines = self.file.read_text().splitlines()
        self.file.write_text("\n".join(line for line in lines if not line.startswith("[tenants")))
        url = f"http://{HOST}:{self.gateways[-1].admin}/reload"
        urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=30).close()


class Case(NamedTuple):
    """A fault.

    Attributes:
        title: What fails.
        lifetime: Lifetime of tokens in seconds.
        begins, ends: Seconds at which the fault begins and ends.
        seconds: Duration of the requests.
        begin, end: What happens then.
        down: Whether the provider is down at the start.
        many: Whether each proxy gets requests of all tenants, which start after another.
        rate: Requests per second to each proxy.
    """

    title: str
    lifetime: int
    begins: float
    ends: float
    seconds: float
    begin: Callable[[_Scene], object]
    end: Callable[[_Scene], object] = lambda _scene: None
    down: bool = False
    many: bool = False
    rate: float = RATE


def _up(scene: _Scene) -> None:
    scene.provider.up()


def _down(scene: _Scene) -> None:
    scene.provider.down()


def _set(**values: Any) -> Callable[[_Scene], None]:
    def change(scene: _Scene) -> None:
        for name, value in values.items():
            setattr(scene.provider, name, value)

    return change


CASES = {
    "down at start": Case(
        "the provider is down at the start, for 4 s", 3600, 4, 4, 16, _up, down=True
    ),
    "down at expiry": Case(
        "the provider is down for 12 s, and 10-second tokens expire", 10, 2, 14, 22, _down, _up
    ),
    "slow": Case(
        "the provider takes 2 s from the second token on; tokens live 8 s",
        8, 1, 14, 14, _set(delay=2.0),
    ),
    "rejected client": Case(
        "the provider answers `invalid_client` for 12 s, and 10-second tokens expire",
        10, 2, 14, 22, _set(rejecting=True), _set(rejecting=False),
    ),
    "expiry": Case("tokens live 3 s", 3, 0, 0, 12, lambda _scene: None, rate=50.0),
    "revoked token": Case(
        "the provider revokes all tokens, which live an hour",
        3600, 2, 2, 10, lambda scene: scene.provider.revoke(),
    ),
    "removed tenants": Case(
        "ten tenants are removed from the gateway's file",
        3600, 7, 7, 13, _Scene.remove_tenants, many=True, rate=100.0,
    ),
    "restarted gateway": Case("the gateway restarts", 3600, 2, 2, 10, _Scene.restart),
}  # fmt: skip


def measure(names: list[str]) -> dict[str, dict[str, Any]]:
    """Return the results by case and name of the proxy."""
    return {name: asyncio.run(_measure(CASES[name])) for name in names}


async def _measure(case: Case) -> dict[str, Any]:
    fronts = {
        name: front
        for name, front in candidates().items()
        if front.base and not front.base.endswith(" of Debian")  # it behaves as the other nginx
    }
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        provider = Provider(case.lifetime)
        stack.callback(provider.down)
        upstream = stack.enter_context(asgi_server(Upstream(provider)))
        ports = {"upstream": int(upstream.rpartition(":")[2]), **gateway_ports()}
        if not case.down:
            provider.up()
        file = write_file(folder, provider, ports)
        setup = Setup(file, provider, ports["upstream"])
        targets: dict[str, Target] = {}
        scene = _Scene(provider, file, stack, [], Traffic(targets, case.rate))
        scene.start()
        own = f"http://{HOST}:{ports['listen']}/orders"
        targets[OWN] = Target(own, _ALL if case.many else _ALL[:1])
        for number, (name, front) in enumerate(fronts.items(), 1):
            port, files = free_port(), folder / str(number)
            files.mkdir()
            stack.enter_context(front.run(setup, files, port))
            url = f"http://{HOST}:{port}{front.path}"
            until(partial(_ready, url))
            targets[name] = Target(url, _ALL if case.many else (_ALL[number],))
        scene.traffic.samples.update({name: [] for name in targets})
        stagger = 0.4 if case.many else 0.0
        changes = asyncio.create_task(_change(case, scene))
        await scene.traffic.run(case.seconds, stagger=stagger)
        changed = await changes
    return {
        name: summary(samples, case.rate, changed[-1]) | _stale(case, samples, changed[0])
        for name, samples in scene.traffic.samples.items()
    }


def _ready(url: str) -> bool:
    """Return whether a proxy forwards. Traefik listens before it loads its routers."""
    return requests.get(url, timeout=PATIENCE).status_code != HTTPStatus.NOT_FOUND


async def _change(case: Case, scene: _Scene) -> list[float]:
    """Begin and end the fault, and return the seconds after which that was done."""
    done = []
    for at, change in ((case.begins, case.begin), (case.ends, case.end)):
        await asyncio.sleep(max(0.0, at - scene.traffic.elapsed))
        await asyncio.to_thread(change, scene)
        done.append(scene.traffic.elapsed)
    return done


def _stale(case: Case, samples: list[Sample], removed: float) -> dict[str, Any]:
    """Return for how many seconds each tenant's requests were forwarded after its removal."""
    if case.begin is not _Scene.remove_tenants:
        return {}
    last = dict.fromkeys(_ALL, removed)
    for sample in samples:
        if sample.outcome == "200":
            last[sample.tenant] = max(last[sample.tenant], sample.sent)
    return {"stale_s": sorted(round(each - removed, 2) for each in last.values())}
