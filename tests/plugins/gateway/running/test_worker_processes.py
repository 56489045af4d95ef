"""A gateway with several worker processes: crashes, reloads, metrics and shutdown."""

from __future__ import annotations

import os
import signal
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import requests

from grantway._exceptions import ConfigurationError
from grantway_plugins.gateway._running.server import check
from grantway_plugins.testing import WorkloadIssuer
from tests import forked
from tests.certificates import Pki, digest
from tests.faults import free_port
from tests.plugins.gateway.running.conftest import Backends
from tests.plugins.gateway.running.envoys import check_method, http_request
from tests.plugins.gateway.running.programs import (
    GRANTWAY,
    PATIENCE,
    CountingProvider,
    GatewayProcess,
    Traffic,
    gateway,
    replace_file,
)
from tests.plugins.gateway.servers import asgi_server
from tests.plugins.server.proofs import KEY, proof
from tests.processes import is_running
from tests.waiting import until

pytestmark = pytest.mark.slow

API = "http://127.0.0.1"
TWO = ("--workers", "2")
REQUESTS = "grantway_requests_total{"
#: Errors of requests whose connection ended before or during the response.
LOST = ("ConnectionError", "ChunkedEncodingError")


def traffic_to(run: GatewayProcess, path: str = "/orders", **options: object) -> Traffic:
    def send_request(session: requests.Session, number: int) -> requests.Response:
        # Half of the requests use a new connection.
        headers = {"X-Tenant": f"t{number % 3}"} | ({"Connection": "close"} if number % 2 else {})
        return session.get(f"{run.url}{path}", headers=headers, timeout=PATIENCE, **options)  # type: ignore[arg-type]

    return Traffic(send_request)


def status(url: str) -> int:
    return requests.get(url, headers={"X-Tenant": "t0"}, timeout=PATIENCE).status_code


def lost(traffic: Traffic) -> int:
    """Return the number of requests without a complete response."""
    return sum(traffic.statuses[name] for name in LOST)


def test_a_killed_worker_loses_only_its_requests_and_is_replaced(backends: Backends) -> None:
    with gateway(backends.write(), *TWO) as run:
        before = run.workers
        assert len(before) == 2
        traffic, counted = traffic_to(run), [0.0]
        with traffic.running():
            traffic.wait_for_responses(40)
            counted.append(run.metric(REQUESTS))
            os.kill(before[0], signal.SIGKILL)
            code, shown = until(run.ready, lambda found: found[1]["workers"]["running"] == 1)
            assert (code, shown["status"]) == (200, "degraded")
            for _ in range(5):
                traffic.wait_for_responses(20)
                counted.append(run.metric(REQUESTS))
            until(lambda: run.ready()[1]["workers"]["running"] == 2)
            counted.append(run.metric(REQUESTS))
            failed = lost(traffic)
            traffic.wait_for_responses(60)
            counted.append(run.metric(REQUESTS))
        # Each of the four threads had at most one request there.
        assert traffic.statuses.keys() <= {200, *LOST}
        assert lost(traffic) == failed <= 4
        assert counted == sorted(counted)
        assert counted[-1] > counted[1]
        assert run.metric("grantway_worker_exits_total") == 1
        assert run.metric("grantway_workers") == 2
        after = run.workers
        assert len(after) == 2
        assert before[1] in after
        run.wait_for("Worker 1 of 2 was ended by SIGKILL; starting another in 1 s")
        assert run.ready()[1]["status"] == "ok"
        assert run.stop() == 0


def test_counts_every_request_of_both_workers(backends: Backends) -> None:
    with gateway(backends.write(), *TWO) as run:
        for _ in range(10):
            assert status(f"{run.url}/orders") == 200
        assert run.metric(REQUESTS) == 10
        # One token for each worker, because they do not share a store.
        assert run.metric("grantway_provider_calls_total{") == 2


