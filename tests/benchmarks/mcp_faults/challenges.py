"""Scenarios in which the resource rejects a request, or sends an unusual challenge."""

from __future__ import annotations

from tests.benchmarks.mcp_faults.bench import BAD, GOOD, Bench, Outcome
from tests.benchmarks.mcp_faults.refreshing import requested_scope, stepped_up
from tests.benchmarks.mcp_faults.world import SCOPES


def revoked(bench: Bench) -> Outcome:
    """The resource rejects a live token with 401."""
    world = bench.open_world()
    client = bench.start()
    bench.log_in(client)
    world.reject_last_token()
    bench.call(client, count=4)
    return bench.kept(bench.refreshed())


def step_up(bench: Bench) -> Outcome:
    """16 concurrent requests need another scope (403)."""
    bench.open_world()
    client = bench.start()
    bench.log_in(client)
    bench.call(client, count=16, tool="write")
    return stepped_up(bench)


def step_up_after_restart(bench: Bench) -> Outcome:
    """A new process with the stored login needs another scope."""
    bench.open_world()
    client = bench.start()
    bench.log_in(client)
    client.stop()
    bench.call(bench.start(), tool="write")
    return stepped_up(bench)


def always_403(bench: Bench) -> Outcome:
    """The resource rejects a request with 403 whatever its token's scope; 3 requests."""
    bench.open_world()
    client = bench.start()
    bench.log_in(client)
    for _ in range(3):
        bench.call(client, tool="admin")
    return _bounded(bench)


def always_401(bench: Bench) -> Outcome:
    """The resource rejects every token with 401; 3 requests."""
    world = bench.open_world()
    client = bench.start()
    bench.log_in(client)
    world.accepts = False
    for _ in range(3):
        bench.call(client)
    return _bounded(bench)


def two_challenges(bench: Bench) -> Outcome:
    """The header also has a challenge of another scheme."""
    return _challenged(bench, 'Basic realm="files", Bearer {}')


def quoted_scope(bench: Bench) -> Outcome:
    """The same, with `scope=` in a quoted string of the other challenge."""
    return _challenged(bench, 'Basic realm="files, scope=all", Bearer {}')


def without_token(bench: Bench) -> Outcome:
    """The resource answers with 200 without a token."""
    world = bench.open_world()
    world.open = True
    bench.call(bench.start())
    logins, failed = bench.logins(0), len(bench.failures)
    text = f"failed ({', '.join(bench.errors())})" if failed else "no login"
    return Outcome(BAD if logins or failed else GOOD, text, logins, failed, bench.failures)


def _challenged(bench: Bench, challenge: str) -> Outcome:
    """Return the outcome of the first login after a challenge."""
    bench.open_world().challenge = challenge
    bench.call(bench.start())
    asked = requested_scope(bench)
    found = bench.kept(f"requests {asked}")
    return found if asked == SCOPES["read"] else found.at_most(BAD)


def _bounded(bench: Bench) -> Outcome:
    """Return the outcome of requests that no login can help."""
    logins, sent = bench.logins(), bench.world.record.misdirected()
    calls = len(bench.world.record.entries("call")) - 2
    text = "; ".join([f"{logins} login{'s' * (logins != 1)}", f"{calls} requests", *sent])
    good = logins <= 1 and not sent and len(bench.failures) == bench.requests
    failures = sorted(set(bench.failures))
    return Outcome(GOOD if good else BAD, text, logins, len(bench.failures), failures)
