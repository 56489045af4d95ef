"""Log messages about a provider that issues no tokens."""

from __future__ import annotations

import json
import logging

import pytest
import requests

from grantway._exceptions import InvalidClientException, SecretUnavailableError, TransportError
from grantway_plugins.gateway._running.upstream_health import UpstreamHealth
from tests.waiting import until

from .conftest import Backends
from .programs import gateway


def test_logs_a_rejected_secret_and_its_correction(
    backends: Backends, http: requests.Session
) -> None:
    secret = backends.folder / "secret.txt"
    secret.write_text("a-wrong-secret\n")
    with gateway(backends.write()) as process:

        def status() -> int:
            response = http.get(f"{process.url}/orders/x", headers={"X-Tenant": "acme"}, timeout=30)
            return response.status_code

        assert [status() for _ in range(4)] == [503] * 4
        process.wait_for("Provider idp issues no tokens: invalid_client")
        secret.write_text(f"{backends.client_secret}\n")
        process.reload()
        until(status, lambda found: found == 200)
        process.wait_for("Provider idp works again")
        log = process.log
    assert log.count("issues no tokens: invalid_client") == 1
    assert "Affected routes: orders. Check the client ID and secret" in log
    assert "a-wrong-secret" not in log
    assert backends.client_secret not in log


def test_logs_each_error_code_once_per_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    now = 0.0
    health = UpstreamHealth("idp", lambda: now)
    rejected, unreachable = InvalidClientException("rejected"), TransportError("unreachable")
    for error in (rejected, rejected, unreachable, unreachable, rejected):
        health.failed(error)
        health.works()  # the client of another tenant still works
    messages = [record.getMessage() for record in caplog.records]
    assert sum("invalid_client" in each and "no tokens" in each for each in messages) == 1
    assert sum("works again" in each for each in messages) == 2
    now = 61.0
    health.failed(rejected)
    assert len(caplog.records) == len(messages) + 1


def test_an_unavailable_secret_is_a_failure_of_the_provider(
    caplog: pytest.LogCaptureFixture,
) -> None:
    health = UpstreamHealth("idp")
    health.failed(SecretUnavailableError("gateway.toml, line 3: the file is missing; create it"))
    assert health.health.failing
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("Provider idp issues no tokens: secret_unavailable")
    assert message.endswith("gateway.toml, line 3: the file is missing; create it.")


def test_logs_json_lines(backends: Backends) -> None:
    with gateway(backends.write(), "--verbose", "--log-format", "json") as run:
        assert run.stop() == 0
        records = [json.loads(line) for line in run.log.splitlines()]
    assert "stopping" in [each["message"] for each in records]
    assert all(each["time"].endswith("Z") for each in records)
