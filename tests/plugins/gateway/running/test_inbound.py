"""A gateway that verifies its callers (``[inbound]``)."""

# Each case of a mistake is one line.
# ruff: noqa: E501

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.serialization import Encoding

from grantway._exceptions import ConfigurationError
from grantway._wire.challenges import parse_challenges
from grantway_plugins._jose import cached_keys
from grantway_plugins.auth._step_up import step_up_of
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._running.building import build_runtime
from grantway_plugins.gateway._running.inbound import trusted_callers
from grantway_plugins.gateway._running.readiness import health_of, readiness
from grantway_plugins.issuer import IssuerServer
from grantway_plugins.resource import _token_verifier
from grantway_plugins.testing import WorkloadIssuer
from tests.certificates import issue
from tests.plugins.gateway.running.conftest import Backends, make_backends
from tests.plugins.gateway.running.programs import (
    PATIENCE,
    EchoUpstream,
    GatewayProcess,
    gateway,
)
from tests.plugins.gateway.running.test_config import GOOD, mistakes_in
from tests.plugins.server.proofs import KEY, proof
from tests.waiting import until

API = "http://127.0.0.1/api"
CLAIM = {"tenant": '"claim:org_id"'}


@pytest.fixture(scope="module")
def workloads() -> Iterator[WorkloadIssuer]:
    """Run the issuer of the callers' JWTs."""
    with WorkloadIssuer() as running:
        yield running


