"""Metrics of an issuer: counts after real requests, bounded labels, dashboard and alerts."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import pytest
import requests
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.issuer._keys.settings import KeySettings
from grantway_plugins.issuer._metrics import IssuerMetrics
from grantway_plugins.issuer._storage.errors import DatabaseBusyError
from grantway_plugins.issuer._storage.jobs import Job
from grantway_plugins.server._http.audit_event import AuditName
from grantway_plugins.server._metrics.bounded import OTHER
from tests import dashboards
from tests.certificates import issue
from tests.docs.pages import DOCS
from tests.waiting import PATIENCE

from .conftest import Caller

DASHBOARD = json.loads((DOCS / "how-to" / "issuer-dashboard.json").read_text(encoding="utf-8"))
REFERENCE = (DOCS / "reference" / "issuer.md").read_text(encoding="utf-8")
ALERTS = dashboards.alerts("run-the-issuer-in-production.md")
QUERIES = [*dashboards.queries(DASHBOARD), *(rule["expr"] for rule in ALERTS)]
P = "grantway_issuer_"
FAILURES = f"{P}database_failures_total"


@dataclass
class Scrape:
    """The metrics after the requests of ``used``."""

    registry: CollectorRegistry
    text: str
    client: Caller
    tokens: dict[str, str]

    def value(self, name: str, **labels: str) -> float | None:
        """Return a value, as a scraper reads it."""
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                if sample.name == P + name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scrape]:
    folder = tmp_path_factory.mktemp("pki")
    authority = issue(folder, "authority")
    certificate, key = issue(folder, "server", authority).paths
    settings = IssuerSettings(registration="unrestricted", approve="auto")
    with (
        IssuerServer(settings, tls_certificate=certificate, tls_key=key, metrics_port=0) as server,
        Caller(server.url) as client,
    ):
        client.http.verify, client.http.trust_env = authority.certificate, False
        client.register_rfc(
            grant_types=["client_credentials", "refresh_token", "authorization_code"]
        )
        sent = client.http.get(client.authorize_url(), allow_redirects=False)
        code = re.search(r"[?&]code=([^&]+)", sent.headers["location"])
        assert code is not None
        tokens = client.redeem(code[1]).json()
        assert client.as_rfc("/token", grant_type="client_credentials").ok
        refreshed = client.as_rfc(
            "/token", grant_type="refresh_token", refresh_token=tokens["refresh_token"]
        )
        assert refreshed.ok
        assert client.redeem(code[1]).json()["error"] == "invalid_grant"
        assert client.as_rfc("/token", grant_type="refresh_token").status_code == 400
        for number in range(200):
            client.http.get(f"{server.url}/unknown-{number}")
        assert server.metrics_address is not None
        response = requests.get(server.metrics_address, timeout=PATIENCE)
        assert server._metrics is not None
        registry = server._metrics.metrics.registry
        yield Scrape(registry, response.text, client, tokens)


def test_counts_requests_tokens_events_and_denials(used: Scrape) -> None:
    assert used.value("requests_total", endpoint="/token", status="200") == 3
    assert used.value("requests_total", endpoint="/token", status="400") == 2
    assert used.value("requests_total", endpoint=OTHER, status="404") == 200
    assert used.value("request_seconds_count", endpoint="/token") == 5
    for grant in ("authorization_code", "client_credentials", "refresh_token"):
        assert used.value("tokens_issued_total", grant=grant, format="opaque") == 1
    assert used.value("events_total", event="registration") == 1
    assert used.value("events_total", event="login") == 2
    assert used.value("events_total", event="replay") == 1
    assert used.value("denials_total", error="invalid_grant") == 1
    assert used.value("denials_total", error="invalid_request") == 1


def test_measures_the_database_connections_and_the_certificate(used: Scrape) -> None:
    transactions = used.value("transaction_seconds_count")
    assert transactions
    assert used.value("transaction_requests_count") == transactions
    assert (used.value("transaction_requests_sum") or 0) >= transactions
    assert used.value("queue") == 0
    assert used.value("connections") == 1
    assert used.value("pruned_rows_total") == 0
    assert used.value("certificate_failures") == 0
    left = (used.value("certificate_expiry_timestamp_seconds") or 0) - time.time()
    assert 0 < left <= 86_400


def test_counts_jwts_apart_from_opaque_tokens() -> None:
    settings = IssuerSettings(
        registration="unrestricted", keys=KeySettings(enabled=True), access_token_format="jwt"
    )
    with IssuerServer(settings, metrics_port=0) as server, Caller(server.url) as client:
        client.register_rfc(grant_types=["client_credentials"])
        assert client.as_rfc("/token", grant_type="client_credentials").ok
        assert server.metrics_address is not None
        text = requests.get(server.metrics_address, timeout=PATIENCE).text
    assert f'{P}tokens_issued_total{{format="jwt",grant="client_credentials"}} 1.0' in text


def test_labels_name_no_client_user_or_token(used: Scrape) -> None:
    assert used.client.id not in used.text
    assert "local-user" not in used.text
    assert not any(token in used.text for token in used.tokens.values() if isinstance(token, str))
    assert "unknown-" not in used.text


def count_failure(registry: CollectorRegistry) -> None:
    job = Job(lambda _: None, lambda _result, _error: None)
    IssuerMetrics(registry).committed([(job, None, DatabaseBusyError("busy"))], 0.1)


def test_counts_requests_that_the_database_failed() -> None:
    registry = CollectorRegistry()
    count_failure(registry)
    assert registry.get_sample_value(FAILURES, {"error": DatabaseBusyError.code}) == 1


def test_values_of_labels_that_plugins_extend_are_limited() -> None:
    registry = CollectorRegistry()
    metrics = IssuerMetrics(registry)
    for number in range(300):
        metrics.count_token(f"urn:grant:{number}", "opaque")
    counted = registry.get_sample_value(
        f"{P}tokens_issued_total", {"grant": OTHER, "format": "opaque"}
    )
    assert counted == 200


def test_only_the_metrics_are_served_and_not_to_web_pages() -> None:
    with IssuerServer(metrics_port=0) as server:
        address = server.metrics_address
        assert address is not None
        assert requests.get(f"{server.url}/metrics", timeout=PATIENCE).status_code == 404
        assert requests.get(f"{address}/x", timeout=PATIENCE).status_code == 404
        ready = requests.get(address.replace("/metrics", "/readyz"), timeout=PATIENCE)
        assert ready.json() == {"status": "ok"}
        assert requests.post(address, timeout=PATIENCE).status_code == 405
        port = address.rpartition(":")[2].partition("/")[0]
        host = {"host": f"attacker.example:{port}"}
        assert requests.get(address, headers=host, timeout=PATIENCE).status_code == 403
        with pytest.raises(ConfigurationError) as raised:
            IssuerServer(metrics_port=int(port))
        assert set(raised.value.errors) == {"metrics_port"}
    with IssuerServer() as server:
        assert server.metrics_address is None


@pytest.fixture(scope="module")
def existing(used: Scrape) -> dict[str, set[str]]:
    """Return the samples of a real scrape, and those of failures of the database."""
    scraped = dashboards.samples(text_string_to_metric_families(used.text))
    registry = CollectorRegistry()
    count_failure(registry)
    failures = dashboards.samples(registry.collect())[FAILURES]
    assert f"# TYPE {FAILURES} counter" in used.text
    return {**scraped, FAILURES: failures}


@pytest.mark.parametrize("expression", QUERIES)
def test_queries_use_existing_metrics_and_labels(
    expression: str, existing: dict[str, set[str]]
) -> None:
    dashboards.check_query(expression, existing)


def test_every_metric_is_on_the_dashboard(existing: dict[str, set[str]]) -> None:
    shown = re.findall(r"grantway_\w+", "\n".join(dashboards.queries(DASHBOARD)))
    assert dashboards.families(shown) == dashboards.families(existing)


def test_the_dashboard_can_be_imported() -> None:
    dashboards.check_importable(DASHBOARD)
    dashboards.check_layout(DASHBOARD)


def test_alerts_have_a_summary(existing: dict[str, set[str]]) -> None:
    dashboards.check_alerts(ALERTS, existing)


def test_the_reference_lists_every_metric_with_its_labels(existing: dict[str, set[str]]) -> None:
    dashboards.check_reference(REFERENCE, existing)
    row = re.search(rf"^\| `{P}events_total` .*`event`: (.*) \|$", REFERENCE, re.MULTILINE)
    assert row is not None
    of_operators = {"client_removal", "secret_rotation"}
    assert set(re.findall(r"`(\w+)`", row[1])) == set(get_args(AuditName)) - of_operators
