"""Measurements without a fault."""

from __future__ import annotations

from tests.benchmarks.mcp_faults.bench import MEASURED, Bench, Outcome


def first_login(bench: Bench) -> Outcome:
    """The first request of a new user, with the login."""
    bench.open_world()
    return _measured(bench)


def live_token(bench: Bench) -> Outcome:
    """The first request of a new process with a stored, live token."""
    bench.open_world()
    first = bench.start()
    bench.log_in(first)
    first.stop()
    return _measured(bench)


def _measured(bench: Bench) -> Outcome:
    """Return the number of requests and the CPU time of a process that sends one request."""
    record = bench.world.record
    before = len(record.entries())
    client = bench.start()
    if failed := bench.call(client):
        raise RuntimeError(failed[0])
    number = len(record.entries()) - before
    seconds = client.do("usage")
    requests = f"{number} request{'s' * (number != 1)}"
    return Outcome(MEASURED, f"{requests}, {seconds:.1f} s of CPU time")
