"""Reloads, secret rotation and late discovery do not lose requests."""

from __future__ import annotations

import threading

import requests

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from tests.faults import free_port
from tests.plugins.gateway.running.conftest import Backends
from tests.plugins.gateway.running.programs import (
    PATIENCE,
    CountingProvider,
    Traffic,
    gateway,
    replace_file,
)
from tests.plugins.gateway.servers import asgi_server
from tests.waiting import until

ACME = {"X-Tenant": "acme"}


def test_reload_under_traffic_loses_no_request_and_keeps_tokens(backends: Backends) -> None:
    config = backends.write()
    with gateway(config) as run:
        traffic = Traffic(
            lambda session, number: session.get(
                f"{run.url}/orders", headers={"X-Tenant": f"t{number % 5}"}, timeout=PATIENCE
            )
        )
        with traffic.running():
            traffic.wait_for_responses(50)
            for more in ("new", "newer"):
                text = config.read_text() + backends.route(more, scope='["read"]')
                replace_file(config, text)
                run.reload()
                until(lambda path=f"{run.url}/{more}": _status(path) == 200)
                traffic.wait_for_responses(50)
            # A changed provider table creates new clients, but keeps the tokens.
            replace_file(config, text.replace("[providers.idp]", "[providers.idp]\ntimeout = 20"))
            assert requests.post(f"{run.admin}/reload", timeout=PATIENCE).status_code == 200
            traffic.wait_for_responses(50)
        assert set(traffic.statuses) == {200}
        forwarded = [each for each in backends.echo.requests if each["path"] == "/orders"]
        assert len({dict(each["headers"])["authorization"] for each in forwarded}) == 5


def test_invalid_file_keeps_the_current_configuration(backends: Backends) -> None:
    config = backends.write()
    good = config.read_text()
    with gateway(config) as run:
        replace_file(config, good.replace("tenant =", "tennant ="))
        run.reload()
        run.wait_for("routes.orders.tennant is an unknown key; did you mean tenant?")
        assert f"{config}, line " in run.log
        assert _status(f"{run.url}/orders") == 200
        replace_file(config, good.replace('admin = "127.0.0.1:0"', 'admin = "127.0.0.1:1"'))
        response = requests.post(f"{run.admin}/reload", timeout=PATIENCE)
        assert response.status_code == 400
        assert "line 3: gateway.admin cannot change while the gateway runs" in response.text
        unavailable = (
            f'[providers.gone]\nissuer = "http://127.0.0.1:{free_port()}"\nclient_id = "x"\n'
        )
        replace_file(config, good + unavailable)
        response = requests.post(f"{run.admin}/reload", timeout=PATIENCE)
        assert "providers.gone.issuer cannot be discovered" in response.text
        assert run.ready()[1]["providers"].keys() == {"idp"}
        replace_file(config, good)
        assert requests.post(f"{run.admin}/reload", timeout=PATIENCE).status_code == 200
        assert _status(f"{run.url}/orders") == 200


def test_reload_every_reloads_a_changed_file(backends: Backends) -> None:
    config = backends.write(
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nreload_every = 0.1\n'
        + backends.provider()
        + backends.route()
    )
    with gateway(config) as run:
        assert _status(f"{run.url}/more") == 404
        replace_file(config, config.read_text() + backends.route("more"))
        until(lambda: _status(f"{run.url}/more") == 200)


def test_rotates_a_secret_under_traffic(backends: Backends) -> None:
    secret = backends.folder / "secret.txt"
    secret.write_text("the first secret of the gateway")
    provider = CountingProvider("the first secret of the gateway")
    with asgi_server(provider) as url:
        config = backends.write(
            provider.table(url) + backends.route(more='extra = {tenant = "{tenant}"}\n')
        )
        with gateway(config, "--verbose") as run:
            traffic = Traffic(
                # Each request is for another tenant, so that each needs a new token.
                lambda session, number: session.get(
                    f"{run.url}/orders",
                    headers={"X-Tenant": f"{threading.get_ident()}-{number}"},
                    timeout=PATIENCE,
                )
            )
            with traffic.running():
                traffic.wait_for_responses(20)
                provider.secrets.add("the second secret of the gateway")
                replace_file(secret, "")  # a write in progress
                traffic.wait_for_responses(20)
                replace_file(secret, "the second secret of the gateway\n")
                run.wait_for("The secret of client gateway has changed")
                traffic.wait_for_responses(20)
                provider.secrets.discard("the first secret of the gateway")
                traffic.wait_for_responses(20)
            assert "secret of the gateway" not in run.log
    assert set(traffic.statuses) == {200}
    assert provider.rejected == 0


