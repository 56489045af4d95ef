"""Reloads, secret rotation and late discovery do not lose requests."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from tests.faults import free_port
from tests.plugins.gateway.running.conftest import Behind
from tests.plugins.gateway.running.programs import PATIENCE, CountingProvider, gateway
from tests.plugins.gateway.servers import asgi_server
from tests.waiting import until

ACME = {"X-Tenant": "acme"}


class Traffic:
    """Threads that send requests continuously.

    Attributes:
        statuses: Number of responses by status.
    """

    def __init__(self, ask: Callable[[requests.Session, int], requests.Response]) -> None:
        self.statuses: Counter[int | str] = Counter()
        self._ask = ask
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]

    def _run(self) -> None:
        number = 0
        with requests.Session() as session:
            session.trust_env = False
            while not self._ended.is_set():
                number += 1
                try:
                    self.statuses[self._ask(session, number).status_code] += 1
                except requests.RequestException as error:
                    self.statuses[type(error).__name__] += 1

    def go_on_for(self, answers: int) -> None:
        """Wait for so many more responses."""
        wanted = self.statuses.total() + answers
        until(lambda: self.statuses.total() >= wanted)

    @contextmanager
    def running(self) -> Iterator[None]:
        for each in self._threads:
            each.start()
        try:
            yield
        finally:
            self._ended.set()
            for each in self._threads:
                each.join(PATIENCE)


def replace_file(path: Path, text: str) -> None:
    """Replace a file atomically, which gives it a new inode."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text)
    fresh.replace(path)


def test_a_reload_under_traffic_loses_no_request_and_keeps_tokens(behind: Behind) -> None:
    config = behind.write()
    with gateway(config) as run:
        traffic = Traffic(
            lambda session, number: session.get(
                f"{run.url}/orders", headers={"X-Tenant": f"t{number % 5}"}, timeout=PATIENCE
            )
        )
        with traffic.running():
            traffic.go_on_for(50)
            for more in ("new", "newer"):
                text = config.read_text() + behind.route(more, scope='["read"]')
                replace_file(config, text)
                run.reload()
                until(lambda path=f"{run.url}/{more}": _status(path) == 200)
                traffic.go_on_for(50)
            # A changed provider table creates new clients, but keeps the tokens.
            replace_file(config, text.replace("[providers.idp]", "[providers.idp]\ntimeout = 20"))
            assert requests.post(f"{run.admin}/reload", timeout=PATIENCE).status_code == 200
            traffic.go_on_for(50)
        assert set(traffic.statuses) == {200}
        asked = [each for each in behind.echo.requests if each["path"] == "/orders"]
        assert len({dict(each["headers"])["authorization"] for each in asked}) == 5


def test_an_invalid_file_keeps_the_old_configuration(behind: Behind) -> None:
    config = behind.write()
    good = config.read_text()
    with gateway(config) as run:
        replace_file(config, good.replace("tenant =", "tennant ="))
        run.reload()
        run.wait_for("routes.orders.tennant is an unknown key; did you mean tenant?")
        assert f"{config}, line " in run.log
        assert _status(f"{run.url}/orders") == 200
        replace_file(config, good.replace('admin = "127.0.0.1:0"', 'admin = "127.0.0.1:1"'))
        answer = requests.post(f"{run.admin}/reload", timeout=PATIENCE)
        assert answer.status_code == 400
        assert "line 3: gateway.admin cannot change while the gateway runs" in answer.text
        nobody = f'[providers.gone]\nissuer = "http://127.0.0.1:{free_port()}"\nclient_id = "x"\n'
        replace_file(config, good + nobody)
        answer = requests.post(f"{run.admin}/reload", timeout=PATIENCE)
        assert "providers.gone.issuer cannot be discovered" in answer.text
        assert run.ready()[1]["providers"].keys() == {"idp"}
        replace_file(config, good)
        assert requests.post(f"{run.admin}/reload", timeout=PATIENCE).status_code == 200
        assert _status(f"{run.url}/orders") == 200


def test_reload_every_reloads_a_changed_file(behind: Behind) -> None:
    config = behind.write(
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nreload_every = 0.1\n'
        + behind.provider()
        + behind.route()
    )
    with gateway(config) as run:
        assert _status(f"{run.url}/more") == 404
        replace_file(config, config.read_text() + behind.route("more"))
        until(lambda: _status(f"{run.url}/more") == 200)


