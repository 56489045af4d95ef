"""Lookups, memory and evictions of a credential pool with many tokens.

Run: ``python tests/benchmarks/pool.py [--entries N]``
"""

from __future__ import annotations

import argparse
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
    parser.add_argument("--entries", type=int, default=1_000_000)
    compare_sizes(parser.parse_args().entries)


if __name__ == "__main__":
    main()
