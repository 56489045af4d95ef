"""Real proxies in front of the gateway, with the configurations that it prints for them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

import pytest
import requests

from grantway._wire.challenges import parse_challenges
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.testing import WorkloadIssuer
from tests.faults import free_port
from tests.interop.proxies import (
    NEEDS_HAPROXY,
    caddy_file,
    envoy_file,
    haproxy_file,
    nginx_http,
    printed,
    traefik_file,
)
from tests.plugins.gateway.running.conftest import Backends, make_backends
from tests.plugins.gateway.running.programs import PATIENCE, EchoUpstream, GatewayProcess, gateway
from tests.plugins.gateway.servers import asgi_server
from tests.plugins.server.proofs import KEY, proof
from tests.raw_http import read_all
from tests.waiting import until

pytestmark = pytest.mark.slow

API = "https://api.example.com"
METADATA = "/.well-known/oauth-protected-resource"
ACME = {"X-Tenant": "acme"}
THEIRS = {**ACME, "Authorization": "Bearer of-the-caller"}


#: How to run each proxy with the printed configuration.
RUN = {
    "nginx": nginx_http,
    "envoy": envoy_file,
    "envoy-grpc": envoy_file,
    "traefik": traefik_file,
    "caddy": caddy_file,
}


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backends]:
    echo = EchoUpstream()
    with (
        IssuerServer(IssuerSettings(registration="unrestricted")) as issuer,
        asgi_server(echo) as url,
    ):
        yield make_backends(issuer, (echo, url), tmp_path_factory.mktemp("gateway"))


@pytest.fixture(scope="module")
def workloads() -> Iterator[WorkloadIssuer]:
    """Run the issuer of the callers' tokens on the route ``verified``."""
    with WorkloadIssuer() as running:
        yield running


@pytest.fixture(scope="module")
def run(backends: Backends, workloads: WorkloadIssuer) -> Iterator[GatewayProcess]:
    def anonymous(name: str, **values: str) -> str:
        return backends.route(name, anonymous="true", **values)

    config = backends.write(
        backends.provider()
        + '[providers.down]\ntoken_endpoint = "http://127.0.0.1:1/token"\nclient_id = "x"\n'
        + anonymous("orders")
        + anonymous("kept", incoming='"keep"')
        + anonymous("closed", provider='"down"')
        + anonymous("open", provider='"down"', on_failure='"open"')
        + anonymous("only", host='"own.test"', path='"/"')
        + backends.route("verified", tenant='"claim:org_id"', scopes='"read"')
        + f'[inbound]\nresource = "{API}"\ndpop_nonce_key = "{"k" * 32}"\n'
        + f'[[inbound.issuer]]\nissuer = "{workloads.url}"\n'
        + f'[authorize]\nlisten = "127.0.0.1:{free_port()}"\n'
        + f'grpc_listen = "127.0.0.1:{free_port()}"\n'
    )
    with gateway(config) as running:
        yield running


@pytest.fixture(
    scope="module",
    params=[
        *RUN,
        pytest.param("haproxy", marks=NEEDS_HAPROXY),
    ],
)
def proxy(
    request: pytest.FixtureRequest,
    backends: Backends,
    run: GatewayProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, str]]:
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    text = printed(request.param, backends.folder / "gateway.toml", port)
    text = text.replace("/run/grantway-nginx", f"{folder}/tokens")
    start = RUN.get(request.param)
    if start is None:
        script = printed("haproxy-lua", backends.folder / "gateway.toml", port)
        start = partial(haproxy_file, script=script)
    with start(folder, text, port) as url:
        # Traefik starts to listen before it loads its routers.
        until(lambda: requests.get(f"{url}/orders", timeout=PATIENCE).status_code == 403)
        yield request.param, url


@pytest.fixture
def http(backends: Backends) -> Iterator[requests.Session]:
    backends.echo.reset()
    with requests.Session() as session:
        session.trust_env = False
        yield session


def test_requests_carry_the_tenants_token(
    proxy: tuple[str, str], backends: Backends, http: requests.Session
) -> None:
    for tenant in ("acme", "umbrella", "acme"):
        response = http.post(
            f"{proxy[1]}/orders/1?x=1",
            data=b"a body",
            headers={**THEIRS, "X-Tenant": tenant},
            timeout=PATIENCE,
        )
        assert response.status_code == 200, response.text
        told = response.json()
        assert (told["method"], told["path"], told["query"]) == ("POST", "/orders/1", "x=1")
        assert told["body"] == "a body"
    tokens = backends.echo.tokens
    assert all(token.startswith("Bearer gwa_") for token in tokens)
    assert tokens[0] == tokens[2] != tokens[1]


