"""What fails when something fails, with two gateways under load that share Valkey.

Run: ``python tests/benchmarks/gateway/faults.py FAULT`` (two minutes each), or ``all`` of them.
FAULT is one of: none, down, slow, busy, killed, killed-strict, valkey, secret

A token lives for a minute, so that the half minute for which the provider is down is half of a
token's life; at any time, some tokens are about to be renewed. The load is steady before the fault
begins; then it goes on until the fault is over and some time after. Each answer is looked at: the
echo behind tells whose token came with the request, as the issuer knows it, and whether it has
ended. At last each tenant is asked for once more: what was lost would show there. The issuer gives
each tenant a refresh token, takes it once, and counts who has to log in again: with
``killed-strict`` it never takes one twice; else the one that was just replaced works for 30
seconds, which is the embedded issuer's default.
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
#: Seconds over which the tenants come first: as long as a token is used, so that some are about to
#: be renewed at any time.
COMING = 45.0
#: Seconds of load before the fault, and after it.
BEFORE, AFTER = 10.0, 25.0
#: Seconds between the provider's taking another secret and its standing in the gateways' file.
ROTATION = 2.0


@dataclass
class Scene:
    """What a fault may touch."""

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
    """The provider answers 5 s later, for 30 s."""
    slow = partial(scene.behind.do, "slow")
    _for(30, partial(slow, seconds=5), partial(slow, seconds=0))


def _busy(scene: Scene) -> None:
    """The provider answers 429 with Retry-After: 5, for 30 s."""
    busy = partial(scene.behind.do, "busy")
    _for(30, partial(busy, retry_after=5), partial(busy, retry_after=0))


def _killed(scene: Scene) -> None:
    """One of two gateways is killed (SIGKILL)."""
    scene.gateways.pop().kill()


def _valkey(scene: Scene) -> None:
    """Valkey is killed and started again."""
    scene.valkey.restart()


def _secret(scene: Scene) -> None:
    """The provider takes another secret only; it stands in the file 2 s later."""
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
    """One fault; the line of the table."""
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
        # What was asked for at the beginning says nothing; who has logged in is told by refreshes.
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
        told = behind.do("report")
    again = sum(1 for tenant in told["logins"] if tenant in logins)
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
    """Play one fault, or all."""
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
        "with another tenant's token, an ended one, or none",
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