def test_workers_that_share_a_store_fetch_a_token_once(backends: Backends) -> None:
    provider = CountingProvider("a secret")
    (backends.folder / "secret.txt").write_text("a secret")
    with asgi_server(provider) as url:
        text = (
            '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
            f'store = {{kind = "file", folder = "tokens"}}\n{provider.table(url)}'
            + backends.route(more='extra = {tenant = "{tenant}"}\n')
        )
        with gateway(backends.write(text), *TWO) as run:
            for _ in range(6):
                assert status(f"{run.url}/orders") == 200
        assert provider.issued == Counter(t0=1)


def test_a_reload_under_load_reaches_all_workers(backends: Backends) -> None:
    config = backends.write()
    with gateway(config, *TWO) as run:
        traffic = traffic_to(run)
        with traffic.running():
            traffic.wait_for_responses(20)
            good = config.read_text() + backends.route("new")
            replace_file(config, good)
            assert requests.post(f"{run.admin}/reload", timeout=PATIENCE).status_code == 200
            assert {status(f"{run.url}/new") for _ in range(6)} == {200}
            replace_file(config, good + backends.route("newer"))
            run.reload()
            until(lambda: [status(f"{run.url}/newer") for _ in range(4)] == [200] * 4)
            replace_file(config, good.replace("tenant =", "tennant ="))
            response = requests.post(f"{run.admin}/reload", timeout=PATIENCE)
            assert response.status_code == 400
            assert response.text.count("routes.orders.tennant is an unknown key") == 1
            traffic.wait_for_responses(20)
        assert set(traffic.statuses) == {200}
        # A new worker uses the accepted file, and not the invalid one.
        os.kill(run.workers[0], signal.SIGKILL)
        until(lambda: run.metric("grantway_worker_exits_total") == 1)
        until(lambda: run.ready()[1]["workers"]["running"] == 2)
        assert {status(f"{run.url}/newer") for _ in range(6)} == {200}
        assert run.log.count("Configuration reloaded") == 2
        assert run.log.count("The new configuration is invalid") == 1


def test_a_reload_reaches_a_worker_that_is_starting(backends: Backends) -> None:
    config = backends.write()
    good = config.read_text()
    with gateway(config, *TWO) as run:
        os.kill(run.workers[0], signal.SIGKILL)
        until(lambda: run.ready()[1]["workers"]["running"] == 1)
        number = 0
        while run.ready()[1]["workers"]["running"] == 1:
            number += 1
            replace_file(config, good + backends.route(f"new{number}"))
            assert requests.post(f"{run.admin}/reload", timeout=PATIENCE).status_code == 200
        assert number > 0
        assert {status(f"{run.url}/new{number}") for _ in range(6)} == {200}


def test_reload_every_works_with_workers(backends: Backends) -> None:
    config = backends.write(
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nreload_every = 0.05\n'
        + backends.provider()
        + backends.route()
    )
    with gateway(config, *TWO) as run:
        replace_file(config, config.read_text() + backends.route("new"))
        until(lambda: [status(f"{run.url}/new") for _ in range(4)] == [200] * 4)


def test_sigterm_finishes_the_requests_of_all_workers(backends: Backends) -> None:
    with gateway(backends.write(), *TWO) as run:
        port = int(run.url.rpartition(":")[2])
        head = (
            b"POST /orders HTTP/1.1\r\nHost: localhost\r\nX-Tenant: t0\r\n"
            b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
        begun = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(4)]
        for each in begun:
            each.sendall(head)
        for each in begun:  # a worker has read each head
            assert each.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            each.sendall(b"ab")
        workers = run.workers
        run.process.terminate()
        until(lambda: run.ready()[1]["status"] == "stopping")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), PATIENCE)
        for each in begun:
            each.sendall(b"cd")
            assert each.recv(65_536).startswith(b"HTTP/1.1 200")
            each.close()
        assert run.process.wait(PATIENCE) == 0
        assert not any(map(is_running, workers))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_the_gateway(backends: Backends, number: signal.Signals) -> None:
    with gateway(backends.write(), *TWO) as run, requests.Session() as idle:
        assert idle.get(f"{run.url}/orders", headers={"X-Tenant": "t0"}, timeout=PATIENCE).ok
        workers = run.workers
        run.process.send_signal(number)
        assert run.process.wait(PATIENCE) == (-number if number == signal.SIGKILL else 0)
        until(lambda: not any(map(is_running, workers)), seconds=PATIENCE)


