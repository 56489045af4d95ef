"""Scenarios in which a process ends, or cannot write, while it refreshes a token."""

from __future__ import annotations

import resource

from tests.benchmarks.mcp_faults.bench import Bench, Client, Outcome
from tests.benchmarks.mcp_faults.record import Forward, Reply
from tests.faults import Received


def killed(bench: Bench) -> Outcome:
    """A process is killed between the refresh response and saving it."""
    return _killed(bench, 0.0)


def killed_in_window(bench: Bench) -> Outcome:
    """The same, and the issuer accepts the old refresh token for 30 s more."""
    return _killed(bench, 30.0)


def full_disk(bench: Bench) -> Outcome:
    """The disk is full during a refresh, and no longer for the next request."""
    first = _with_full_disk(bench)
    text = bench.refreshed()
    bench.pass_time()
    bench.call(first)
    return bench.kept(text)


def full_disk_then_restart(bench: Bench) -> Outcome:
    """The same, and then the process is restarted."""
    _with_full_disk(bench).stop()
    bench.call(bench.start())
    return bench.kept(bench.refreshed())


def _killed(bench: Bench, reuse_window: float) -> Outcome:
    """Kill a process when it saves the response to a refresh, and start another process."""
    world = bench.open_world(reuse_window=reuse_window)
    first = bench.start()
    bench.log_in(first)
    bench.pass_time()
    first.do("die_at_limit")

    def respond(_received: Received, forward: Forward) -> Reply:
        reply = forward()
        resource.prlimit(first.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        return reply

    world.issuer.front.next["refresh"] = [respond]
    if not bench.call(first):
        raise RuntimeError("the process saved nothing after the refresh")
    first.stop()  # FastMCP's store writes in the kernel, which sends no signal
    bench.failures.clear()  # the killed process has no caller
    bench.requests = 0
    bench.call(bench.start())
    return bench.kept(bench.refreshed())


def _with_full_disk(bench: Bench) -> Client:
    """Return a client that could not save a refreshed token, and then sent another request."""
    bench.open_world()
    first = bench.start()
    bench.log_in(first)
    bench.pass_time()
    first.do("limit_files")
    bench.call(first)
    first.do("allow_files")
    bench.call(first)
    return first
