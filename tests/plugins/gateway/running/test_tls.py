"""TLS of the gateway: rotation under load, and certificates that cannot be used."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import requests

from grantway._exceptions import ConfigurationError
from grantway_plugins.gateway._running.server import check
from tests.certificates import Pki, digest
from tests.plugins.gateway.running.conftest import Backends
from tests.plugins.gateway.running.programs import (
    PATIENCE,
    Traffic,
    gateway,
    replace_file,
)
from tests.waiting import until

ACME = {"X-Tenant": "acme"}


def configure(backends: Backends, tls: str) -> Path:
    return backends.write(
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        f"[gateway.tls]\n{tls}\n" + backends.provider() + backends.route()
    )


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def test_a_certificate_is_replaced_under_load_and_no_request_fails(
    backends: Backends, pki: Pki
) -> None:
    first, second = pki.issue("first"), pki.issue("second")
    pki.install(first)
    config = configure(backends, 'certificate = "server.pem"\nkey = "server.key"')
    with gateway(config) as run, requests.Session() as kept:
        assert run.url.startswith("https://127.0.0.1:")
        assert run.admin.startswith("http://127.0.0.1:")
        port = int(run.url.rpartition(":")[2])
        kept.trust_env, kept.verify = False, pki.authority.certificate

        def send_request(session: requests.Session, number: int) -> requests.Response:
            session.verify = pki.authority.certificate
            # Half of the requests use a new connection.
            connection = {"Connection": "close"} if number % 2 else {}
            return session.get(f"{run.url}/orders", headers=ACME | connection, timeout=PATIENCE)

        response = kept.get(f"{run.url}/orders", headers=ACME, timeout=PATIENCE)
        forwarded = dict(response.json()["headers"])
        assert forwarded["x-forwarded-proto"] == "https"
        assert forwarded["x-forwarded-host"] == f"127.0.0.1:{port}"
        traffic = Traffic(send_request)
        with traffic.running():
            traffic.wait_for_responses(50)
            assert pki.shown(port) == digest(first)
            pki.install(second)
            until(lambda: pki.shown(port), digest(second).__eq__)
            traffic.wait_for_responses(50)
            # A reload keeps the certificate and the connections.
            assert requests.post(f"{run.admin}/reload", timeout=PATIENCE).status_code == 200
            traffic.wait_for_responses(50)
        assert set(traffic.statuses) == {200}
        status, health = run.ready()
        expiry = int(second.x509.not_valid_after_utc.timestamp())
        assert (status, health["certificate"]) == (200, {"status": "ok", "expires": expiry})
        run.wait_for("Using the TLS certificate")


def test_a_broken_certificate_keeps_the_previous_one_and_is_reported(
    backends: Backends, pki: Pki
) -> None:
    first = pki.issue("first")
    pki.install(first)
    config = configure(backends, 'certificate = "server.pem"\nkey = "server.key"')
    with gateway(config) as run:
        port = int(run.url.rpartition(":")[2])
        pki.files[1].write_bytes(Path(pki.issue("other").key).read_bytes())
        run.wait_for("The new TLS certificate cannot be used, so the previous one")
        assert pki.shown(port) == digest(first)
        status, health = run.ready()
        assert (status, health["status"]) == (200, "degraded")
        assert health["certificate"]["status"] == "degraded"
        assert (
            f"{pki.files[1]} does not belong to the certificate"
            in (health["certificate"]["error_description"])
        )
        metrics = requests.get(f"{run.admin}/metrics", timeout=PATIENCE).text
        assert "grantway_certificate_failures 1.0" in metrics
        assert "grantway_certificate_expiry_timestamp_seconds" in metrics
        # Another pair of files needs a restart, because the listener has its certificate.
        replace_file(config, config.read_text().replace("server.key", "other.key"))
        response = requests.post(f"{run.admin}/reload", timeout=PATIENCE)
        assert response.status_code == 400
        assert "gateway.tls cannot change while the gateway runs" in response.text
        pki.install(pki.issue("second"))
        until(lambda: run.ready()[1]["status"] == "ok")


def test_an_expired_certificate_is_reported(backends: Backends, pki: Pki) -> None:
    pki.install(pki.issue("expired", left=dt.timedelta(hours=-1)))
    config = configure(backends, 'certificate = "server.pem"\nkey = "server.key"')
    with gateway(config) as run:
        assert run.ready()[1]["certificate"]["status"] == "degraded"


@pytest.mark.parametrize(
    ("tls", "says"),
    [
        ('key = "server.key"', "gateway.tls.certificate is missing; name a PEM file"),
        (
            'certificate = "gone.pem"',
            "line 5: gateway.tls.certificate {folder}/gone.pem cannot be read",
        ),
        (
            'certificate = "authority.pem"\nkey = "server.key"',
            "line 6: gateway.tls.key {folder}/server.key does not belong to the certificate",
        ),
        ("certificate = 1", "gateway.tls.certificate must be a path"),
        ('cert = "server.pem"', "gateway.tls.cert is an unknown key; there are certificate, key"),
    ],
)
def test_names_the_line_of_a_mistake(backends: Backends, pki: Pki, tls: str, says: str) -> None:
    pki.install(pki.issue("server"))
    with pytest.raises(ConfigurationError) as raised:
        check(configure(backends, tls))
    assert says.format(folder=pki.folder) in raised.value.message
