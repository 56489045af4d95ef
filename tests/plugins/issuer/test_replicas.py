"""Several issuers on one database act as one."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest
import requests

from grantway_plugins.issuer._decisions.randomness import (
    family_digest,
    new_family_secret,
    new_id,
)
from grantway_plugins.issuer._storage.errors import DatabaseOutcomeUnknownError
from grantway_plugins.issuer._storage.records import TokenFamily
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.issuer._storage.unit_of_work import failure_response
from grantway_plugins.server._http.wire import WireFormat, WireResponse
from tests import forked
from tests.interop.grantway_serve import serving
from tests.plugins.issuer.replica import Replica
from tests.plugins.issuer.replicas import DEVICE_CODE, Load
from tests.postgres import PostgresServer
from tests.waiting import PATIENCE, until


def both(running: ExitStack, *options: str) -> list[str]:
    """Start two issuers at the same time and return their URLs."""
    with ThreadPoolExecutor(2) as threads:
        starts = [
            threads.submit(running.enter_context, serving(*options, start=forked.Popen))
            for _ in range(2)
        ]
        return [start.result(60).url for start in starts]


def test_an_issuer_accepts_a_form_of_another_one(database: str) -> None:
    with ExitStack() as running, requests.Session() as browser:
        first, second = both(running, "--database", database, "--issuer", "http://localhost")
        client = requests.post(
            f"{first}/register",
            json={
                "client_name": "device",
                "grant_types": [DEVICE_CODE],
                "token_endpoint_auth_method": "none",
            },
            timeout=30,
        ).json()
        begun = requests.post(
            f"{first}/device_authorization", data={"client_id": client["client_id"]}, timeout=30
        ).json()
        shown = browser.get(f"{first}/device", params={"user_code": begun["user_code"]}, timeout=30)
        form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', shown.text))
        assert form["csrf"]
        sent = {**form, "decision": "approve"}
        foreign = {**sent, "csrf": "0" * 64}
        assert browser.post(f"{second}/device", data=foreign, timeout=30).status_code == 403
        response = browser.post(f"{second}/device", data=sent, timeout=30)
        assert response.status_code == 200, response.text
        token = requests.post(
            f"{first}/token",
            data={
                "grant_type": DEVICE_CODE,
                "device_code": begun["device_code"],
                "client_id": client["client_id"],
            },
            timeout=30,
        )
        assert token.status_code == 200, token.text


def test_issuers_can_start_at_the_same_time_on_an_empty_database(database: str) -> None:
    many = 6
    starting = threading.Barrier(many)

    def start() -> bytes:
        starting.wait(60)
        with closing(IssuerStore(database)) as store:
            return store.form_key

    with ThreadPoolExecutor(many) as threads:
        starts = [threads.submit(start) for _ in range(many)]
        assert len({each.result(60) for each in starts}) == 1


@pytest.mark.slow
def test_killed_servers_and_different_clocks_lose_no_login(postgres: PostgresServer) -> None:
    """PostgreSQL and one issuer are killed under load, and the clocks are two seconds apart."""
    postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with (
        Replica(postgres.url) as first,
        Replica(postgres.url, ahead=2.0) as second,
    ):
        load = Load([first.url, second.url])

        def refreshes(more: int = 20) -> None:
            wanted = load.tally.refreshed + more
            until(lambda: load.tally.refreshed > wanted)

        def failures() -> None:
            refreshes()
            postgres.kill()
            postgres.start()
            refreshes()
            second.kill()
            refreshes()
            postgres.kill()
            time.sleep(0.5)
            postgres.start()
            second.start()
            refreshes()

        tally = load.run(failures)
    assert (tally.lost, tally.twice) == (0, 0), tally
    assert tally.redeemed, tally
    assert tally.reasons["the issuer is not running"], tally


def test_a_closed_idle_connection_fails_no_request(
    postgres: PostgresServer,
) -> None:
    postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with ExitStack() as running:
        options = ("--approve", "auto", "--database", postgres.url)
        url = running.enter_context(serving(*options, start=forked.Popen)).url
        load = Load([url])
        postgres.restart()
        with requests.Session() as http:
            assert load._begin(http)
        assert load.tally.failed == 0, load.tally


def test_does_not_repeat_work_whose_commit_was_interrupted(postgres: PostgresServer) -> None:
    postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with closing(IssuerStore(postgres.url)) as store:
        postgres.sql(
            """
            CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
              $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON plugin_records
              DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die();
            """
        )
        runs = 0

        def work(transaction: Transaction) -> bool:
            nonlocal runs
            runs += 1
            return transaction.spend(b"once", 2e9)

        with pytest.raises(DatabaseOutcomeUnknownError):
            store.run(work)
        assert runs == 1
        response = failure_response(DatabaseOutcomeUnknownError("lost"), WireFormat.RFC)
        assert isinstance(response, WireResponse)
        assert response.status == 503
        assert b"may have been carried out" in response.body
        postgres.sql("DROP TRIGGER at_commit ON plugin_records")
        assert store.run(work)  # on a new connection


def spend_together(
    store: IssuerStore, keys: tuple[bytes, bytes], both_hold_one: threading.Barrier
) -> list[bool]:
    """Spend two keys in a shared transaction, the second when another issuer has spent one, too."""
    busy, free = threading.Event(), threading.Event()
    waited = threading.Event()

    def keep_busy(_transaction: Transaction) -> None:
        busy.set()
        free.wait(PATIENCE)

    def first(transaction: Transaction) -> bool:
        spent = transaction.spend(keys[0], 2e9)
        if not waited.is_set():
            waited.set()
            both_hold_one.wait(PATIENCE)
        return spent

    def second(transaction: Transaction) -> bool:
        return transaction.spend(keys[1], 2e9)

    with ThreadPoolExecutor(3) as threads:
        threads.submit(store.run, keep_busy)
        assert busy.wait(PATIENCE)
        results = []
        for number, work in enumerate((first, second)):
            results.append(threads.submit(store.run, work))
            until(store.waiting, lambda count, least=number + 1: count >= least)
        free.set()
        return [each.result(PATIENCE) for each in results]


def test_transactions_that_lock_rows_in_another_order_do_not_wait_long(
    postgres: PostgresServer,
) -> None:
    """Otherwise, replayed proofs in another order stop all issuers for a second each time."""
    postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    # PostgreSQL must not end the deadlock.
    postgres.sql("ALTER SYSTEM SET deadlock_timeout = '1min'")
    postgres.sql("SELECT pg_reload_conf()")
    both_hold_one = threading.Barrier(2)
    try:
        with (
            closing(IssuerStore(postgres.url)) as one,
            closing(IssuerStore(postgres.url)) as other,
            ThreadPoolExecutor(2) as threads,
        ):
            runs = [
                threads.submit(spend_together, store, keys, both_hold_one)
                for store, keys in ((one, (b"a", b"b")), (other, (b"b", b"a")))
            ]
            (one_a, one_b), (other_b, other_a) = (each.result(PATIENCE) for each in runs)
            assert one_a is not other_a
            assert one_b is not other_b
    finally:
        postgres.sql("ALTER SYSTEM RESET deadlock_timeout")
        postgres.sql("SELECT pg_reload_conf()")


def test_tokens_that_are_read_together_show_earlier_changes(postgres: PostgresServer) -> None:
    postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    family = TokenFamily(new_id(), "client", "me", ("a",), 2e9)
    tokens = [new_family_secret("gwr", family.family_id) for _ in range(3)]
    spent, other, unknown = map(family_digest, tokens)

    def issue(transaction: Transaction) -> None:
        transaction.add_family(family)
        transaction.add_refresh_token(spent, family)
        transaction.add_refresh_token(other, family)

    def spend_and_revoke(transaction: Transaction) -> bool:
        assert transaction.refresh_token(spent) is not None
        assert transaction.refresh_token(unknown) is None
        changed = transaction.spend_refresh_token(spent, 5.0)
        transaction.revoke_family(family.family_id, 6.0)
        return changed

    def look(transaction: Transaction) -> list[Any]:
        found = [transaction.refresh_token(each) for each in (spent, other)]
        return [each and (each.used_at, each.family.revoked) for each in found]

    async def together(store: IssuerStore) -> list[Any]:
        results: asyncio.Queue[Any] = asyncio.Queue()
        for work, token in zip((spend_and_revoke, look, look), tokens, strict=True):
            store.start(work, lambda *outcome: results.put_nowait(outcome), refresh_token=token)
        async with asyncio.timeout(PATIENCE):
            return [await results.get() for _ in range(3)]

    with closing(IssuerStore(postgres.url)) as store:
        store.run(issue)
        seen = [(5.0, True), (None, True)]
        assert asyncio.run(together(store)) == [(True, None), (seen, None), (seen, None)]
        assert store.run(look) == seen
