"""Processes and machines that log in to one resource by its URL, and share the login."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from grantway_plugins.auth import ResourceAuth
from tests import forked
from tests.fleet.conftest import LEASE
from tests.fleet.machines import StoreOptions
from tests.fleet.worker import open_store
from tests.interop.program import Program
from tests.plugins.auth.sites import Issuer, Logins, Site
from tests.valkey import ValkeyServer
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[2]
_WORKER = Path(__file__).with_name("resource_worker.py")
CODE, REFRESH = "authorization_code", "refresh_token"
MACHINES, PROCESSES, THREADS = 3, 8, 8


class _Forked(forked.Popen):
    """A process forked after importing the worker's modules."""

    preloaded = (
        "tests.fleet.worker",
        "tests.plugins.auth.sites",
        "grantway_plugins.auth._resource.resource_auth",
        "grantway_plugins.stores.file._store",
        "grantway_plugins.stores.redis._store",
        "grantway_plugins.stores.sql._store",
        "sqlalchemy.dialects.postgresql.psycopg",
        "psycopg",
    )


@pytest.fixture
def issuer() -> Iterator[Issuer]:  # type: ignore[override] # another issuer than that of fleets
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def site(issuer: Issuer) -> Iterator[Site]:
    with Site(issuer) as site:
        site.required["/mcp/write"] = {"write"}
        yield site


class Workers:
    """Running processes."""

    def __init__(self, programs: list[Program]) -> None:
        self._programs = programs
        self.logins = 0

    def send(self, path: str = "") -> list[int]:
        """Send a request in every thread of all processes at once, and return the statuses."""
        self.start(path)
        return self.finish()

    def start(self, path: str = "") -> None:
        """Start to send requests."""
        for each in self._programs:
            each.write_json(path)

    def finish(self) -> list[int]:
        """Return the statuses of the requests."""
        results = [each.read_json() for each in self._programs]
        self.logins = sum(each["logins"] for each in results)
        return [status for each in results for status in each["statuses"]]


@contextmanager
def workers(site: Site, store: StoreOptions, number: int) -> Iterator[Workers]:
    """Run processes that share a store."""
    env = {**os.environ, "PYTHONPATH": str(_ROOT), "NO_PROXY": "127.0.0.1"}
    with ExitStack() as running:
        programs = [
            running.enter_context(Program([sys.executable, _WORKER], env=env, start=_Forked))
            for _ in range(number)
        ]
        for each in programs:
            each.write_json({"url": site.mcp, "store": store, "threads": THREADS})
        for each in programs:
            each.read_json()
        yield Workers(programs)


@pytest.fixture(params=["file", "sqlite", "redis", "sql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[StoreOptions, int]:
    """A store, and the number of processes that share it."""
    if request.param == "file":
        return ("file", {"folder": str(tmp_path / "tokens")}), PROCESSES
    if request.param == "sqlite":
        return ("sql", {"url": f"sqlite:///{tmp_path / 'tokens.sqlite3'}"}), PROCESSES
    server: Any = request.getfixturevalue({"redis": "valkey", "sql": "postgres"}[request.param])
    return (request.param, {"url": server.url, "timeout": 10.0}), MACHINES


def expire(site: Site, options: StoreOptions) -> None:
    """Let the stored token expire."""
    store: Any = open_store(*options)
    auth = ResourceAuth(site.mcp, client_name="fleet", store=store)
    token, session = auth.token(), auth._tokens.sessions.session
    assert session is not None
    store.save(session.credential.key, replace(token, expires_at=time.time() - 1))
    getattr(store, "close", lambda: None)()


def test_one_login_one_refresh_and_one_step_up(
    site: Site, issuer: Issuer, shared: tuple[StoreOptions, int]
) -> None:
    options, number = shared
    everything = [200] * number * THREADS
    with workers(site, options, number) as running:
        assert running.send() == everything
        assert (running.logins, issuer.count("/register")) == (1, 1)
    expire(site, options)
    with workers(site, options, number) as running:
        assert running.send() == everything
        assert (running.logins, issuer.count("/token", REFRESH)) == (0, 1)
        # Each process holds the token, which is revoked now.
        site.rejected.update(site.tokens)
        assert running.send() == everything
        assert (running.logins, issuer.count("/token", REFRESH)) == (0, 2)
        assert running.send("/write") == everything
        assert running.logins == 1
        with Issuer() as other:
            site.issuer = other
            assert running.send() == everything
            assert other.count("/token", CODE) == 1
        assert running.logins == 2
    assert {each.status for each in issuer.received if each.path == "/token"} == {200}


@pytest.mark.parametrize("shared", ["file"], indirect=True)
def test_a_process_that_waits_for_a_killed_one_logs_in(
    site: Site, shared: tuple[StoreOptions, int]
) -> None:
    options, _ = shared
    store: Any = open_store(*options)
    auth = ResourceAuth(site.mcp, client_name="fleet", store=store)
    key = auth._tokens.sessions.settings.key
    holding = Program([sys.executable, "-c", _HOLD, key, options[1]["folder"]])
    with workers(site, options, 1) as running, holding as holder:
        assert holder.read_line() == "held\n"
        running.start()
        holder.stop()
        assert running.finish() == [200] * THREADS
    assert running.logins == 1


@pytest.mark.parametrize("path", ["", "/write"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_login_after_a_suspension_does_not_replace_the_newer_one(
    site: Site, valkey: ValkeyServer, place: str, path: str
) -> None:
    """The lease of the lock expires while the machine that logs in is suspended."""
    options = {"url": valkey.url, "timeout": 10.0, "lease": LEASE}
    command = [sys.executable, "-c", _SUSPENDED, site.mcp, json.dumps(options), place]
    shared: Any = open_store("redis", options)
    with closing(shared) as store, Program(command, cwd=_ROOT) as late:
        auth = ResourceAuth(site.mcp, client_name="fleet", login=Logins(), store=store)
        assert late.read_line() == "begun\n"
        os.kill(late.pid, signal.SIGSTOP)
        try:
            send = partial(requests.get, f"{site.mcp}{path}", auth=auth, timeout=PATIENCE)
            assert send().status_code == 200
            newer = auth.token()
        finally:
            os.kill(late.pid, signal.SIGCONT)
        late.write_json("proceed")
        assert late.read_json() == 200
        fresh = ResourceAuth(site.mcp, client_name="fleet", store=store)
        assert fresh.token() == newer
        assert send().status_code == 200
        assert auth.token() == newer
        auth.close()
        fresh.close()


_SUSPENDED = """
import json, sys
import requests
from grantway_plugins.auth import ResourceAuth
from tests.fleet.worker import open_store
from tests.plugins.auth.sites import Logins

url, options, place = sys.argv[1:]
logins = Logins()

def pause():
    print("begun", flush=True)
    sys.stdin.readline()

def login(client, **given):
    place == "before" and pause()
    token = logins(client, **given)
    place == "after" and pause()
    return token

store = open_store("redis", json.loads(options))
auth = ResourceAuth(url, client_name="fleet", login=login, store=store)
print(requests.get(url, auth=auth, timeout=60).status_code, flush=True)
auth.close()
store.close()
"""
_HOLD = """
import sys, time
from tests.fleet.worker import open_store
key, folder = sys.argv[1:]
with open_store("file", {"folder": folder}).lock(key, 10):
    print("held", flush=True)
    time.sleep(600)
"""
