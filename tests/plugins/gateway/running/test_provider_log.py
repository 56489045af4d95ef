"""A provider that gives no tokens is in the log, once a minute and without secrets."""

from __future__ import annotations

import json
import logging

import pytest
import requests

from grantway._exceptions import InvalidClientException, TransportError
from grantway_plugins.gateway._running.upstream_health import UpstreamHealth
from tests.waiting import until

from .conftest import Behind
from .programs import gateway


def test_a_rejected_secret_and_its_correction_are_logged(
    behind: Behind, http: requests.Session
) -> None:
    secret = behind.folder / "secret.txt"
    secret.write_text("a-wrong-secret\n")
    with gateway(behind.write()) as process:

        def status() -> int:
            answer = http.get(f"{process.url}/orders/x", headers={"X-Tenant": "acme"}, timeout=30)
            return answer.status_code

        assert [status() for _ in range(4)] == [503] * 4
        process.wait_for("Provider idp issues no tokens: invalid_client")
        secret.write_text(f"{behind.client_secret}\n")
        process.reload()
        until(status, lambda found: found == 200)
        process.wait_for("Provider idp works again")
        log = process.log
    assert log.count("issues no tokens: invalid_client") == 1
    assert "Affected routes: orders. Check the client ID and secret" in log
    assert "a-wrong-secret" not in log
    assert behind.client_secret not in log


def test_one_line_for_each_code_and_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    now = 0.0
    watch = UpstreamHealth("idp", lambda: now)
    rejected, dead = InvalidClientException("no"), TransportError("no")
    for error in (rejected, rejected, dead, dead, rejected):
        watch.failed(error)
        watch.works()  # another tenant's client works meanwhile
    said = [record.getMessage() for record in caplog.records]
    assert sum("invalid_client" in each and "no tokens" in each for each in said) == 1
    assert sum("works again" in each for each in said) == 2
    now = 61.0
    watch.failed(rejected)
    assert len(caplog.records) == len(said) + 1


def test_the_log_can_be_json_lines(behind: Behind) -> None:
    with gateway(behind.write(), "--verbose", "--log-format", "json") as run:
        assert run.stop() == 0
        told = [json.loads(line) for line in run.log.splitlines()]
    assert "stopping" in [each["message"] for each in told]
    assert all(each["time"].endswith("Z") for each in told)