def test_retries_with_a_secret_that_changes_during_a_rejected_request(backends: Backends) -> None:
    secret = backends.folder / "secret.txt"
    secret.write_text("the first secret of the gateway")
    provider = CountingProvider("the second secret of the gateway")
    provider.on_rejection = lambda: replace_file(secret, "the second secret of the gateway")
    with asgi_server(provider) as url:
        config = backends.write(
            provider.table(url) + backends.route(more='extra = {tenant = "{tenant}"}\n')
        )
        with gateway(config) as run:
            assert _status(f"{run.url}/orders") == 200
    assert (provider.rejected, provider.issued["acme"]) == (1, 1)


def test_uses_a_corrected_secret(backends: Backends) -> None:
    secret = backends.folder / "secret.txt"
    secret.write_text("an invalid secret")
    with gateway(backends.write(), "--verbose") as run:
        assert _status(f"{run.url}/orders") == 503
        status, payload = run.ready()
        assert (status, payload["providers"]["idp"]["error"]) == (503, "invalid_client")
        assert "an invalid secret" not in run.log
        replace_file(secret, backends.client_secret)
        until(lambda: _status(f"{run.url}/orders") == 200)
        assert run.ready()[0] == 200
        assert backends.client_secret not in run.log


def test_uses_a_provider_that_starts_late(backends: Backends) -> None:
    port = free_port()
    late = f"http://127.0.0.1:{port}"
    config = backends.write(
        '[gateway]\nstart = "degraded"\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        + backends.provider()
        + f'[providers.late]\nissuer = "{late}"\nclient_id = "x"\n'
        + 'client_secret = {source = "file", path = "late.txt"}\n'
        + backends.route()
        + backends.route("closed", provider='"late"')
        + backends.route("open", provider='"late"', on_failure='"open"')
    )
    (backends.folder / "late.txt").write_text("not known yet")
    with gateway(config) as run:
        assert _status(f"{run.url}/orders") == 200
        assert _status(f"{run.url}/closed") == 503
        assert _status(f"{run.url}/open") == 200
        assert backends.echo.tokens[-1] == ""
        status, payload = run.ready()
        assert (status, payload["status"]) == (200, "degraded")
        assert payload["providers"]["late"]["discovered"] is False
        assert payload["providers"]["late"]["error"] == "connection_failed"
        assert payload["providers"]["idp"]["status"] == "ok"
        with IssuerServer(IssuerSettings(registration="unrestricted"), port=port) as issuer:
            other = Backends(issuer, backends.echo, backends.url, backends.folder)
            client = other.register()
            text = config.read_text().replace(
                'client_id = "x"', f'client_id = "{client["client_id"]}"'
            )
            (backends.folder / "late.txt").write_text(client["client_secret"])
            replace_file(config, text)
            run.reload()
            until(lambda: _status(f"{run.url}/closed") == 200)
            assert backends.echo.tokens[-1].startswith("Bearer gwa_")
            assert run.ready()[1]["providers"]["late"]["discovered"] is True


