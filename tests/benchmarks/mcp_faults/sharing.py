"""Scenarios in which tasks, processes and machines share a login."""

from __future__ import annotations

from tests.benchmarks.mcp_faults.bench import FAIR, Bench, Client, Outcome
from tests.benchmarks.mcp_faults.world import TOGETHER
from tests.valkey import valkey_server


def tasks(bench: Bench) -> Outcome:
    """64 tasks of one process send a request when the token has expired."""
    bench.open_world()
    client = bench.start()
    bench.log_in(client)
    bench.pass_time()
    bench.call(client, count=64)
    text = bench.refreshed()
    return _next_expiry(bench, text, client)


def processes(bench: Bench) -> Outcome:
    """8 running processes with 8 tasks each, which share the stored login."""
    bench.open_world()
    return _together(bench, [bench.start() for _ in range(8)])


def processes_same_host(bench: Bench) -> Outcome:
    """The same, with an issuer whose endpoints are on the resource's host."""
    bench.open_world(same_host=True)
    return _together(bench, [bench.start() for _ in range(8)])


def machines(bench: Bench) -> Outcome:
    """3 machines with 8 tasks each, which share a Valkey server."""
    bench.open_world()
    url = bench.enter(valkey_server()).url
    return _together(bench, [bench.start(redis=url) for _ in range(3)])


def machines_same_host(bench: Bench) -> Outcome:
    """The same, with an issuer whose endpoints are on the resource's host."""
    bench.open_world(same_host=True)
    url = bench.enter(valkey_server()).url
    return _together(bench, [bench.start(redis=url) for _ in range(3)])


def fresh(bench: Bench) -> Outcome:
    """A new process finds an expired token in the storage."""
    bench.open_world()
    return _fresh(bench)


def fresh_same_host(bench: Bench) -> Outcome:
    """The same, with an issuer whose endpoints are on the resource's host."""
    bench.open_world(same_host=True)
    return _fresh(bench)


def slow_requests(bench: Bench) -> Outcome:
    """8 concurrent requests whose responses take a while."""
    world = bench.open_world()
    client = bench.start()
    bench.log_in(client)
    bench.call(client, count=TOGETHER, tool="slow")
    found = bench.kept(f"{world.most} at the same time")
    return found if world.most == TOGETHER else found.at_most(FAIR)


def stream(bench: Bench) -> Outcome:
    """An event stream is open while the token is refreshed for other requests."""
    world = bench.open_world()
    client = bench.start()
    bench.log_in(client)
    opened = client.do("stream")
    bench.pass_time()
    bench.call(client, count=4)
    world.end_streams.set()
    events = client.do("events")
    if opened and events == 2:
        return bench.kept(bench.refreshed())
    return bench.kept(bench.refreshed(), "the stream ended early").at_most(FAIR)


def _together(bench: Bench, clients: list[Client]) -> Outcome:
    """Log in with the first process, and let all send requests when the token has expired."""
    first, *others = clients
    bench.log_in(first)
    for each in others:
        bench.call(each)
    bench.pass_time()
    bench.call(*clients, count=8)
    text = bench.refreshed()
    return _next_expiry(bench, text, *clients)


def _next_expiry(bench: Bench, text: str, *clients: Client) -> Outcome:
    """Let the token expire once more, which shows whether the login was kept."""
    bench.pass_time()
    for each in clients:
        if each.alive:
            bench.call(each)
    return bench.kept(text)


def _fresh(bench: Bench) -> Outcome:
    first = bench.start()
    bench.log_in(first)
    first.stop()
    bench.pass_time()
    bench.call(bench.start())
    return bench.kept(bench.refreshed())
