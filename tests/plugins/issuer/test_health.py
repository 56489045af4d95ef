"""Reporting a full disk, a read-only database and an unavailable one, and recovery."""

from __future__ import annotations

import resource
import socket
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from grantway_plugins.issuer import DatabaseError, IssuerServer, IssuerSettings
from grantway_plugins.issuer._storage import database, jobs, store
from tests.plugins.cli.test_serve import serving
from tests.postgres import postgres_server
from tests.waiting import PATIENCE, until


def health(url: str, path: str = "/health") -> tuple[int, dict[str, Any]]:
    response = requests.get(url + path, timeout=PATIENCE)
    return response.status_code, response.json()


def is_ok(found: tuple[int, dict[str, Any]]) -> bool:
    return found == (200, {"status": "ok"})


def test_reports_a_full_disk_until_there_is_space(tmp_path: Path) -> None:
    options = ("--database", str(tmp_path / "x.db"), "--registration", "unrestricted")
    with serving(*options) as (url, process):
        assert is_ok(health(url))
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        # A file of this process cannot grow any more, as on a full disk.
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100_000, hard))
        metadata = {"redirect_uris": [f"https://app.example.com/{n}{'x' * 900}" for n in range(7)]}

        def full() -> requests.Response:
            return requests.post(f"{url}/register", json=metadata, timeout=PATIENCE)

        refused = until(full, lambda response: response.status_code == 503)
        assert "disk is full" in refused.json()["error_description"]
        for path in ("/health", "/readyz"):
            status, found = until(lambda path=path: health(url, path), lambda it: not is_ok(it))
            assert (status, found["error"]) == (503, "store_full")
            assert str(tmp_path) not in str(found)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        until(lambda: health(url), is_ok)
        assert full().status_code == 201


def test_reports_a_stopped_and_a_read_only_database_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CACHE_SECONDS", "FAILURE_SECONDS"):  # shorten them from one and five seconds
        monkeypatch.setattr(f"grantway_plugins.issuer._http.health.{name}", 0.1)
    with (
        postgres_server() as running,
        IssuerServer(IssuerSettings(), database=running.url) as server,
    ):
        until(lambda: health(server.url), is_ok)
        # A NUL character, which PostgreSQL rejects, must not affect the health check.
        form = {"client_id": "\0", "grant_type": "refresh_token", "refresh_token": "x"}
        for response in (
            requests.post(f"{server.url}/token", data=form, timeout=PATIENCE),
            requests.post(f"{server.url}/token", data=form, auth=("\0", "x"), timeout=PATIENCE),
            requests.get(f"{server.url}/authorize", params=form, timeout=PATIENCE),
        ):
            assert response.status_code in {400, 401}, response.text
        assert is_ok(health(server.url))
        running.stop()
        _, found = until(lambda: health(server.url), lambda it: not is_ok(it))
        assert found["error"] == "store_unreachable"
        running.restart()
        until(lambda: health(server.url), is_ok)
        running.sql("ALTER SYSTEM SET default_transaction_read_only = on")
        running.sql("SELECT pg_reload_conf()")
        _, found = until(lambda: health(server.url), lambda it: not is_ok(it))
        assert found["error"] == "store_read_only"


def test_starting_fails_if_the_database_server_does_not_respond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "CONNECT_TIMEOUT", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://issuer@127.0.0.1:{silent.getsockname()[1]}/tokens"
        with pytest.raises(DatabaseError, match="cannot be reached"):
            store.IssuerStore(url)


def test_an_unresponsive_database_does_not_block_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        postgres_server() as running,
        IssuerServer(IssuerSettings(), database=running.url) as server,
    ):

        def register(name: str) -> requests.Response:
            metadata = {"redirect_uris": ["http://127.0.0.1/"], "client_name": name}
            return requests.post(f"{server.url}/register", json=metadata, timeout=PATIENCE)

        assert register("first").status_code == 201
        monkeypatch.setattr(jobs, "DATABASE_TIMEOUT", 1.0)
        with psycopg.connect(host=str(running.folder), user="postgres", dbname="postgres") as other:
            other.execute("LOCK TABLE clients IN ACCESS EXCLUSIVE MODE")
            begun, queued = register("begun"), register("queued")
            assert (begun.status_code, queued.status_code) == (503, 503)
            assert "may have been carried out" in begun.json()["error_description"]
            assert "nothing was done" in queued.json()["error_description"]
            page = requests.get(f"{server.url}/authorize", timeout=PATIENCE)
            assert page.status_code == 503
            assert health(server.url)[0] == 503
        until(lambda: register("last").status_code, lambda status: status == 201)
        until(lambda: health(server.url), is_ok)
        assert "queued" not in running.sql("SELECT name FROM clients").split()


@pytest.mark.parametrize("path", ["/health", "/readyz", "/auth/readyz"])
def test_probes_need_not_know_the_path_of_the_issuers_url(path: str) -> None:
    settings = IssuerSettings(issuer="http://login.localhost:8400/auth")
    with IssuerServer(settings) as server:
        assert requests.get(f"{server.address}{path}", timeout=PATIENCE).ok