def test_discovers_a_late_provider_without_a_reload(backends: Backends) -> None:
    port = free_port()
    config = backends.write(
        '[gateway]\nstart = "degraded"\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        f'[providers.idp]\nissuer = "http://127.0.0.1:{port}"\n'
        'client_id = "x"\nclient_secret = "y"\n' + backends.route()
    )
    with gateway(config) as run:
        assert run.ready()[0] == 503
        with IssuerServer(IssuerSettings(registration="unrestricted"), port=port):
            until(lambda: run.ready()[1]["providers"]["idp"]["discovered"])
            run.wait_for("Discovered: idp")
            # The request reaches the provider, where the client is not registered.
            assert _status(f"{run.url}/orders") == 503
            assert run.ready()[1]["providers"]["idp"]["error"] == "invalid_client"


def test_ready_all_requires_every_provider(backends: Backends) -> None:
    config = backends.write(
        '[gateway]\nstart = "degraded"\nready = "all"\n'
        'listen = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        + backends.provider()
        + f'[providers.late]\nissuer = "http://127.0.0.1:{free_port()}"\nclient_id = "x"\n'
        + backends.route()
    )
    with gateway(config) as run:
        status, payload = run.ready()
        assert (status, payload["ready"], payload["status"]) == (503, False, "degraded")
        assert _status(f"{run.url}/orders") == 200


def test_serves_the_admin_pages(backends: Backends) -> None:
    with gateway(backends.write()) as run:
        assert requests.get(f"{run.admin}/healthz", timeout=PATIENCE).json()["status"] == "ok"
        assert _status(f"{run.url}/orders") == 200
        assert _status(f"{run.url}/orders") == 200
        metrics = requests.get(f"{run.admin}/metrics", timeout=PATIENCE)
        assert 'grantway_token_hits_total{provider="idp",route="orders"} 1.0' in metrics.text
        assert 'outcome="ok",provider="idp"' in metrics.text
        assert "acme" not in metrics.text
        for method, path, status in (
            ("GET", "/", 404),
            ("GET", "/reload", 404),
            ("POST", "/readyz", 405),
            ("GET", "/orders", 404),
        ):
            found = requests.request(method, f"{run.admin}{path}", headers=ACME, timeout=PATIENCE)
            assert found.status_code == status
        assert _status(f"{run.url}/metrics") == 404
        output = metrics.text + run.log + str(run.ready())
        assert backends.client_secret not in output
        assert backends.echo.tokens[0].removeprefix("Bearer ") not in output


def test_a_rejected_file_does_not_change_metrics(backends: Backends) -> None:
    unavailable = f"http://127.0.0.1:{free_port()}"
    down = f'[providers.down]\ntoken_endpoint = "{unavailable}/token"\nclient_id = "x"\n'
    good = backends.provider() + down + "breaker = {failures = 1}\n"
    good += backends.route(provider='"down"')
    config = backends.write(good)
    gone = f'[providers.gone]\nissuer = "{unavailable}"\nclient_id = "x"\n'
    with gateway(config) as run:
        text = config.read_text().replace("failures = 1", "failures = 2")
        replace_file(config, text + gone)
        assert requests.post(f"{run.admin}/reload", timeout=PATIENCE).status_code == 400
        assert _status(f"{run.url}/orders") == 503
        metrics = requests.get(f"{run.admin}/metrics", timeout=PATIENCE).text
    assert 'grantway_breaker_state{provider="down"} 2.0' in metrics


def test_pages_of_other_sites_cannot_reach_the_admin_listener(backends: Backends) -> None:
    with gateway(backends.write()) as run:
        rebound = {"Host": run.admin.replace("http://127.0.0.1", "page.test")}
        for method, path in (("GET", "/readyz"), ("GET", "/metrics"), ("POST", "/reload")):
            found = requests.request(
                method, f"{run.admin}{path}", headers=rebound, timeout=PATIENCE
            )
            assert found.status_code == 403
        page = {"Origin": "http://page.test"}
        found = requests.post(f"{run.admin}/reload", headers=page, timeout=PATIENCE)
        assert found.status_code == 403
        assert "reloaded" not in run.log
        forwarded = {"Host": "localhost:9999"}
        assert requests.post(f"{run.admin}/reload", headers=forwarded, timeout=PATIENCE).ok


def _status(url: str) -> int:
    return requests.get(url, headers=ACME, timeout=PATIENCE).status_code
