"""Scenarios in which a refresh fails, or its response is unusual."""

from __future__ import annotations

import threading

from tests.benchmarks.mcp_faults import acts
from tests.benchmarks.mcp_faults.bench import BAD, Bench, Outcome
from tests.benchmarks.mcp_faults.record import Fault
from tests.benchmarks.mcp_faults.world import HOUR, SCOPES

#: Seconds for which the issuer is down.
_DOWN = 1.0


def _once(bench: Bench, fault: Fault, reuse_window: float = 0.0) -> Outcome:
    """Let the first refresh request fail, and let the token expire once more."""
    world = bench.open_world(reuse_window=reuse_window)
    client = bench.start()
    bench.log_in(client)
    bench.pass_time()
    world.issuer.front.next["refresh"] = [fault]
    bench.call(client)
    bench.call(client)
    text = bench.refreshed()
    bench.pass_time()
    bench.call(client)
    return bench.kept(text)


def unavailable(bench: Bench) -> Outcome:
    """The issuer answers a refresh with 503."""
    return _once(bench, acts.status(503))


def limited(bench: Bench) -> Outcome:
    """The issuer answers a refresh with 429 and `Retry-After: 1`."""
    return _once(bench, acts.status(429, Retry_After="1"))


def refused(bench: Bench) -> Outcome:
    """The issuer refuses connections for a second."""
    world = bench.open_world()
    client = bench.start()
    bench.log_in(client)
    bench.pass_time()
    world.issuer.front.stop()
    restart = threading.Timer(_DOWN, world.issuer.front.start)
    restart.start()
    bench.call(client)
    restart.join()
    bench.call(client)
    text = bench.refreshed()
    bench.pass_time()
    bench.call(client)
    return bench.kept(text)


def lost(bench: Bench) -> Outcome:
    """The response to a refresh is lost."""
    return _once(bench, acts.lost)


def lost_in_window(bench: Bench) -> Outcome:
    """The same, and the issuer accepts the old refresh token for 30 s more."""
    return _once(bench, acts.lost, 30.0)


def no_refresh_token(bench: Bench) -> Outcome:
    """The response to a refresh has no new refresh token."""
    world = bench.open_world(reuse_window=HOUR, access_token=600.0)
    client = bench.start()
    bench.log_in(client)
    bench.pass_time(601)
    world.issuer.front.next["refresh"] = [acts.change(refresh_token=None)]
    bench.call(client)
    bench.pass_time(601)
    bench.call(client)
    return bench.kept(bench.refreshed())


def no_scope(bench: Bench) -> Outcome:
    """The response to a refresh has no scope; later, a request needs another scope."""
    world = bench.open_world()
    client = bench.start()
    bench.log_in(client)
    bench.pass_time()
    world.issuer.front.next["refresh"] = [acts.change(scope=None)]
    bench.call(client)
    client.stop()
    bench.call(bench.start(), tool="write")
    return stepped_up(bench)


def no_lifetime(bench: Bench) -> Outcome:
    """The response to a refresh has no `expires_in`, and the new token expires."""
    world = bench.open_world()
    client = bench.start()
    bench.log_in(client)
    bench.pass_time()
    world.issuer.front.next["refresh"] = [acts.change(expires_in=None)]
    bench.call(client)
    bench.pass_time()
    bench.call(client)
    return bench.kept(bench.refreshed())


def deleted_client(bench: Bench) -> Outcome:
    """The issuer has deleted the client's registration."""
    world = bench.open_world()
    client = bench.start()
    bench.log_in(client)
    bench.pass_time()
    world.issuer.forget_clients()
    bench.call(client)
    bench.call(client)
    return bench.kept(logins=1)


def expired_registration(bench: Bench) -> Outcome:
    """The client's registration has expired, as its response announced."""
    bench.open_world(registration=2 * HOUR)
    client = bench.start()
    bench.log_in(client)
    bench.pass_time(2 * HOUR + 1)
    bench.call(client)
    bench.call(client)
    return bench.kept(logins=1)


def clock_set_back(bench: Bench) -> Outcome:
    """The client's clock is set back by 5 minutes after the login."""
    bench.open_world()
    client = bench.start(wrong=300)
    bench.log_in(client)
    client.do("clock", wrong=0)
    bench.pass_time(HOUR + 10)
    bench.call(client)
    return bench.kept(bench.refreshed())


def stepped_up(bench: Bench) -> Outcome:
    """Return the outcome of requests that need another scope, which one login should get."""
    asked = requested_scope(bench)
    found = bench.kept(f"requests {asked}", logins=1)
    wanted = " ".join(sorted([SCOPES["read"], SCOPES["write"]]))
    return found if asked == wanted else found.at_most(BAD)


def requested_scope(bench: Bench) -> str:
    """Return the scope of the last login, sorted."""
    logins = bench.world.record.logins()
    return " ".join(sorted(logins[-1].query.get("scope", "").split())) if logins else "no scope"