def test_a_certificate_is_replaced_in_all_workers(backends: Backends) -> None:
    pki = Pki(backends.folder)
    first, second = pki.issue("first"), pki.issue("second")
    pki.install(first)
    config = backends.write(
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        'tls = {certificate = "server.pem", key = "server.key"}\n'
        + backends.provider()
        + backends.route()
    )
    with gateway(config, *TWO) as run:
        port = int(run.url.rpartition(":")[2])
        traffic = traffic_to(run, verify=pki.authority.certificate)
        with traffic.running():
            traffic.wait_for_responses(20)
            pki.install(second)
            until(lambda: {pki.shown(port) for _ in range(4)} == {digest(second)})
            traffic.wait_for_responses(20)
        assert set(traffic.statuses) == {200}
        expiry = second.x509.not_valid_after_utc.timestamp()
        assert run.metric("grantway_certificate_expiry_timestamp_seconds") == expiry


def test_one_worker_accepts_a_dpop_proof(backends: Backends) -> None:
    with WorkloadIssuer() as workloads:
        inbound = f'[inbound]\nresource = "{API}"\n[[inbound.issuer]]\nissuer = "{workloads.url}"\n'
        route = backends.route(tenant='"claim:org_id"')
        key = {"jkt": KEY.thumbprint()}
        bound = workloads.token("ann", API, header={"typ": "at+jwt"}, org_id="acme", cnf=key)
        with gateway(backends.write(inbound + backends.provider() + route), *TWO) as run:
            for _ in range(3):
                header = proof("http://127.0.0.1/orders", htm="GET", token=bound)
                headers = {"Authorization": f"DPoP {bound}", "DPoP": header}
                # Each connection goes to another worker.
                with ThreadPoolExecutor(4) as threads:
                    sent = [
                        threads.submit(
                            requests.get, f"{run.url}/orders", headers=headers, timeout=PATIENCE
                        )
                        for _ in range(4)
                    ]
                statuses = Counter(each.result().status_code for each in sent)
                assert statuses == {200: 1, 401: 3}
            assert run.ready()[1]["inbound"]["status"] == "ok"


def test_envoys_keep_getting_tokens_if_a_worker_ends(backends: Backends) -> None:
    config = backends.write(
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        '[authorize]\nlisten = "127.0.0.1:0"\ngrpc_listen = "127.0.0.1:0"\n'
        + backends.provider()
        + backends.route(tenant='"single"')
    )
    with gateway(config, *TWO) as run:

        def served() -> bool:
            # Each channel is a new connection.
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.insecure_channel(run.grpc, options) as channel:
                request = http_request("GET", "api.example.com", "/orders")
                # Like Envoy, connect again if the connection was one of the worker that ended.
                found = check_method(channel)(request, timeout=PATIENCE, wait_for_ready=True)
                return bool(found.status.code == 0)

        assert all(served() for _ in range(6))
        os.kill(run.workers[0], signal.SIGKILL)
        until(lambda: run.ready()[1]["workers"]["running"] == 1)
        assert all(served() for _ in range(6))
        until(lambda: run.ready()[1]["workers"]["running"] == 2)
        assert all(served() for _ in range(6))
        same = config.read_text().replace(
            'grpc_listen = "127.0.0.1:0"', f'grpc_listen = "{run.grpc}"'
        )
        code, _, stderr = start(backends.write(same, "second.toml"))
        assert code == 1
        assert "Cannot listen on 127.0.0.1" in stderr


