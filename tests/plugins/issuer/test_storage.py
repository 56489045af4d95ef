"""The database: stored data, validation on opening, and failures."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from grantway_plugins.issuer import (
    DatabaseBusyError,
    DatabaseCorruptError,
    DatabaseError,
    DatabaseForeignError,
    DatabaseReadOnlyError,
    IssuerServer,
    IssuerSettings,
)
from grantway_plugins.issuer._decisions.randomness import (
    family_digest,
    new_family_secret,
    new_id,
)
from grantway_plugins.issuer._storage.pruning import MOST, RETENTION
from grantway_plugins.issuer._storage.records import TokenFamily
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.transaction import Transaction
from tests.plugins.issuer.conftest import Caller, Clock
from tests.waiting import PATIENCE


@pytest.fixture
def disk(clock: Clock, tmp_path: Path) -> Iterator[Caller]:
    """A client of an issuer whose database is on disk."""
    with (
        IssuerServer(IssuerSettings(), database=tmp_path / "data" / "x.db", clock=clock) as server,
        Caller(server.url) as caller,
    ):
        yield caller.register_rfc()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the wait for another process's transaction from 2 seconds to 0.2."""
    monkeypatch.setattr("grantway_plugins.issuer._storage.database.BUSY_TIMEOUT", 200)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a write transaction of another process."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_database_files_are_private(disk: Caller, tmp_path: Path) -> None:
    disk.login()
    folder = tmp_path / "data"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}
    assert modes["x.db"] == 0o600
    assert set(modes.values()) == {0o600}


def test_database_files_contain_no_tokens_codes_or_secrets(disk: Caller, tmp_path: Path) -> None:
    started = disk.start()
    code = disk.sent_back()["code"]
    tokens = disk.redeem(code).json()
    again = disk.refresh(tokens["refresh_token"]).json()
    resting = b"".join(each.read_bytes() for each in (tmp_path / "data").iterdir())
    assert disk.id.encode() in resting
    secrets = [
        disk.secret,
        code,
        started["device_code"],
        started["user_code"],
        started["user_code"].replace("-", ""),
        tokens["access_token"],
        tokens["refresh_token"],
        again["access_token"],
        again["refresh_token"],
    ]
    assert [each for each in secrets if each.encode() in resting] == []


def test_secrets_are_long_and_unique(rfc: Caller) -> None:
    tokens = [rfc.login() for _ in range(3)]
    seen = {each[name] for each in tokens for name in ("access_token", "refresh_token")}
    assert len(seen) == 6
    assert min(len(each) for each in seen) >= 43


