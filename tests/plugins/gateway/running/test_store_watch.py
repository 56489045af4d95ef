"""``/readyz`` reports the gateway's own store, and agrees with what requests get."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
import requests

from grantway._types.store import Store
from grantway_plugins.gateway._running.store_watch import StoreWatch
from grantway_plugins.stores.file._store import FileStore
from grantway_plugins.stores.redis._store import RedisStore
from grantway_plugins.stores.sql._store import SqlStore
from tests.faults import free_port
from tests.plugins.gateway.running.conftest import Backends
from tests.plugins.gateway.running.programs import PATIENCE, GatewayProcess, gateway
from tests.valkey import valkey_server
from tests.waiting import until

PASSWORD = "a-password-that-must-not-show"


def get_status(run: GatewayProcess, tenant: str = "a") -> int:
    response = requests.get(f"{run.url}/orders", headers={"X-Tenant": tenant}, timeout=PATIENCE)
    return response.status_code


def ready_when(run: GatewayProcess, status: str) -> tuple[int, dict[str, Any]]:
    return until(run.ready, lambda payload: payload[1]["store"]["status"] == status)


def config(
    backends: Backends, store: str, *, ready: str = "any", name: str = "gateway.toml"
) -> Path:
    path = backends.folder / name
    path.write_text(
        f'[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nready = "{ready}"\n'
        f"store = {store}\n" + backends.provider() + backends.route()
    )
    return path


@pytest.mark.slow
def test_an_unreachable_store_is_degraded_while_tokens_in_memory_work(backends: Backends) -> None:
    with valkey_server(requirepass=PASSWORD) as valkey:
        url = valkey.url.replace("redis://", f"redis://:{PASSWORD}@")
        store = f'{{kind = "redis", url = "{url}", timeout = 1.0}}'
        with (
            gateway(config(backends, store)) as run,
            gateway(config(backends, store, ready="all", name="strict.toml")) as strict,
        ):
            assert get_status(run) == get_status(strict) == 200
            # A busy machine may take longer than the two seconds of a check, which fails then.
            assert ready_when(run, "ok")[1]["store"] == {"status": "ok"}
            valkey.stop()
            code, payload = until(
                run.ready,
                lambda found: "cannot be reached" in found[1]["store"].get("error_description", ""),
            )
            assert (code, payload["ready"], payload["status"]) == (200, True, "degraded")
            assert payload["store"]["error"] == "store_save_failed"
            assert get_status(run) == 200
            assert ready_when(strict, "degraded")[0] == 503
            with gateway(config(backends, store, name="late.toml")) as late:
                code, payload = ready_when(late, "failing")
                assert (code, payload["ready"]) == (503, False)
                assert get_status(late) == 503
                valkey.restart()
                code, payload = ready_when(late, "ok")
                assert (code, payload["status"]) == (200, "ok")
                assert get_status(late) == 200
            ready_when(run, "ok")
            assert "The store cannot save tokens" in run.log
            assert "The store works again" in run.log
            for shown in (run.log, strict.log, str(payload)):
                assert PASSWORD not in shown


def test_a_folder_that_cannot_be_written_is_reported(backends: Backends) -> None:
    with gateway(config(backends, '{kind = "file", folder = "tokens"}')) as run:
        assert get_status(run) == 200
        tokens = backends.folder / "tokens"
        tokens.rename(backends.folder / "moved")
        tokens.write_text("in the way")
        code, payload = ready_when(run, "degraded")
        assert code == 200
        assert "a file exists where the folder should be" in payload["store"]["error_description"]
        tokens.unlink()
        assert ready_when(run, "ok")[0] == 200
        assert not [each for each in tokens.iterdir() if each.suffix != ".lock"]


# --- Messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"maxmemory": "500kb"}, "its memory is full"), ({"replicaof": "127.0.0.1 1"}, "read-only")],
)
def test_messages_distinguish_a_full_from_a_read_only_server(
    settings: dict[str, str], expected: str
) -> None:
    with valkey_server(**settings) as valkey:
        store = RedisStore(valkey.url)
        try:
            health = asyncio.run(StoreWatch(store).health())
        finally:
            store.close()
    assert health.error == "store_save_failed"
    assert expected in health.message


def test_an_unreachable_database_is_reported_without_its_password() -> None:
    port = free_port()
    store = SqlStore(f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:{port}/tokens")
    try:
        health = asyncio.run(StoreWatch(store).health())
    finally:
        store.close()
    assert health.error == "store_save_failed"
    assert str(port) in health.message
    assert PASSWORD not in health.message


def test_watches_only_stores_with_external_dependencies() -> None:
    watched = [{"kind": "file"}, {"kind": "redis"}, {"kind": "sql"}]
    nested = [{"kind": "encrypted", "inner": each} for each in (*watched, "file")]
    assert all(StoreWatch.watches(each) for each in (*watched, *nested))
    for kind in ("memory", "keyring"):
        assert not StoreWatch.watches({"kind": kind})
        assert not StoreWatch.watches({"kind": "encrypted", "inner": {"kind": kind}})


# --- Cost of probes -------------------------------------------------------------------------------


class SlowStore(FileStore):
    """A file store whose saves block until ``go_on`` is set."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.saves = 0
        self.go_on = threading.Event()

    def save(self, *given: Any, **named: Any) -> None:
        self.saves += 1
        self.go_on.wait(PATIENCE)
        super().save(*given, **named)


def test_concurrent_probes_share_one_check(tmp_path: Path) -> None:
    store = SlowStore(tmp_path)
    store.go_on.set()

    async def probe() -> None:
        watch = StoreWatch(store)
        for _ in range(3):
            payload = await asyncio.gather(*(watch.health() for _ in range(20)))
            assert {each.error for each in payload} == {""}

    asyncio.run(probe())
    assert store.saves == 1


def test_a_store_that_hangs_delays_one_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grantway_plugins.gateway._running.store_watch.PATIENCE", 0.05)
    store = SlowStore(tmp_path)

    async def probe() -> None:
        watch = StoreWatch(store)
        first = await watch.health()
        assert "did not respond" in first.message
        monkeypatch.setattr("grantway_plugins.gateway._running.store_watch.PATIENCE", PATIENCE)
        assert await watch.health() == first  # without another wait
        store.go_on.set()
        while (await watch.health()).error:  # noqa: ASYNC110 - probes are all there is
            await asyncio.sleep(0.01)

    asyncio.run(probe())
    assert store.saves == 1


def test_does_not_quote_errors_of_third_party_stores() -> None:
    class FailingStore:
        def save(self, *_given: Any, **_named: Any) -> None:
            raise ValueError(PASSWORD)

        def __repr__(self) -> str:
            return "FailingStore()"

    failing: Any = FailingStore()
    store: Store = failing
    health = asyncio.run(StoreWatch(store).health())
    assert (health.error, health.message) == ("store_failed", "FailingStore(): raised ValueError.")