def test_rejected_requests_reach_no_upstream(
    proxy: tuple[str, str], backends: Backends, http: requests.Session
) -> None:
    assert http.get(f"{proxy[1]}/orders", timeout=PATIENCE).status_code == 403
    closed = http.get(f"{proxy[1]}/closed", headers=THEIRS, timeout=PATIENCE)
    assert closed.status_code == 503
    assert backends.echo.requests == []


def test_callers_are_verified(
    proxy: tuple[str, str], backends: Backends, http: requests.Session, workloads: WorkloadIssuer
) -> None:
    def get(**headers: str) -> requests.Response:
        return http.get(f"{proxy[1]}/verified", headers=headers, timeout=PATIENCE)

    def token(scope: str) -> str:
        header = {"typ": "at+jwt"}
        return workloads.token("ann", API, header=header, org_id="acme", scope=scope)

    missing = get()
    assert missing.status_code == 401
    [challenge, *_] = parse_challenges(missing.headers["www-authenticate"])
    assert challenge.parameters["resource_metadata"] == f"{API}{METADATA}"
    forbidden = get(Authorization=f"Bearer {token('other')}")
    assert forbidden.status_code == 403
    [challenge, *_] = parse_challenges(forbidden.headers["www-authenticate"])
    assert challenge.parameters["error"] == "insufficient_scope"
    assert backends.echo.requests == []
    assert get(Authorization=f"Bearer {token('read')}").status_code == 200
    assert backends.echo.tokens[0].startswith("Bearer gwa_")


def test_a_proof_of_a_caller_reaches_the_gateway_only(
    proxy: tuple[str, str], backends: Backends, http: requests.Session, workloads: WorkloadIssuer
) -> None:
    """The proof is verified with the path that the proxy forwards, and each only once.

    The proxy returns the nonce that it needs.
    """
    thumbprint = KEY.thumbprint()
    token = workloads.token(
        "ann",
        API,
        header={"typ": "at+jwt"},
        org_id="acme",
        scope="read",
        cnf={"jkt": thumbprint},
    )
    own = proof(f"{API}/verified/1", htm="GET", token=token)
    headers = {"Authorization": f"DPoP {token}", "DPoP": own}
    url = f"{proxy[1]}/verified/1"
    without = http.get(url, headers=headers, timeout=PATIENCE)
    assert without.status_code == 401
    [challenge, *_] = parse_challenges(without.headers["www-authenticate"])
    assert challenge.parameters["error"] == "use_dpop_nonce"
    nonce = without.headers["dpop-nonce"]
    headers["DPoP"] = proof(f"{API}/verified/1", htm="GET", token=token, nonce=nonce)
    assert http.get(url, headers=headers, timeout=PATIENCE).status_code == 200
    assert http.get(url, headers=headers, timeout=PATIENCE).status_code == 401
    [seen] = backends.echo.requests
    assert dict(seen["headers"]).keys().isdisjoint({"dpop", "x-grantway-route"})


def test_clients_find_the_issuer(
    proxy: tuple[str, str], backends: Backends, http: requests.Session, workloads: WorkloadIssuer
) -> None:
    for host in ("api.example.com", "own.test"):
        found = http.get(f"{proxy[1]}{METADATA}", headers={"Host": host}, timeout=PATIENCE)
        assert found.status_code == 200, found.text
        assert found.headers["access-control-allow-origin"] == "*"
        metadata = found.json()
        assert metadata["resource"] == API
        assert metadata["authorization_servers"] == [workloads.url]
    assert http.options(f"{proxy[1]}{METADATA}?x=1", timeout=PATIENCE).status_code == 204
    assert http.post(f"{proxy[1]}{METADATA}", data=b"x", timeout=PATIENCE).status_code == 405
    assert backends.echo.requests == []