def test_rotates_a_secret_under_traffic(behind: Behind) -> None:
    secret = behind.folder / "secret.txt"
    secret.write_text("the first secret of the gateway")
    provider = CountingProvider("the first secret of the gateway")
    with asgi_server(provider) as url:
        config = behind.write(
            provider.table(url) + behind.route(more='extra = {tenant = "{tenant}"}\n')
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
                traffic.go_on_for(20)
                provider.secrets.add("the second secret of the gateway")
                replace_file(secret, "")  # a write in progress
                traffic.go_on_for(20)
                replace_file(secret, "the second secret of the gateway\n")
                run.wait_for("The secret of client gateway has changed")
                traffic.go_on_for(20)
                provider.secrets.discard("the first secret of the gateway")
                traffic.go_on_for(20)
            assert "secret of the gateway" not in run.log
    assert set(traffic.statuses) == {200}
    assert provider.refused == 0


def test_retries_with_a_secret_that_changes_during_a_rejected_request(behind: Behind) -> None:
    secret = behind.folder / "secret.txt"
    secret.write_text("the first secret of the gateway")
    provider = CountingProvider("the second secret of the gateway")
    provider.refusing = lambda: replace_file(secret, "the second secret of the gateway")
    with asgi_server(provider) as url:
        config = behind.write(
            provider.table(url) + behind.route(more='extra = {tenant = "{tenant}"}\n')
        )
        with gateway(config) as run:
            assert _status(f"{run.url}/orders") == 200
    assert (provider.refused, provider.issued["acme"]) == (1, 1)


def test_uses_a_corrected_secret(behind: Behind) -> None:
    secret = behind.folder / "secret.txt"
    secret.write_text("not the right one")
    with gateway(behind.write(), "--verbose") as run:
        assert _status(f"{run.url}/orders") == 503
        status, told = run.ready()
        assert (status, told["providers"]["idp"]["error"]) == (503, "invalid_client")
        assert "not the right one" not in run.log
        replace_file(secret, behind.client_secret)
        until(lambda: _status(f"{run.url}/orders") == 200)
        assert run.ready()[0] == 200
        assert behind.client_secret not in run.log


def test_uses_a_provider_that_starts_late(behind: Behind) -> None:
    port = free_port()
    late = f"http://127.0.0.1:{port}"
    config = behind.write(
        '[gateway]\nstart = "degraded"\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        + behind.provider()
        + f'[providers.late]\nissuer = "{late}"\nclient_id = "x"\nclient_secret_file = "late.txt"\n'
        + behind.route()
        + behind.route("closed", provider='"late"')
        + behind.route("open", provider='"late"', on_failure='"open"')
    )
    (behind.folder / "late.txt").write_text("not known yet")
    with gateway(config) as run:
        assert _status(f"{run.url}/orders") == 200
        assert _status(f"{run.url}/closed") == 503
        assert _status(f"{run.url}/open") == 200
        assert behind.echo.tokens[-1] == ""
        status, told = run.ready()
        assert (status, told["status"]) == (200, "degraded")
        assert told["providers"]["late"]["discovered"] is False
        assert told["providers"]["late"]["error"] == "connection_failed"
        assert told["providers"]["idp"]["status"] == "ok"
        with IssuerServer(IssuerSettings(registration="unrestricted"), port=port) as issuer:
            other = Behind(issuer, behind.echo, behind.url, behind.folder)
            client = other.register()
            text = config.read_text().replace(
                'client_id = "x"', f'client_id = "{client["client_id"]}"'
            )
            (behind.folder / "late.txt").write_text(client["client_secret"])
            replace_file(config, text)
            run.reload()
            until(lambda: _status(f"{run.url}/closed") == 200)
            assert behind.echo.tokens[-1].startswith("Bearer gwa_")
            assert run.ready()[1]["providers"]["late"]["discovered"] is True


def test_discovers_a_late_provider_without_a_reload(behind: Behind) -> None:
    port = free_port()
    config = behind.write(
        '[gateway]\nstart = "degraded"\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        f'[providers.idp]\nissuer = "http://127.0.0.1:{port}"\n'
        'client_id = "x"\nclient_secret = "y"\n' + behind.route()
    )
    with gateway(config) as run:
        assert run.ready()[0] == 503
        with IssuerServer(IssuerSettings(registration="unrestricted"), port=port):
            until(lambda: run.ready()[1]["providers"]["idp"]["discovered"])
            run.wait_for("Discovered: idp")
            # The provider gets the request now, but does not know the client.
            assert _status(f"{run.url}/orders") == 503
            assert run.ready()[1]["providers"]["idp"]["error"] == "invalid_client"


def test_ready_all_requires_every_provider(behind: Behind) -> None:
    config = behind.write(
        '[gateway]\nstart = "degraded"\nready = "all"\n'
        'listen = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        + behind.provider()
        + f'[providers.late]\nissuer = "http://127.0.0.1:{free_port()}"\nclient_id = "x"\n'
        + behind.route()
    )
    with gateway(config) as run:
        status, told = run.ready()
        assert (status, told["ready"], told["status"]) == (503, False, "degraded")
        assert _status(f"{run.url}/orders") == 200


def test_serves_the_admin_pages(behind: Behind) -> None:
    with gateway(behind.write()) as run:
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
        everything = metrics.text + run.log + str(run.ready())
        assert behind.client_secret not in everything
        assert behind.echo.tokens[0].removeprefix("Bearer ") not in everything


def test_a_rejected_file_does_not_change_metrics(behind: Behind) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    down = f'[providers.down]\ntoken_endpoint = "{nobody}/token"\nclient_id = "x"\n'
    good = behind.provider() + down + "breaker = {failures = 1}\n"
    good += behind.route(provider='"down"')
    config = behind.write(good)
    gone = f'[providers.gone]\nissuer = "{nobody}"\nclient_id = "x"\n'
    with gateway(config) as run:
        text = config.read_text().replace("failures = 1", "failures = 2")
        replace_file(config, text + gone)
        assert requests.post(f"{run.admin}/reload", timeout=PATIENCE).status_code == 400
        assert _status(f"{run.url}/orders") == 503
        metrics = requests.get(f"{run.admin}/metrics", timeout=PATIENCE).text
    assert 'grantway_breaker_state{provider="down"} 2.0' in metrics


def test_browsers_of_other_sites_cannot_reach_the_admin_pages(behind: Behind) -> None:
    with gateway(behind.write()) as run:
        pointed = {"Host": run.admin.replace("http://127.0.0.1", "page.test")}
        for method, path in (("GET", "/readyz"), ("GET", "/metrics"), ("POST", "/reload")):
            found = requests.request(
                method, f"{run.admin}{path}", headers=pointed, timeout=PATIENCE
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
