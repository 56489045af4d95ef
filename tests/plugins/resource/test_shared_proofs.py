"""Used DPoP proofs that processes share."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import Any

import pytest

from grantway_plugins.resource import (
    AcceptedIssuer,
    ProtectedResource,
    SharedProofs,
    VerificationUnavailableError,
    _shared_proofs,
)
from grantway_plugins.testing import WorkloadIssuer
from tests.plugins.resource.conftest import API, Tokens, denial
from tests.plugins.server.proofs import KEY
from tests.waiting import PATIENCE

from .test_possession import request_with

#: Adds the same proofs as its siblings, and prints how many were new.
PROGRAM = """
import sys, time
from grantway_plugins.resource import SharedProofs
shared = SharedProofs(int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(sum(shared.add(f"proof {n}", time.time() + 60) for n in range(2000)))
"""


def test_resources_of_several_processes_accept_a_proof_once(
    token: Tokens, issuer: WorkloadIssuer
) -> None:
    shared = SharedProofs()
    inherited = SharedProofs(os.dup(shared.fileno()))
    first, second = (
        ProtectedResource(API, [AcceptedIssuer(issuer.url)], used_proofs=each)
        for each in (shared, inherited)
    )
    bound = token(cnf={"jkt": KEY.thumbprint()})
    request = request_with(bound)
    assert first.verify(request).subject == "ann"
    for resource in (first, second):
        error, _ = denial(resource, request)
        assert error.error == "invalid_dpop_proof"
        assert "used before" in error.message
    assert second.verify(request_with(bound)).subject == "ann"


def test_one_of_several_processes_accepts_a_proof() -> None:
    shared = SharedProofs()
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(shared.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[shared.fileno()],
            text=True,
        )
        for _ in range(3)
    ]
    for each in programs:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    accepted = [int(each.communicate("go\n", PATIENCE)[0]) for each in programs]
    assert sum(accepted) == 2000
    assert not shared.add("proof 7", time.time() + 60)


def test_one_of_several_threads_accepts_a_proof() -> None:
    shared, accepted = SharedProofs(), Counter[str]()

    def add_all() -> None:
        for number in range(500):
            use = f"proof {number}"
            if shared.add(use, time.time() + 60):
                accepted[use] += 1

    threads = [threading.Thread(target=add_all) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(accepted) == 500
    assert set(accepted.values()) == {1}


def test_forked_processes_share_the_proofs() -> None:
    shared = SharedProofs()
    assert shared.add("before", time.time() + 60)
    child = os.fork()
    if child == 0:
        known = not shared.add("before", time.time() + 60)
        os._exit(0 if known and shared.add("in the child", time.time() + 60) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert not shared.add("in the child", time.time() + 60)


def test_a_killed_process_leaves_no_lock() -> None:
    shared = SharedProofs()
    program = (
        "import fcntl, os, sys; fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX); "
        "print(flush=True); os.kill(os.getpid(), 9)"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(shared.fileno())],
        pass_fds=[shared.fileno()],
        stdout=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=False,
    )
    assert shared.add("proof", time.time() + 60)


def test_room_is_made_by_expired_proofs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_shared_proofs, "_GROUPS", 1)
    now: Any = [1000.0]
    shared = SharedProofs(clock=lambda: now[0])
    for number in range(32):
        assert shared.add(f"proof {number}", 1000.0 + number + 1)
    with pytest.raises(VerificationUnavailableError):
        shared.add("one more", 2000.0)
    assert not shared.add("proof 31", 2000.0)  # known, although there is no room
    now[0] = 1001.5
    assert shared.add("one more", 2000.0)
    with pytest.raises(VerificationUnavailableError):
        shared.add("another", 2000.0)
    assert not shared.add("proof 5", 2000.0)


@pytest.mark.slow
def test_has_room_for_100_000_proofs() -> None:
    shared = SharedProofs()
    until = time.time() + 600
    assert all(shared.add(f"proof {number}", until) for number in range(100_000))
    assert not any(shared.add(f"proof {number}", until) for number in range(0, 100_000, 997))