def test_callers_reach_nothing_else_of_the_gateway(
    proxy: tuple[str, str], backends: Backends, http: requests.Session
) -> None:
    """The listener that serves the metadata gives tokens to proxies, at other paths."""
    parts = urlsplit(proxy[1])
    for target in (
        f"/envoy/orders/../..{METADATA}",
        f"/envoy/orders/%2e%2e/%2e%2e{METADATA}",
        f"/envoy/orders/..%2f..{METADATA}",
        f"/envoy/..;/{METADATA}",
        f"/envoy//..{METADATA}",
        f"{METADATA}/../../envoy/orders",
        f"{METADATA}%2f..%2f..%2fenvoy%2forders",
        f"{METADATA}/..%2f..%2fenvoy/orders",
        f"{METADATA}#/../../../envoy/orders",
        f"/nginx{METADATA}",
        f"http://x/envoy/orders{METADATA}",
        "/%2ewell-known/oauth-protected-resource",
    ):
        lines = [f"GET {target} HTTP/1.1", "Host: x", "X-Tenant: acme", "Connection: close"]
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            response = read_all(connection)
        assert b" 200 " not in response[:20] or API.encode() in response, (target, response)
        assert b"gwa_" not in response, target
    assert backends.echo.requests == []
    assert http.get(f"{proxy[1]}{METADATA}", timeout=PATIENCE).status_code == 200


def test_keeps_or_removes_the_callers_token_by_route(
    proxy: tuple[str, str], backends: Backends, http: requests.Session
) -> None:
    for path in ("kept", "open"):
        response = http.get(f"{proxy[1]}/{path}", headers=THEIRS, timeout=PATIENCE)
        assert response.status_code == 200
    assert backends.echo.tokens == ["Bearer of-the-caller", ""]


def test_a_variant_spelling_of_the_tenant_header_reaches_no_upstream(
    proxy: tuple[str, str], backends: Backends, http: requests.Session
) -> None:
    """The header is rejected or removed, so that no upstream mistakes it for the tenant."""
    spoofed = {**ACME, "X_Tenant": "umbrella", "X_Forwarded_For": "6.6.6.6"}
    http.get(f"{proxy[1]}/orders", headers=spoofed, timeout=PATIENCE)
    for seen in backends.echo.requests:
        assert not {"x_tenant", "x_forwarded_for"} & dict(seen["headers"]).keys()


def test_callers_cannot_choose_the_path_that_the_gateway_checks(
    proxy: tuple[str, str], backends: Backends, http: requests.Session
) -> None:
    """The headers that describe a request to the gateway come from the proxy, not the caller."""
    forged = {
        "X-Original-URI": "/orders",
        "X-Original-Method": "GET",
        "X-Forwarded-Uri": "/orders",
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Host": "orders.test",
    }
    response = http.get(f"{proxy[1]}/nothing", headers={**ACME, **forged}, timeout=PATIENCE)
    assert response.status_code in {403, 404}
    assert backends.echo.requests == []


def test_callers_cannot_remove_the_token(
    proxy: tuple[str, str], backends: Backends, http: requests.Session
) -> None:
    """Proxies remove the headers listed in ``Connection``, some after adding the token."""
    for named in ("close, Authorization", "close,authorization", "AUTHORIZATION"):
        headers = {**THEIRS, "Connection": named}
        response = http.get(f"{proxy[1]}/orders", headers=headers, timeout=PATIENCE)
        assert response.status_code in {200, 400}
    assert all(token.startswith("Bearer gwa_") for token in backends.echo.tokens)


def test_no_token_for_a_method_whose_response_shows_it(
    proxy: tuple[str, str], backends: Backends, http: requests.Session
) -> None:
    response = http.request("TRACE", f"{proxy[1]}/orders", headers=ACME, timeout=PATIENCE)
    assert response.status_code in {403, 405, 501, 503}
    assert backends.echo.requests == []


def test_a_route_of_a_host_takes_precedence(
    proxy: tuple[str, str], backends: Backends, http: requests.Session
) -> None:
    for host in ("own.test", "OWN.test:80", "other.test"):
        headers = {**ACME, "Host": host, "X-Real-IP": "6.6.6.6", "X-Grantway-Route": "x"}
        response = http.get(f"{proxy[1]}/closed", headers=headers, timeout=PATIENCE)
        assert response.status_code == (503 if host == "other.test" else 200)
    for seen in backends.echo.requests:
        names = dict(seen["headers"])
        assert not {"x-real-ip", "x-grantway-route"} & names.keys()
        assert names["host"] == backends.url.removeprefix("http://")


def test_statuses_and_reasons_reach_the_caller(
    proxy: tuple[str, str], http: requests.Session
) -> None:
    nothing = http.get(f"{proxy[1]}/nothing", headers=ACME, timeout=PATIENCE)
    assert nothing.status_code == 404