@pytest.fixture(scope="module")
def backends(
    issuer: IssuerServer,
    echo_server: tuple[EchoUpstream, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Backends:
    """Return the provider, which also issues opaque tokens for callers, and the echo server."""
    return make_backends(issuer, echo_server, tmp_path_factory.mktemp("gateway"))


@pytest.fixture(scope="module")
def run(backends: Backends, workloads: WorkloadIssuer) -> Iterator[GatewayProcess]:
    inbound = f"""
[inbound]
resource = "{API}"
client_certificate_header = "X-Client-Cert"
client_certificate_callers = true
dpop_nonce_key = {{ source = "file", path = "nonces.txt" }}

[[inbound.issuer]]
issuer = "{workloads.url}"

[[inbound.issuer]]
issuer = "{backends.issuer.url}"
require_audience = false

[inbound.issuer.introspection]
client_id = "{backends.client_id}"
client_secret = {{ source = "file", path = "secret.txt" }}
"""
    text = (
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        'trusted_proxies = ["127.0.0.1"]\n'
        + backends.provider()
        + backends.route(**CLAIM, scopes='["orders:read"]')
        + backends.route("public", anonymous="true", tenant='"single"')
        + backends.route("recent", **CLAIM, max_age="60", acr_values='"2 3"')
        + backends.route("opaque", tenant='"single"', scopes='"read"')
        + backends.route("certified", tenant='"claim:common_name"')
        + backends.route("named")
        + '[authorize]\nlisten = "127.0.0.1:0"\n'
        + inbound
    )
    (backends.folder / "nonces.txt").write_text("k" * 32)
    with gateway(backends.write(text)) as running:
        yield running


def get(run: GatewayProcess, path: str, authorization: str = "", **headers: str) -> Any:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if authorization:
        sent["Authorization"] = authorization
    return requests.get(f"{run.url}{path}", headers=sent, timeout=PATIENCE)


def token(workloads: WorkloadIssuer, **claims: Any) -> str:
    usual = {"org_id": "acme", "scope": "orders:read"}
    return workloads.token("ann", API, header={"typ": "at+jwt"}, **{**usual, **claims})


def test_a_verified_caller_gets_the_token_of_its_tenant(
    run: GatewayProcess, workloads: WorkloadIssuer
) -> None:
    own = f"Bearer {token(workloads)}"
    response = get(run, "/orders/1", own, dpop="x", x_client_cert="y", x_tenant="umbrella")
    assert response.status_code == 200, response.text
    headers = dict(response.json()["headers"])
    assert headers["authorization"].startswith("Bearer ")
    assert headers["authorization"] != own
    assert not {"dpop", "x-client-cert"} & headers.keys()


def test_a_caller_without_token_learns_where_to_get_one(run: GatewayProcess) -> None:
    response = get(run, "/orders")
    assert response.status_code == 401
    first, second = parse_challenges(response.headers["www-authenticate"])
    assert (first.scheme, second.scheme) == ("bearer", "dpop")
    assert first.parameters["scope"] == "orders:read"
    url = first.parameters["resource_metadata"]
    assert url == "http://127.0.0.1/.well-known/oauth-protected-resource/api"
    metadata = get(run, url.removeprefix("http://127.0.0.1"))
    assert metadata.status_code == 200
    assert metadata.headers["access-control-allow-origin"] == "*"
    found = metadata.json()
    assert found["resource"] == API
    assert found["scopes_supported"] == ["orders:read", "read"]
    assert found["tls_client_certificate_bound_access_tokens"] is True
    assert len(found["authorization_servers"]) == 2


def test_only_reads_of_the_metadata_are_allowed(run: GatewayProcess) -> None:
    url = f"{run.url}/.well-known/oauth-protected-resource/api"
    posted = requests.post(url, timeout=PATIENCE)
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    preflight = requests.options(url, timeout=PATIENCE)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-headers"] == "*"


def test_another_scope_is_forbidden(run: GatewayProcess, workloads: WorkloadIssuer) -> None:
    response = get(run, "/orders", f"Bearer {token(workloads, scope='other')}")
    assert response.status_code == 403
    assert response.json()["error"] == "insufficient_scope"
    step_up = step_up_of(403, response.headers["www-authenticate"], {"bearer"})
    assert step_up is not None
    assert step_up.scope == ("orders:read",)


def test_a_login_of_another_class_is_asked_for(
    run: GatewayProcess, workloads: WorkloadIssuer
) -> None:
    response = get(run, "/recent", f"Bearer {token(workloads)}")
    step_up = step_up_of(response.status_code, response.headers["www-authenticate"], {"bearer"})
    assert step_up is not None
    assert (step_up.acr_values, step_up.max_age) == (("2", "3"), 60)
    now = int(workloads._clock())
    stronger = token(workloads, acr="3", auth_time=now)
    assert get(run, "/recent", f"Bearer {stronger}").status_code == 200


def test_an_anonymous_route_needs_no_token(run: GatewayProcess) -> None:
    assert get(run, "/public").status_code == 200
    assert get(run, "/public", "Bearer invalid").status_code == 200


def test_a_dpop_token_is_accepted_once_for_each_proof(
    run: GatewayProcess, workloads: WorkloadIssuer
) -> None:
    bound = token(workloads, cnf={"jkt": KEY.thumbprint()})
    target = {"url": "http://127.0.0.1/orders", "htm": "GET", "token": bound}
    without = get(run, "/orders?x=1", f"DPoP {bound}", dpop=proof(**target))
    assert without.status_code == 401
    assert without.json()["error"] == "use_dpop_nonce"
    header = proof(**target, nonce=without.headers["dpop-nonce"])
    assert get(run, "/orders?x=1", f"DPoP {bound}", dpop=header).status_code == 200
    replayed = get(run, "/orders?x=1", f"DPoP {bound}", dpop=header)
    assert replayed.status_code == 401
    assert replayed.json()["error"] == "invalid_dpop_proof"
    assert get(run, "/orders", f"Bearer {bound}").status_code == 401


def test_opaque_tokens_are_introspected(run: GatewayProcess, backends: Backends) -> None:
    answer = requests.post(
        f"{backends.issuer.url}/token",
        auth=(backends.client_id, backends.client_secret),
        data={"grant_type": "client_credentials", "scope": "read"},
        timeout=PATIENCE,
    ).json()
    assert get(run, "/opaque", f"Bearer {answer['access_token']}").status_code == 200
    assert get(run, "/opaque", "Bearer unknown").status_code == 401


def test_a_certificate_from_the_proxy_is_a_caller(run: GatewayProcess, tmp_path: Path) -> None:
    certificate = issue(tmp_path, "acme").x509.public_bytes(Encoding.DER)
    value = base64.b64encode(certificate).decode()
    assert get(run, "/certified", x_client_cert=value).status_code == 200
    assert get(run, "/certified", x_client_cert="forged").status_code == 401
    assert get(run, "/orders", x_client_cert=value).status_code == 403


def test_a_proxy_in_front_gets_the_challenge(
    run: GatewayProcess, workloads: WorkloadIssuer
) -> None:
    sent = {
        "X-Original-URI": "/orders",
        "X-Original-Method": "GET",
        "X-Forwarded-Host": "api.example.com",
    }
    rejected = requests.get(f"{run.authorize}/nginx", headers=sent, timeout=PATIENCE)
    assert rejected.status_code == 401
    assert "resource_metadata" in rejected.headers["www-authenticate"]
    own = {**sent, "Authorization": f"Bearer {token(workloads)}"}
    granted = requests.get(f"{run.authorize}/nginx", headers=own, timeout=PATIENCE)
    assert granted.status_code == 200
    assert granted.headers["authorization"].startswith("Bearer ")


def test_the_log_names_routes_whose_callers_choose_the_tenant(run: GatewayProcess) -> None:
    assert "The callers of the route named are trusted to name their tenant" in run.log
    assert "route orders" not in run.log


def test_the_log_says_that_callers_are_trusted(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(GOOD)
    [warning] = trusted_callers(ConfigFile(path))
    assert warning.startswith("Callers are trusted: everyone who can send requests to 127.0.0.1:0")


# --- start, reload ---


def test_a_missing_library_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_issuer: object, _asked: object) -> None:
        raise ModuleNotFoundError("Checking JWTs needs joserfc: pip install 'grantway[jose]'.")

    monkeypatch.setattr(_token_verifier, "_keys_of", missing)
    with pytest.raises(
        ConfigurationError, match="line 18: inbound is invalid: Checking JWTs needs"
    ):
        build_runtime(config_of(tmp_path, "https://login.example.com"))


def test_an_issuer_without_introspection_endpoint_stops_the_start(
    tmp_path: Path, workloads: WorkloadIssuer
) -> None:
    config = config_of(tmp_path, workloads.url)
    text = config.path.read_text()
    config.path.write_text(f'{text}introspection = {{ client_id = "gateway" }}\n')
    with pytest.raises(ConfigurationError, match="token_endpoint"):
        build_runtime(ConfigFile(config.path, require_valid=False))


def test_the_endpoint_of_introspection_can_be_given(tmp_path: Path) -> None:
    config = config_of(tmp_path, "https://login.example.com")
    text = config.path.read_text()
    endpoint = "https://login.example.com/introspect"
    for authentication in ('client_secret = "very secret"', 'client_assertion = "very secret"'):
        table = f'introspection = {{ client_id = "x", {authentication}, endpoint = "{endpoint}" }}'
        config.path.write_text(f"{text}{table}\n")
        runtime = build_runtime(ConfigFile(config.path, require_valid=False))
        assert runtime.inbound is not None
        runtime.components.close()


def config_of(folder: Path, issuer: str, start: str = "strict") -> ConfigFile:
    path = folder / "gateway.toml"
    text = GOOD.replace("[gateway]", f'[gateway]\nstart = "{start}"')
    path.write_text(
        f'{text}\n[inbound]\nresource = "{API}"\n[[inbound.issuer]]\nissuer = "{issuer}"\n'
    )
    return ConfigFile(path, require_valid=False)


def test_keys_that_cannot_be_read_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_runtime(config_of(tmp_path, "http://127.0.0.1:1"))
    assert "line 21: inbound.issuer.1.issuer is not available: " in str(caught.value)
    assert 'start = "degraded"' in str(caught.value)


def test_an_issuer_with_another_identifier_stops_the_start(tmp_path: Path) -> None:
    with (
        WorkloadIssuer("https://new.example") as renamed,
        pytest.raises(ConfigurationError) as caught,
    ):
        build_runtime(config_of(tmp_path, renamed.url))
    assert "names the issuer 'https://new.example'" in str(caught.value)


def test_readyz_shows_issuers_that_are_not_available(
    tmp_path: Path, workloads: WorkloadIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It recovers by itself: a load balancer sends nothing to a gateway that is not ready."""
    monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
    usual = workloads.metadata
    monkeypatch.setattr(workloads, "metadata", dict)
    runtime = build_runtime(config_of(tmp_path, workloads.url, "degraded"))

    def inbound() -> dict[str, Any]:
        found = asyncio.run(health_of(runtime))
        ready = readiness({**found, "providers": {}}, "any", stopping=False)
        assert ready["ready"] is (ready["inbound"]["status"] == "ok")
        return ready["inbound"]["issuers"][workloads.url]  # type: ignore[no-any-return]

    failing = until(inbound, lambda found: "since" in found)
    assert failing["status"] == "failing"
    assert "names no issuer" in failing["error_description"]
    monkeypatch.setattr(workloads, "metadata", usual)
    assert until(inbound, lambda found: found["status"] == "ok") == {"status": "ok"}
    runtime.components.close()


def test_one_of_several_issuers_is_enough_unless_all_are_needed() -> None:
    found = {"providers": {}, "inbound": {"status": "degraded"}}
    assert readiness(found, "any", stopping=False)["ready"] is True
    assert readiness(found, "all", stopping=False)["ready"] is False


def test_metrics_count_callers_without_naming_them(
    run: GatewayProcess, workloads: WorkloadIssuer
) -> None:
    own = token(workloads)
    assert [get(run, "/orders/1", f"Bearer {own}").status_code for _ in range(2)] == [200, 200]
    assert get(run, "/orders/1", f"Bearer {own}x").status_code == 401
    assert get(run, "/orders/1").status_code == 401
    text = requests.get(f"{run.admin}/metrics", timeout=PATIENCE).text
    name = "grantway_inbound_verifications_total"
    for issuer, result in (
        (workloads.url, "accepted"),
        (workloads.url, "cached"),
        (workloads.url, "rejected"),
        ("none", "missing"),
    ):
        assert f'{name}{{issuer="{issuer}",result="{result}"}}' in text
    asked = f'{{issuer="{workloads.url}",result="ok",subject="keys"}}'
    assert f"grantway_inbound_issuer_requests_total{asked}" in text
    assert not {'"ann"', '"acme"'} & set(re.findall(r'"[^"]*"', text))
    assert own not in text
    ready = requests.get(f"{run.admin}/readyz", timeout=PATIENCE).json()
    assert ready["inbound"]["issuers"][workloads.url] == {"status": "ok"}


def test_a_degraded_start_verifies_callers_once_the_keys_can_be_read(
    tmp_path: Path, workloads: WorkloadIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
    usual = workloads.metadata
    monkeypatch.setattr(workloads, "metadata", dict)
    runtime = build_runtime(config_of(tmp_path, workloads.url, "degraded"))
    assert runtime.inbound is not None
    assert runtime.inbound.problems().keys() == {workloads.url}
    monkeypatch.setattr(workloads, "metadata", usual)
    assert not runtime.inbound.problems()
    again = build_runtime(ConfigFile(runtime.config.path), before=runtime)
    assert again.inbound is runtime.inbound  # with its caches
    again.components.close()


def test_a_reload_starts_to_verify_callers(backends: Backends, workloads: WorkloadIssuer) -> None:
    text = (
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        + backends.provider()
        + backends.route(tenant='"single"')
    )
    config = backends.write(text, "reloaded.toml")
    with gateway(config) as run:
        assert "Callers are trusted" in run.log
        assert get(run, "/orders").status_code == 200
        inbound = f'[inbound]\nresource = "{API}"\n[[inbound.issuer]]\nissuer = "{workloads.url}"\n'
        config.write_text(text + inbound)
        assert requests.post(f"{run.admin}/reload", timeout=PATIENCE).status_code == 200
        assert get(run, "/orders").status_code == 401
        assert get(run, "/orders", f"Bearer {token(workloads)}").status_code == 200
        assert get(run, "/.well-known/oauth-protected-resource/api").status_code == 200


# --- mistakes ---

INBOUND = f"""
[inbound]
resource = "{API}"

[[inbound.issuer]]
issuer = "https://login.example.com"
"""


def test_a_file_with_inbound_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(GOOD.replace('"header:X-Tenant"', '"claim:org_id"') + INBOUND)
    config = ConfigFile(path)
    assert config.inbound is not None
    assert config.inbound["issuer"] == [{"issuer": "https://login.example.com"}]


def test_a_short_key_of_nonces_is_reported_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    text = GOOD.replace('"header:X-Tenant"', '"claim:org_id"') + INBOUND
    path.write_text(text.replace("[inbound]", '[inbound]\ndpop_nonce_key = "short"'))
    with pytest.raises(ConfigurationError, match="dpop_nonce_key: must be at least 32 secret"):
        build_runtime(ConfigFile(path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("resource =", "resorce =", "18: inbound.resorce is an unknown key; did you mean resource?"),
        (f'resource = "{API}"', "", "17: inbound.resource is required"),
        (f'resource = "{API}"', 'resource = "api"', "18: inbound.resource must be an absolute https address"),
        (f'resource = "{API}"', f'resource = "{API}?x"', "18: inbound.resource must have no query"),
        (f'resource = "{API}"', 'resource = "http://x.example"', "18: inbound.resource http://x.example would send secrets in the clear"),
        ("[inbound]", "[inbound]\ncache_entries = 0", "18: inbound.cache_entries must be a whole number"),
        ("[inbound]", "[inbound]\nclient_certificate_callers = true", "18: inbound.client_certificate_callers needs client_certificate_header"),
        ("[inbound]", '[inbound]\nclient_certificate_header = "X-C"', "18: inbound.client_certificate_header needs trusted_proxies in [gateway]"),
        ("[[inbound.issuer]]", "[[inbound.issuers]]", "20: inbound.issuers is an unknown key; did you mean issuer?"),
        ("[[inbound.issuer]]", "[inbound.issuer]", "20: inbound.issuer must be tables: give at least one table [[inbound.issuer]]"),
        ('issuer = "https://login.example.com"', "", "20: inbound.issuer.1.issuer is missing"),
        ('issuer = "https://login.example.com"', 'issuer = "http://login.example.com"', "21: inbound.issuer.1.issuer "),
        ("[[inbound.issuer]]", '[[inbound.issuer]]\nalgorithms = ["HS256"]', "21: inbound.issuer.1.algorithms must contain some of"),
        ("[[inbound.issuer]]", '[[inbound.issuer]]\naudiences = "x"', "21: inbound.issuer.1.audiences must be a list of texts"),
        ("[[inbound.issuer]]", '[[inbound.issuer]]\ntypes = ["JWT"]', "21: inbound.issuer.1.types must contain types in lower case"),
        ("[[inbound.issuer]]", "[[inbound.issuer]]\nleeway = 601", "21: inbound.issuer.1.leeway must be a number of seconds"),
        ("[[inbound.issuer]]", '[[inbound.issuer]]\njwks_file = "x"\njwks_uri = "https://x.example"', "21: inbound.issuer.1.jwks_file cannot be combined with jwks_uri"),
        ("[[inbound.issuer]]", '[[inbound.issuer]]\nintrospection = {client_secret = "very secret"}', "21: inbound.issuer.1.introspection.client_id is required"),
        ("[[inbound.issuer]]", '[[inbound.issuer]]\ntypes = ["jwt"]\nintrospection = {client_id = "x"}', "21: inbound.issuer.1.types does not apply with introspection"),
        ("[[inbound.issuer]]", '[[inbound.issuer]]\nintrospection = {client_id = "x", client_secret = {source = "fiel"}}', "21: inbound.issuer.1.introspection.client_secret.source is not a known secret source"),
        ("[[inbound.issuer]]", '[[inbound.issuer]]\nissuer = "https://login.example.com"\n[[inbound.issuer]]', "23: inbound.issuer.2.issuer is in another table already"),
        ("[[inbound.issuer]]", '[[inbound.issuer]]\nissuer = "https://a.example"\nintrospection = {client_id = "x"}\n[[inbound.issuer]]\nintrospection = {client_id = "x"}', "24: inbound.issuer.2.introspection is allowed for one issuer"),
        ('path = "/orders"', 'scopes = ["a b"]', "11: routes.orders.scopes holds a name with a space"),
        ('path = "/orders"', "max_age = -1", "11: routes.orders.max_age must be a whole number"),
        ('path = "/orders"', 'anonymous = true\nscopes = ["a"]', "12: routes.orders.scopes needs a verified caller; remove it, or anonymous = true"),
        ('tenant = "header:X-Tenant"', 'tenant = "claim:org_id"\nanonymous = true', "14: routes.orders.tenant needs a verified caller"),
        ('tenant = "header:X-Tenant"', 'tenant = "claim:"', '14: routes.orders.tenant must be "single", "user", "claim:org_id"'),
    ],
)  # fmt: skip
def test_reports_a_mistake_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = GOOD + INBOUND
    assert old in text
    found = mistakes_in(tmp_path, text.replace(old, new, 1))
    assert any(each.startswith(message) for each in found), found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('path = "/orders"', 'scopes = ["a"]', "11: routes.orders.scopes needs a table [inbound]"),
        ('path = "/orders"', "max_age = 5", "11: routes.orders.max_age needs a table [inbound]"),
        ('path = "/orders"', "anonymous = true", "11: routes.orders.anonymous needs a table [inbound]"),
        ('"header:X-Tenant"', '"claim:org_id"', "14: routes.orders.tenant needs a table [inbound]"),
        ("[gateway]", "inbound = 1\n[gateway]", "1: inbound must be a table, like [inbound]"),
    ],
)  # fmt: skip
def test_a_requirement_needs_inbound(tmp_path: Path, old: str, new: str, message: str) -> None:
    found = mistakes_in(tmp_path, GOOD.replace(old, new, 1))
    assert any(each.startswith(message) for each in found), found
