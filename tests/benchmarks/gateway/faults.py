"""Failed requests during faults, with two gateways under load that share a Valkey store.

Run: ``python tests/benchmarks/gateway/faults.py FAULT`` (two minutes each), or ``all``.
FAULT is one of: none, down, slow, busy, killed, killed-strict, valkey, secret

Tokens live for a minute, so a provider outage of 30 seconds is half of a token's lifetime, and at
any time some tokens are due for a refresh. The load is steady before, during and after the fault.
Every response is checked: the echo upstream returns the tenant of the request's token, as the
issuer knows it, and whether the token has expired. At the end, each tenant is requested once more
to detect lost tokens. The issuer gives each tenant a refresh token, accepts it once, and counts
repeated logins. With ``killed-strict`` it never accepts a refresh token twice; otherwise a replaced
one works for 30 seconds, the default of the embedded issuer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.benchmarks.gateway.cores import machine
from tests.benchmarks.gateway.machines import (
    Backend,
    GatewayProcess,
    backend,
    callers,
    finished,
    gateway,
    here,
    replace_secret,
    write_config,
)
from tests.valkey import ValkeyServer, valkey_server

LIFETIME = 60.0
#: Seconds over which the tenants are requested first: a token's time until refresh, so that some
#: are due for a refresh at any time.
COMING = 45.0
#: Seconds of load before and after the fault.
BEFORE, AFTER = 10.0, 25.0
#: Seconds between changing the secret at the provider and in the gateways' file.
ROTATION = 2.0


@dataclass
class Scene:
    """The processes that a fault can affect."""

    behind: Backend
    gateways: list[GatewayProcess]
    valkey: ValkeyServer
    folder: Path


def _for(seconds: float, begin: Callable[[], Any], end: Callable[[], Any]) -> None:
    begin()
    time.sleep(seconds)
    end()


def _none(_scene: Scene) -> None:
    """Nothing fails."""


def _down(scene: Scene) -> None:
    """The provider refuses connections for 30 s."""
    _for(30, partial(scene.behind.do, "down"), partial(scene.behind.do, "up"))


def _slow(scene: Scene) -> None:
    """The provider responds 5 s later, for 30 s."""
    slow = partial(scene.behind.do, "slow")
    _for(30, partial(slow, seconds=5), partial(slow, seconds=0))


def _busy(scene: Scene) -> None:
    """The provider responds with 429 and Retry-After: 5, for 30 s."""
    busy = partial(scene.behind.do, "busy")
    _for(30, partial(busy, retry_after=5), partial(busy, retry_after=0))


def _killed(scene: Scene) -> None:
    """One of two gateways is killed (SIGKILL)."""
    scene.gateways.pop().kill()


def _valkey(scene: Scene) -> None:
    """Valkey is killed and restarted."""
    scene.valkey.restart()


def _secret(scene: Scene) -> None:
    """The client's secret changes at the provider, and 2 s later in the gateways' file."""
    secret = scene.behind.do("rotate")
    time.sleep(ROTATION)
    replace_secret(scene.folder, secret)


FAULTS: dict[str, tuple[Callable[[Scene], None], float]] = {
    "none": (_none, 30.0),
    "down": (_down, 30.0),
    "slow": (_slow, 30.0),
    "busy": (_busy, 30.0),
    "killed": (_killed, 30.0),
    "killed-strict": (_killed, 0.0),
    "valkey": (_valkey, 30.0),
    "secret": (_secret, 30.0),
}


def play(name: str, rate: float, tenants: int) -> str:
    """Run one fault, and return its row of the table."""
    fault, reuse_window = FAULTS[name]
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        valkey = running.enter_context(valkey_server())
        behind = running.enter_context(
            backend(folder, lifetime=LIFETIME, reuse_window=reuse_window)
        )
        config = write_config(folder, behind, store=valkey.url)
        gateways = [running.enter_context(gateway(config)) for _ in range(2)]
        scene = Scene(behind, list(gateways), valkey, folder)
        common: dict[str, Any] = {"tenants": tenants, "ports": [each.port for each in gateways]}
        with callers(rate=tenants / COMING, seconds=COMING, each_first=1, **common) as program:
            warm = finished(program, COMING)["outcomes"]
        assert set(warm) == {"ok"}, warm
        seconds = BEFORE + AFTER + (30 if name in {"down", "slow", "busy"} else 5)
        # Exclude the initial token requests. Tenants with refreshes have logged in.
        logins = behind.do("report")["logins"]
        behind.do("clear")
        began = time.monotonic()
        with callers(rate=rate, seconds=seconds, **common) as program:
            time.sleep(max(0.0, began + BEFORE - time.monotonic()))
            begins = time.monotonic() - began
            fault(scene)
            found = finished(program, seconds)
        common["ports"] = [each.port for each in scene.gateways]
        most = max(Counter(int(when) for when, _ in behind.do("report")["asked"]).values())
        first = tenants / rate
        with callers(rate=rate, seconds=first, each_first=1, **common) as program:
            last = finished(program, first)["outcomes"]
        report = behind.do("report")
    again = sum(1 for tenant in report["logins"] if tenant in logins)
    return _line(fault, found, begins, (again, f"{last.get('ok', 0)} of {tenants}", most))


def _line(
    fault: Callable[[Scene], None],
    found: dict[str, Any],
    begins: float,
    after: tuple[object, ...],
) -> str:
    outcomes = Counter(found["outcomes"])
    failures = {what: n for what, n in outcomes.items() if what != "ok" and what != what.upper()}
    wrong = {what: n for what, n in outcomes.items() if what != "ok" and what == what.upper()}
    failing = [int(s) for s, each in found["by_second"].items() if set(each) != {"ok"}]
    when = ""
    if failing:
        when = f" ({min(failing) - begins:+.0f} to {max(failing) + 1 - begins:+.0f} s)"
    columns = (
        (fault.__doc__ or "").strip(". "),
        found["sent"],
        "; ".join(f"{n} x {what}" for what, n in failures.items()) + when or "0",
        "; ".join(f"{n} x {what}" for what, n in wrong.items()) or "0",
        *after,
        f"{found['median'] * 1e3:.0f} / {found['p99'] * 1e3:.0f} / {found['longest'] * 1e3:.0f}",
    )
    return f"| {' | '.join(map(str, columns))} |"


def main() -> None:
    """Run one fault, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fault", choices=[*FAULTS, "all"])
    parser.add_argument("--rate", type=float, default=150.0)
    parser.add_argument("--tenants", type=int, default=500)
    options = parser.parse_args()
    print(machine())
    here()
    print(
        f"\n{options.tenants} tenants, zipf, {options.rate:g} requests/s in turns to two gateways "
        f"that share Valkey; tokens live {LIFETIME:g} s.\n"
    )
    columns = (
        "fault",
        "requests",
        "failed, by reason (seconds from the fault's beginning)",
        "with another tenant's token, an expired one, or none",
        "tenants that had to log in again",
        "served at the end",
        "most requests for tokens in a second",
        "latency: median / p99 / longest, ms",
    )
    print(f"| {' | '.join(columns)} |")
    print("|---|--:|---|--:|--:|--:|--:|--:|")
    for name in FAULTS if options.fault == "all" else [options.fault]:
        print(play(name, options.rate, options.tenants), flush=True)


if __name__ == "__main__":
    main()
