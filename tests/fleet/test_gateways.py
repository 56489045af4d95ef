"""Test of gateways under load that share a Valkey store through a kill and a restart."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.benchmarks.gateway.machines import backend, callers, finished, gateway, write_config
from tests.valkey import valkey_server

pytestmark = pytest.mark.slow

TENANTS = 20
#: Token lifetime in seconds. Tokens are refreshed at the latest when a tenth of it is left, which
#: must be longer than a busy machine pauses.
LIFETIME = 10.0
#: Seconds of load: every token is refreshed once, and none twice.
LOAD = 11.0


def test_failures_lose_no_token_and_mix_no_tenants(tmp_path: Path) -> None:
    with ExitStack() as running:
        valkey = running.enter_context(valkey_server())
        behind = running.enter_context(backend(tmp_path, lifetime=LIFETIME))
        config = write_config(tmp_path, behind, store=valkey.url)
        gateways = [running.enter_context(gateway(config)) for _ in range(3)]
        ports = [each.port for each in gateways]
        # Request every tenant at each gateway, as simultaneously as possible.
        with callers(
            ports=ports, rate=300, seconds=TENANTS * 3 / 300, tenants=TENANTS, each_first=3
        ) as program:
            first = finished(program, LOAD)
        assert first["outcomes"] == {"ok": TENANTS * 3}
        report = behind.do("report")
        assert set(report["logins"].values()) == {1}
        assert len(report["logins"]) == TENANTS
        assert report["refreshes"] == {}

        with callers(ports=ports, rate=60, seconds=LOAD, tenants=TENANTS) as program:
            began = time.monotonic()
            gateways[0].kill()
            valkey.restart()
            assert time.monotonic() - began < LIFETIME / 2, "too slow to mean anything"
            found = finished(program, LOAD)
        # Only requests to the killed gateway fail.
        assert set(found["outcomes"]) <= {"ok", "connection lost", "connection refused"}
        assert found["outcomes"]["ok"] > found["sent"] * 0.9
        report = behind.do("report")
        # One of the two gateways refreshes each token. Sending a refresh token twice would have
        # revoked the login and required another.
        assert set(report["logins"].values()) == {1}
        assert set(report["refreshes"]) == set(report["logins"])
        assert set(report["refreshes"].values()) == {1}
        assert report["denied"] == 0