def test_issued_tokens_survive_a_restart(clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with IssuerServer(database=path, clock=clock) as server, Caller(server.url) as caller:
        caller.register_rfc()
        token = caller.login()["refresh_token"]
        started = caller.start()
    with IssuerServer(database=path, clock=clock) as server, caller.clone() as again:
        again.url = server.url
        assert again.refresh(token).status_code == 200
        assert again.poll(started["device_code"]).json()["error"] == "authorization_pending"


@pytest.mark.usefixtures("impatient")
def test_a_busy_database_is_a_retryable_server_error(disk: Caller, tmp_path: Path) -> None:
    token = disk.login()["refresh_token"]
    with locked(tmp_path / "data" / "x.db"):
        response = disk.refresh(token)
        aws = disk.aws("/client/register", clientName="x", clientType="public")
        page = disk.http.get(f"{disk.url}/device?user_code=BBBB-BBBB")
    assert (response.status_code, response.json()["error"]) == (503, "server_error")
    assert response.headers["retry-after"] == "1"
    assert response.headers["cache-control"] == "no-store"
    assert (aws.status_code, aws.json()["error"]) == (500, "server_error")
    assert aws.headers["x-amzn-errortype"] == "InternalServerException"
    assert (page.status_code, page.headers["retry-after"]) == (503, "1")
    assert disk.refresh(token).status_code == 200


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"x", b"\0" * 4096])
def test_rejects_other_files_without_changing_them(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with pytest.raises(DatabaseCorruptError, match="not an SQLite database"):
        IssuerStore(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("keep", [100, 5000])
def test_rejects_a_damaged_database_without_changing_it(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "x.db"
    IssuerStore(path).close()
    content = path.read_bytes()[:keep] + b"\xff" * 20_000
    path.write_bytes(content)
    with pytest.raises(DatabaseCorruptError, match=r"(?s)damaged.*backup"):
        IssuerStore(path)
    assert path.read_bytes() == content


def test_rejects_a_database_of_another_program_without_changing_it(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
    content = path.read_bytes()
    for name in (path, f"sqlite:///{path}"):
        with pytest.raises(DatabaseForeignError, match="another program"):
            IssuerStore(name)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["sqlite://", "sqlite:///:memory:"])
def test_accepts_urls_of_a_database_in_memory(name: str) -> None:
    with IssuerServer(database=name) as server, Caller(server.url) as caller:
        caller.register_rfc()


def test_reports_an_unsupported_url_without_its_password() -> None:
    with pytest.raises(DatabaseError, match="not a URL that SQLAlchemy supports") as caught:
        IssuerStore("nothing://me:open-sesame@127.0.0.1/x")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("change", ["version = version + 1", None])
def test_rejects_another_schema_version(tmp_path: Path, change: str | None) -> None:
    path = tmp_path / "x.db"
    IssuerStore(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            f"UPDATE grantway_issuer_schema SET {change}"
            if change
            else "DELETE FROM grantway_issuer_schema"
        )
    with pytest.raises(DatabaseForeignError, match=r"schema version (\d+|none) and"):
        IssuerStore(path)


@pytest.mark.usefixtures("impatient")
def test_reports_a_locked_database_on_opening(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    IssuerStore(path).close()
    with locked(path), pytest.raises(DatabaseBusyError, match="locked by another process"):
        IssuerStore(path)
    IssuerStore(path).close()


def test_opening_the_database_again_keeps_the_locks_of_this_process(tmp_path: Path) -> None:
    """Otherwise another process would remove the log, and later changes would be lost."""
    path = tmp_path / "x.db"
    with closing(IssuerStore(path)) as store:
        IssuerStore(path).close()
        other = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT 1 FROM clients')"
        subprocess.run([sys.executable, "-c", other, path], check=True)
        assert Path(f"{path}-wal").exists()
        store.run(lambda transaction: transaction.prune(0.0))


def test_rejects_a_read_only_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    IssuerStore(path).close()
    with pytest.raises(DatabaseReadOnlyError):
        IssuerStore(path / "under-a-file.db")
    with pytest.raises(DatabaseReadOnlyError):
        IssuerStore(tmp_path)


def test_pruning_keeps_rows_that_reveal_replays(
    rfc: Caller, server: IssuerServer, clock: Clock
) -> None:
    code = rfc.sent_back()["code"]
    first = rfc.redeem(code).json()
    rfc.refresh(first["refresh_token"])
    device_code = rfc.start()["device_code"]
    clock.tick(4000)
    assert server.store.run(lambda transaction: transaction.prune(clock())) == 2  # access tokens
    assert rfc.poll(device_code).json()["error"] == "expired_token"
    assert rfc.redeem(code).json()["error"] == "invalid_grant"
    clock.tick(91 * 86400)
    assert server.store.run(lambda transaction: transaction.prune(clock())) == 6
    assert server.store.run(lambda transaction: transaction.prune(clock())) == 0


def test_pruning_deletes_the_tokens_of_a_revoked_login_after_a_day(
    rfc: Caller, server: IssuerServer, clock: Clock
) -> None:
    token = rfc.login()["refresh_token"]
    for _ in range(5):
        token = rfc.refresh(token).json()["refresh_token"]
    rfc.as_rfc("/revoke", token=token)
    clock.tick(RETENTION - 1)
    server.store.run(lambda transaction: transaction.prune(clock()))
    assert "revoked" in rfc.refresh(token).json()["error_description"]
    clock.tick(2)
    # The family, its six refresh tokens and the code that began it.
    assert server.store.run(lambda transaction: transaction.prune(clock())) >= 7
    assert "unknown" in rfc.refresh(token).json()["error_description"]


def test_prunes_a_family_with_many_tokens_in_steps(clock: Clock) -> None:
    """Requests are handled between the steps."""
    store = IssuerStore(":memory:", clock=clock)
    many = MOST + 500
    family = TokenFamily(new_id(), "client", "me", ("a",), clock() - 1)

    def fill(transaction: Transaction) -> None:
        transaction.add_family(family)
        for _ in range(many):
            token = new_family_secret("gwr", family.family_id)
            transaction.add_refresh_token(family_digest(token), family)

    store.run(fill)
    clock.tick(100_000)
    gone = [store.run(lambda transaction: transaction.prune(clock())) for _ in range(3)]
    store.close()
    assert gone == [MOST, 500 + 1, 0]


def test_a_failure_in_a_shared_transaction_affects_only_its_request(clock: Clock) -> None:
    store = IssuerStore(":memory:", clock=clock)

    def spoil(transaction: Transaction) -> None:
        transaction.revoke_family("x", 1.0)
        raise ValueError("spoilt")

    async def together() -> list[Any]:
        return await asyncio.gather(
            *(store.arun(spoil if each == 3 else _nothing) for each in range(8)),
            return_exceptions=True,
        )

    futures = asyncio.run(together())
    assert [type(each) for each in futures] == [str] * 3 + [ValueError] + [str] * 4
    store.close()
    store.close()
    with pytest.raises(DatabaseError, match="closed"):
        store.run(_nothing)


def test_does_not_run_the_work_of_a_cancelled_request(clock: Clock) -> None:
    store = IssuerStore(":memory:", clock=clock)
    holding, released, ran = threading.Event(), threading.Event(), []

    def hold(_transaction: Transaction) -> None:
        holding.set()
        released.wait(PATIENCE)

    async def cancel() -> None:
        held = asyncio.create_task(store.arun(hold))
        await asyncio.to_thread(holding.wait, PATIENCE)
        given_up = asyncio.create_task(store.arun(ran.append))
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        released.set()
        await held

    asyncio.run(cancel())
    store.close()
    assert ran == []


def _nothing(transaction: Transaction) -> str:
    return "done"


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["process", "power"])
def test_no_issued_token_is_lost_after_sigkill(tmp_path: Path, durability: str) -> None:
    """Kill the issuer under load several times; every issued token must still work."""
    path = tmp_path / "x.db"
    held: dict[tuple[str, str], str] = {}
    for _round in range(3):
        held = _refresh_until_killed(path, durability, held)
    with running(path, durability) as (url, _process):
        for (client_id, secret), token in held.items():
            with Caller(url) as caller:
                caller.id, caller.secret = client_id, secret
                response = caller.refresh(token)
                assert response.status_code == 200, response.text


def _refresh_until_killed(
    path: Path, durability: str, held: dict[tuple[str, str], str]
) -> dict[tuple[str, str], str]:
    """Refresh in eight threads, kill the issuer, and return the last responded tokens."""
    responded = threading.Semaphore(0)

    def work(mine: tuple[tuple[str, str], str]) -> tuple[tuple[str, str], str]:
        (client_id, secret), token = mine
        with Caller(url) as caller:
            caller.id, caller.secret = client_id, secret
            while True:
                try:
                    response = caller.refresh(token)
                except requests.RequestException:  # rejected, closed or incomplete
                    return (client_id, secret), token
                assert response.status_code == 200, response.text
                token = response.json()["refresh_token"]
                responded.release()

    with running(path, durability) as (url, process), ThreadPoolExecutor(8) as pool:
        if not held:
            with Caller(url) as caller:
                for _client in range(8):
                    caller.register_rfc(token_endpoint_auth_method="client_secret_post")
                    tokens = caller.poll(caller.start()["device_code"]).json()
                    held[caller.id, caller.secret] = tokens["refresh_token"]
        results = [pool.submit(work, mine) for mine in held.items()]
        for _answer in range(300):
            assert responded.acquire(timeout=30)
        process.kill()
        return dict(result.result() for result in results)


@contextmanager
def running(path: Path, durability: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """An issuer in a separate process."""
    program = (
        "import sys; from grantway_plugins.issuer import IssuerSettings, serve; "
        "serve(IssuerSettings(approve='auto'), database=sys.argv[1], durability=sys.argv[2])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path), durability],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("grantway issuer listening on "), line
            yield line.split()[-1], process
        finally:
            process.kill()


def test_a_refresh_token_is_replaced_once_within_a_transaction(clock: Clock) -> None:
    store = IssuerStore(":memory:", clock=clock)
    family = TokenFamily(new_id(), "client", "me", ("a",), clock() + 100)
    token = family_digest(new_family_secret("gwr", family.family_id))
    unread = family_digest(new_family_secret("gwr", family.family_id))

    def issue(transaction: Transaction) -> None:
        transaction.add_family(family)
        transaction.add_refresh_token(token, family)
        transaction.add_refresh_token(unread, family)

    def spend(transaction: Transaction) -> tuple[Any, ...]:
        first, spent = transaction.refresh_token(token), transaction.spend_refresh_token(token, 5.0)
        again = transaction.refresh_token(token)
        assert first is not None
        assert again is not None
        return (
            *(first.used_at, spent, again.used_at),
            transaction.spend_refresh_token(token, 6.0),
            transaction.spend_refresh_token(unread, 6.0),
            transaction.last_spent(family.family_id),
        )

    store.run(issue)
    assert store.run(spend) == (None, True, 5.0, False, False, 5.0)
    assert store.run(spend)[:3] == (5.0, False, 5.0)
    store.close()
