"""A process that forks while it uses a resource, or exits during a login."""

from __future__ import annotations

import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.program import Program
from tests.plugins.auth.sites import Site

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[4]
_BEGIN = """
import json, os, signal, sys, threading
import requests
from grantway_plugins.auth import ResourceAuth
from tests.plugins.auth.sites import Logins, folder_store

url, folder = sys.argv[1:]
logins = Logins()
auth = ResourceAuth(url, client_name="fork", login=logins, store=folder_store(folder))

def get():
    return requests.get(url, auth=auth, timeout=60).status_code

def say(line):
    os.write(1, f"{line}\\n".encode())  # print writes the line and its end separately

def in_child(function):
    child = os.fork()
    if not child:
        signal.alarm(60)
        os._exit(0 if function() == 200 else 1)
    return child
"""


@contextmanager
def program(code: str, site: Site, folder: Path) -> Iterator[Program]:
    """Run a program that imports what the tests import."""
    text = _BEGIN + textwrap.dedent(code)
    with Program([sys.executable, "-c", text, site.mcp, str(folder)], cwd=ROOT) as running:
        yield running


def test_forked_children_share_the_login(site: Site, tmp_path: Path) -> None:
    code = """
    assert get() == 200
    children = [in_child(get) for _ in range(4)]
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    print(get(), len(logins.calls), flush=True)
    """
    with program(code, site, tmp_path) as running:
        assert running.read_line() == "200 1\n"
    assert len(site.tokens) == 1


def test_a_child_forked_during_a_login_uses_its_token(site: Site, tmp_path: Path) -> None:
    code = """
    begun, finish = threading.Event(), threading.Event()
    logins.begin = lambda: (begun.set(), finish.wait(60))
    waiting = threading.Thread(target=get)
    waiting.start()
    begun.wait(60)
    child = in_child(get)
    finish.set()
    waiting.join()
    print(os.waitpid(child, 0)[1], len(logins.calls), flush=True)
    """
    with program(code, site, tmp_path) as running:
        assert running.read_line() == "0 1\n"
    assert len(site.tokens) == 1


def test_ctrl_c_ends_a_login(site: Site, tmp_path: Path) -> None:
    """Without waiting for the user, who may never finish it."""
    code = """
    from grantway import FlowCancelledError

    def login(client, *, scope, resource, cancel):
        say("waiting")
        if cancel.wait(60):
            say("cancelled")
        raise FlowCancelledError("The login was cancelled.")

    auth = ResourceAuth(url, client_name="fork", login=login, store=folder_store(folder))
    try:
        get()
    except KeyboardInterrupt:
        say("interrupted")
    """
    with program(code, site, tmp_path) as running:
        assert running.read_line() == "waiting\n"
        running._process.send_signal(signal.SIGINT)
        assert {running.read_line(), running.read_line()} == {"cancelled\n", "interrupted\n"}


def test_a_login_that_nothing_waits_for_does_not_delay_the_exit(site: Site, tmp_path: Path) -> None:
    code = """
    from grantway import FlowCancelledError, WaitTimeoutError

    def login(client, *, scope, resource, cancel):
        say("begun")
        if cancel.wait(3600):
            raise FlowCancelledError("The login was cancelled.")

    def wait(auth):
        try:
            auth.token(timeout=2)
        except WaitTimeoutError:
            say("timed out")

    auth = ResourceAuth(url, client_name="fork", login=login, store=folder_store(folder))
    wait(auth)
    # This one waits for the lock.
    wait(ResourceAuth(url, client_name="fork", login=login, store=folder_store(folder)))
    """
    with program(code, site, tmp_path) as running:
        lines = [running.read_line() for _ in range(3)]
        assert sorted(lines) == ["begun\n", "timed out\n", "timed out\n"]
        assert running._process.wait(60) == 0