def start(config: Path) -> tuple[int, str, str]:
    """Run a gateway that cannot start; return its status, stdout and stderr."""
    command = [*GRANTWAY, "gateway", "--config", str(config), *TWO]
    ended = forked.run(command, capture_output=True, timeout=PATIENCE)
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


def test_reports_a_mistake_once(backends: Backends) -> None:
    missing = f'[providers.gone]\nissuer = "http://127.0.0.1:{free_port()}"\nclient_id = "x"\n'
    config = backends.write(backends.provider() + backends.route() + missing)
    code, stdout, stderr = start(config)
    assert (code, stdout) == (1, "")
    assert stderr.count("providers.gone.issuer cannot be discovered") == 1
    config.write_text(config.read_text().replace("tenant =", "tennant ="))
    code, stdout, stderr = start(config)
    assert (code, stdout) == (1, "")
    assert stderr.count("routes.orders.tennant is an unknown key") == 1


def test_rotated_refresh_tokens_need_a_shared_store(backends: Backends) -> None:
    route = backends.route(grant='"refresh_token"', params='{refresh_token = "r"}')
    config = backends.write(backends.provider() + route)
    code, _, stderr = start(config)
    assert code == 1
    assert "routes.orders.grant needs a store that the workers share" in stderr
    assert 'set store in [gateway], such as {kind = "file"}' in stderr
    with pytest.raises(ConfigurationError, match="needs a store that the workers share"):
        check(config, workers=2)
    check(config)
    encrypted = config.read_text().replace(
        "[gateway]", '[gateway]\nstore = {kind = "encrypted", inner = "memory"}'
    )
    with pytest.raises(ConfigurationError, match="needs a store that the workers share"):
        check(backends.write(encrypted, "encrypted.toml"), workers=2)
    shared = config.read_text().replace(
        "[gateway]", '[gateway]\nstore = {kind = "file", folder = "tokens"}'
    )
    config.write_text(shared)
    check(config, workers=2)


def test_connections_of_users_need_a_shared_store(backends: Backends) -> None:
    config = backends.write(
        '[gateway]\nstore = "memory"\n[connections]\nurl = "https://gateway.example.com"\n'
        + backends.provider()
        + backends.route()
    )
    with pytest.raises(ConfigurationError, match="line 3: connections needs a store that the work"):
        check(config, workers=2)


def test_a_reload_without_a_worker_is_not_accepted(backends: Backends) -> None:
    config = backends.write()
    with gateway(config, *TWO) as run:
        for each in run.workers:
            os.kill(each, signal.SIGKILL)
        until(lambda: run.metric("grantway_worker_exits_total") == 2)
        replace_file(config, config.read_text() + backends.route("new"))
        response = requests.post(f"{run.admin}/reload", timeout=PATIENCE)
        if response.status_code == 400:  # unless a worker was ready again
            assert "No worker is ready" in response.text
            until(lambda: run.ready()[1]["workers"]["running"] == 2)
            assert requests.post(f"{run.admin}/reload", timeout=PATIENCE).status_code == 200
        until(lambda: run.ready()[1]["workers"]["running"] == 2)
        assert {status(f"{run.url}/new") for _ in range(4)} == {200}


@pytest.mark.parametrize("way", ["reload_every", "SIGHUP"])
def test_repeats_a_reload_for_which_no_worker_was_ready(backends: Backends, way: str) -> None:
    every = "reload_every = 0.1\n" if way == "reload_every" else ""
    config = backends.write(
        f'[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n{every}'
        + backends.provider()
        + backends.route()
    )
    with gateway(config, *TWO) as run:
        for each in run.workers:
            os.kill(each, signal.SIGKILL)
        until(lambda: run.metric("grantway_worker_exits_total") == 2)
        replace_file(config, config.read_text() + backends.route("new"))
        if way == "SIGHUP":
            run.reload()
        until(lambda: run.ready()[1]["workers"]["running"] == 2)
        until(lambda: {status(f"{run.url}/new") for _ in range(4)} == {200})
        assert run.log.count("No worker is ready") <= 1
