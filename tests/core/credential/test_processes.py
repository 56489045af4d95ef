"""Forked children, and a process that exits during a refresh."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grantway_plugins.stores.file._store import FileStore
from tests.core.credential.scenes import PATIENCE, Gate, issue
from tests.faults import FaultServer

BEGIN = """
import os, signal, sys, threading, time
import grantway
from grantway_plugins.stores.file._store import FileStore

url, folder = sys.argv[1:]
client = grantway.Client(
    grantway.Provider(token_endpoint=url), client_id="client", client_secret="s"
)
"""


@contextmanager
def script(text: str, server: FaultServer, folder: Path) -> Iterator[subprocess.Popen[str]]:
    # Since 3.12, Python warns about forking a process with threads.
    no_warning = ["-W", "ignore::DeprecationWarning"]
    program = BEGIN + textwrap.dedent(text)
    with subprocess.Popen(
        [sys.executable, *no_warning, "-c", program, server.token_endpoint, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def result(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert err == ""
    return out


def test_a_child_forked_during_a_refresh_refreshes_by_itself(tmp_path: Path) -> None:
    gate = Gate()
    with (
        FaultServer(gate, issue()) as server,
        script(
            """
            credential = client.credential(grant_type="client_credentials")
            waiting = threading.Thread(target=credential.token)
            waiting.start()
            while not os.path.exists(folder):
                time.sleep(0.01)
            child = os.fork()
            if not child:
                signal.alarm(20)
                print(credential.token().access_token, flush=True)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            print("child done", flush=True)
            waiting.join()
            print(credential.token().access_token)
            """,
            server,
            tmp_path / "go",
        ) as process,
    ):
        gate.wait()
        (tmp_path / "go").touch()
        assert process.stdout is not None
        assert process.stdout.readline() == "at-1\n"
        assert process.stdout.readline() == "child done\n"
        gate.opened.set()
        assert result(process) == "at-2\n"


def test_children_do_not_use_the_connection_of_their_parent(tmp_path: Path) -> None:
    """Otherwise a process could read the response of another."""
    with (
        FaultServer(issue()) as server,
        script(
            """
            client.create_token(grant_type="client_credentials")
            children = []
            for _ in range(4):
                child = os.fork()
                if not child:
                    signal.alarm(20)
                    client.create_token(grant_type="client_credentials")
                    client.create_token(grant_type="client_credentials")
                    os._exit(0)
                children.append(child)
            for child in children:
                assert os.waitpid(child, 0)[1] == 0
            client.create_token(grant_type="client_credentials")
            client.close()
            """,
            server,
            tmp_path,
        ) as process,
    ):
        result(process)
        # One connection per process, which it reuses.
        assert server.connections == 5
        assert len(server.requests) == 10


def test_locks_are_free_and_tokens_complete_after_a_fork(tmp_path: Path) -> None:
    """Fork many times while threads take every lock continuously."""
    with (
        FaultServer(issue()) as server,
        script(
            """
            from grantway import Token
            pool = client.credential_pool(grant_type="client_credentials", entries=4)
            token = Token("at-old", expires_in=3600, expires_at=time.time() + 3600)
            stop = threading.Event()

            def churn(number):
                while not stop.is_set():
                    for name in "abcdefgh":
                        credential = pool.credential(name)
                        credential.accept(token)
                        credential.invalidate(token)

            threads = [threading.Thread(target=churn, args=(n,), daemon=True) for n in range(3)]
            for thread in threads:
                thread.start()
            for _ in range(60):
                child = os.fork()
                if not child:
                    signal.alarm(20)
                    fresh = pool.credential("new")
                    fresh.accept(token)
                    assert fresh.token() is token
                    assert len(pool) <= 4
                    os._exit(0)
                assert os.waitpid(child, 0)[1] == 0
            stop.set()
            for thread in threads:
                thread.join()
            client.close()
            print("done")
            """,
            server,
            tmp_path,
        ) as process,
    ):
        assert result(process) == "done\n"


def test_a_process_waits_for_the_token_to_be_stored_before_it_exits(tmp_path: Path) -> None:
    gate = Gate()
    with (
        FaultServer(gate) as server,
        script(
            """
            credential = client.credential(
                grant_type="client_credentials", store=FileStore(folder), key="mine"
            )
            try:
                credential.token(timeout=0.01)
            except grantway.WaitTimeoutError:
                print("left", flush=True)
            """,
            server,
            tmp_path,
        ) as process,
    ):
        gate.wait()
        assert process.stdout is not None
        assert process.stdout.readline() == "left\n"
        assert process.poll() is None
        gate.opened.set()
        result(process)
    stored = FileStore(tmp_path).load("mine")
    assert stored is not None
    assert stored.refresh_token == "rt-1"


def test_warns_if_a_child_uses_the_refresh_token_of_its_parent(tmp_path: Path) -> None:
    """Without a store, two processes would use one refresh token."""
    with (
        FaultServer(issue(refresh_token="rt-2")) as server,
        script(
            """
            import logging
            logging.basicConfig(stream=sys.stdout, format="%(message)s")
            credential = client.credential(grant_type="authorization_code", subject="u")
            first = grantway.Token("at-0", expires_in=3600, refresh_token="rt-1")
            credential.accept(first)
            child = os.fork()
            if not child:
                signal.alarm(20)
                credential.invalidate(first)
                print(credential.token().access_token, flush=True)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            """,
            server,
            tmp_path,
        ) as process,
    ):
        warning, token = result(process).splitlines()
    assert "obtained before this process was forked" in warning
    assert "rt-1" not in warning
    assert token == "at-1"
