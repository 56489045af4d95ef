"""Gateways under load that share a Valkey, while one of them is killed and the store restarts."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.gateway.machines import backend, callers, finished, gateway, write_config
from tests.valkey import valkey_server

TENANTS = 20
#: Seconds that a token lives: long enough that a busy machine does not stop for the tenth of it
#: which is left when it is renewed at last.
LIFETIME = 10.0
#: Seconds of load: past the renewal of every token, and before that of its successor.
LOAD = 11.0


def test_no_token_is_lost_or_another_ones_while_things_fail(tmp_path: Path) -> None:
    with ExitStack() as running:
        valkey = running.enter_context(valkey_server())
        behind = running.enter_context(backend(tmp_path, lifetime=LIFETIME))
        config = write_config(tmp_path, behind, store=valkey.url)
        gateways = [running.enter_context(gateway(config)) for _ in range(3)]
        ports = [each.port for each in gateways]
        # Every tenant is asked for at each gateway, at one moment as far as that goes.
        with callers(
            ports=ports, rate=300, seconds=TENANTS * 3 / 300, tenants=TENANTS, each_first=3
        ) as program:
            first = finished(program, LOAD)
        assert first["outcomes"] == {"ok": TENANTS * 3}
        told = behind.do("report")
        assert set(told["logins"].values()) == {1}
        assert len(told["logins"]) == TENANTS
        assert told["refreshes"] == {}

        with callers(ports=ports, rate=200, seconds=LOAD, tenants=TENANTS) as program:
            began = time.monotonic()
            gateways[0].kill()
            valkey.restart()
            assert time.monotonic() - began < LIFETIME / 2, "too slow to mean anything"
            found = finished(program, LOAD)
        # The one that was killed takes with it what it had begun, and nobody else's.
        assert set(found["outcomes"]) <= {"ok", "connection lost", "connection refused"}
        assert found["outcomes"]["ok"] > found["sent"] * 0.9
        told = behind.do("report")
        # Of two gateways one renews each token, and no refresh token was sent twice: that would
        # have ended the login, so that another would be needed.
        assert set(told["logins"].values()) == {1}
        assert set(told["refreshes"]) == set(told["logins"])
        assert set(told["refreshes"].values()) == {1}
        assert told["denied"] == 0
