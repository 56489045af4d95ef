"""Callers that are verified before a request gets a token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import grantway
from grantway import ConfigurationError, Credential
from grantway._wire.challenges import parse_challenges
from grantway.testing import FaultServer
from grantway.testing.faults import respond
from grantway_plugins.gateway.upstream import (
    AsgiUpstreamAuth,
    HttpxUpstreamAuth,
    RequestContext,
    RequestRejectedError,
    Route,
    UpstreamAuth,
    WsgiUpstreamAuth,
    from_claim,
    from_header,
    response_for,
    single,
)
from grantway_plugins.resource import (
    AcceptedIssuer,
    ProtectedResource,
    VerificationUnavailableError,
    VerifiedToken,
)
from grantway_plugins.testing import WorkloadIssuer
from tests.plugins.gateway.upstream.conftest import RecordingObserver
from tests.plugins.server.proofs import KEY, proof

API = "https://api.example.com"


@pytest.fixture(scope="module")
def workloads() -> Iterator[WorkloadIssuer]:
    """Run the issuer of the callers' tokens."""
    with WorkloadIssuer() as running:
        yield running


@pytest.fixture(scope="module")
def client() -> Iterator[grantway.Client]:
    """Return a client whose provider always issues the same token."""
    with (
        FaultServer(respond()) as server,
        grantway.Client(
            grantway.Provider(token_endpoint=server.token_endpoint), client_id="gateway"
        ) as made,
    ):
        yield made


class Tenants:
    """Creates credentials, and records the tenants."""

    def __init__(self, client: grantway.Client) -> None:
        self.client = client
        self.seen: list[str] = []

    def __call__(self, tenant: str) -> Credential:
        self.seen.append(tenant)
        return self.client.credential(grant_type="client_credentials", subject=tenant)


@pytest.fixture
def tenants(client: grantway.Client) -> Tenants:
    return Tenants(client)


def upstream(
    tenants: Tenants, workloads: WorkloadIssuer, observer: Any = None, **options: Any
) -> UpstreamAuth:
    usual = {
        "provider": "login",
        "credential": tenants,
        "tenant": from_claim("org_id"),
        "on_failure": "closed",
        "scopes": ("orders:read",),
    }
    inbound = ProtectedResource(API, [AcceptedIssuer(workloads.url)])
    return UpstreamAuth(
        [Route("orders", **{**usual, **options})], inbound=inbound, metrics=observer
    )


def token(workloads: WorkloadIssuer, **claims: Any) -> str:
    usual = {"org_id": "acme", "scope": "orders:read"}
    return workloads.token("ann", API, header={"typ": "at+jwt"}, **{**usual, **claims})


def request(authorization: str = "", **headers: str) -> RequestContext:
    pairs = [("Authorization", authorization)] if authorization else []
    return RequestContext.of("api.example.com", "/x", [*pairs, *headers.items()], method="GET")


def test_the_tenant_is_a_claim_of_the_token(tenants: Tenants, workloads: WorkloadIssuer) -> None:
    found = upstream(tenants, workloads).prepare(request(f"Bearer {token(workloads)}"))
    assert found is not None
    assert (found.tenant, found.header) == ("acme", ("Authorization", "Bearer at-1"))
    assert {"authorization", "dpop"} <= found.removed
    assert tenants.seen == ["acme"]


def test_a_number_is_a_tenant(tenants: Tenants, workloads: WorkloadIssuer) -> None:
    found = upstream(tenants, workloads).open(request(f"Bearer {token(workloads, org_id=7)}"))
    assert found is not None
    assert found.tenant == "7"


@pytest.mark.parametrize(
    ("org_id", "status"),
    [(None, 403), ("", 403), (["acme"], 403), (True, 403), ("a/b", 400), ("*", 400)],
)
def test_other_claims_are_no_tenant(
    tenants: Tenants, workloads: WorkloadIssuer, org_id: Any, status: int
) -> None:
    with pytest.raises(RequestRejectedError) as caught:
        upstream(tenants, workloads).open(request(f"Bearer {token(workloads, org_id=org_id)}"))
    assert caught.value.status == status
    assert not tenants.seen


@pytest.mark.parametrize("authorization", ["", "Bearer x.y.z"])
def test_a_rejection_has_a_challenge(
    tenants: Tenants,
    workloads: WorkloadIssuer,
    observer: RecordingObserver,
    authorization: str,
) -> None:
    auth = upstream(tenants, workloads, observer, on_failure="open")
    with pytest.raises(RequestRejectedError) as caught:
        auth.prepare(request(authorization))
    response = response_for(caught.value)
    assert response.status == 401
    assert json.loads(response.body)["error"] == "invalid_token"
    challenges = parse_challenges(dict(response.headers)[b"www-authenticate"].decode())
    assert challenges[0].parameters["resource_metadata"].startswith(API)
    assert observer.outcomes == ["refused"]
    assert not tenants.seen


def test_a_missing_scope_is_named(tenants: Tenants, workloads: WorkloadIssuer) -> None:
    with pytest.raises(RequestRejectedError) as caught:
        upstream(tenants, workloads).open(request(f"Bearer {token(workloads, scope='x')}"))
    response = response_for(caught.value)
    assert response.status == 403
    assert json.loads(response.body)["error"] == "insufficient_scope"


def test_a_caller_that_cannot_be_verified_gets_no_token(
    tenants: Tenants, workloads: WorkloadIssuer
) -> None:
    inbound = ProtectedResource(API, [AcceptedIssuer(workloads.url, jwks_file="/missing")])
    route = Route(
        "orders", provider="login", credential=tenants, tenant=single(), on_failure="open"
    )
    auth = UpstreamAuth([route], inbound=inbound)
    with pytest.raises(VerificationUnavailableError) as caught:
        auth.prepare(request(f"Bearer {token(workloads)}"))
    response = response_for(caught.value)
    assert response.status == 503
    assert dict(response.headers)[b"retry-after"] == b"10"
    assert not tenants.seen


def test_an_anonymous_route_verifies_nobody(tenants: Tenants, workloads: WorkloadIssuer) -> None:
    auth = upstream(tenants, workloads, scopes=(), tenant=single(), anonymous=True)
    for authorization in ("", "Bearer invalid"):
        found = auth.prepare(request(authorization))
        assert found is not None
        assert found.header == ("Authorization", "Bearer at-1")


def test_a_preflight_needs_no_token(tenants: Tenants, workloads: WorkloadIssuer) -> None:
    headers = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "GET")]
    preflight = RequestContext.of("api.example.com", "/x", headers, method="OPTIONS")
    with pytest.raises(RequestRejectedError):
        upstream(tenants, workloads).open(preflight)
    found = upstream(tenants, workloads, forward_preflight=True).open(preflight)
    assert found is not None
    assert found.bare


@pytest.mark.parametrize(
    "options",
    [
        {"scopes": ("read",)},
        {"acr_values": ("2",)},
        {"max_age": 0},
        {"tenant": from_claim("org_id")},
    ],
)
def test_a_requirement_needs_verified_callers(tenants: Tenants, options: dict[str, Any]) -> None:
    usual = {
        "provider": "login",
        "credential": tenants,
        "tenant": single(),
        "on_failure": "closed",
        **options,
    }
    with pytest.raises(ConfigurationError, match="inbound: is needed by the route 'orders'"):
        UpstreamAuth([Route("orders", **usual)])
    with pytest.raises(ConfigurationError, match="anonymous: cannot be combined"):
        Route("orders", anonymous=True, **usual)


@pytest.mark.parametrize("name", ["", None, "a\nb"])
def test_a_claim_needs_a_name(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="from_claim"):
        from_claim(name)


def test_an_invalid_requirement_names_the_route(tenants: Tenants) -> None:
    with pytest.raises(ConfigurationError, match="route 'orders': scopes"):
        Route(
            "orders",
            provider="login",
            credential=tenants,
            tenant=single(),
            on_failure="closed",
            scopes=("a b",),
        )


def test_kept_credentials_are_verified(tenants: Tenants, workloads: WorkloadIssuer) -> None:
    auth = upstream(tenants, workloads, incoming="keep", remove=("X-Client-Cert",))
    found = auth.prepare(request(f"Bearer {token(workloads)}"))
    assert found is not None
    assert found.kept
    assert found.removed == {"x-client-cert"}
    with pytest.raises(RequestRejectedError):
        auth.prepare(request("Bearer invalid"))


def test_a_bound_token_is_exchanged_as_bearer_token(
    tenants: Tenants, workloads: WorkloadIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    usual_source = Route.source

    def source(route: Route, tenant: str, authorization: str = "") -> Any:
        given.append(authorization)
        return usual_source(route, tenant)

    monkeypatch.setattr(Route, "source", source)
    auth = upstream(tenants, workloads)
    object.__setattr__(auth.routes[0], "incoming", "exchange")
    bound = token(workloads, cnf={"jkt": KEY.thumbprint()})
    header = proof(f"{API}/x", htm="GET", token=bound)
    auth.prepare(request(f"DPoP {bound}", DPoP=header))
    assert given == [f"Bearer {bound}"]


# --- adapters ---


class Recorder:
    """An ASGI and WSGI application that records its requests."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def wsgi(self, environ: Any, start_response: Any) -> list[bytes]:
        self.scopes.append(environ)
        start_response("200 OK", [])
        return [b""]


def test_asgi_applications_get_the_caller_and_none_of_its_credentials(
    tenants: Tenants, workloads: WorkloadIssuer
) -> None:
    application = Recorder()
    auth = upstream(tenants, workloads, remove=("X-Client-Cert",))
    middleware = AsgiUpstreamAuth(application.asgi, auth)

    async def run() -> list[int]:
        transport = httpx.ASGITransport(middleware)
        async with httpx.AsyncClient(transport=transport, base_url=API) as http:
            own = {"Authorization": f"Bearer {token(workloads)}"}
            more = {"DPoP": "x", "X-Client-Cert": "y", "X_Client_Cert": "z", "X-Other": "1"}
            found = [await http.get("/x", headers={**own, **more}), await http.get("/x")]
            return [each.status_code for each in found]

    assert asyncio.run(run()) == [200, 401]
    [scope] = application.scopes
    assert isinstance(scope["grantway.caller"], VerifiedToken)
    headers = dict(scope["headers"])
    assert headers[b"authorization"] == b"Bearer at-1"
    assert b"x-other" in headers
    assert not {b"dpop", b"x-client-cert", b"x_client_cert"} & headers.keys()


def test_wsgi_applications_get_the_caller(tenants: Tenants, workloads: WorkloadIssuer) -> None:
    application = Recorder()
    middleware = WsgiUpstreamAuth(application.wsgi, upstream(tenants, workloads))
    with httpx.Client(transport=httpx.WSGITransport(middleware), base_url=API) as http:
        own = {"Authorization": f"Bearer {token(workloads)}"}
        assert http.get("/x", headers=own).status_code == 200
        assert http.get("/x").status_code == 401
    [environ] = application.scopes
    assert environ["grantway.caller"].subject == "ann"
    assert environ["HTTP_AUTHORIZATION"] == "Bearer at-1"


def test_httpx_verifies_without_blocking(tenants: Tenants, workloads: WorkloadIssuer) -> None:
    auth = HttpxUpstreamAuth(upstream(tenants, workloads))
    sent: list[str] = []

    def answer(received: httpx.Request) -> httpx.Response:
        sent.append(received.headers["authorization"])
        return httpx.Response(200)

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), auth=auth) as http:
            await http.get(f"{API}/x", headers={"Authorization": f"Bearer {token(workloads)}"})
            with pytest.raises(RequestRejectedError):
                await http.get(f"{API}/x")

    asyncio.run(run())
    assert sent == ["Bearer at-1"]


def test_a_header_can_still_name_the_tenant(tenants: Tenants, workloads: WorkloadIssuer) -> None:
    auth = upstream(tenants, workloads, tenant=from_header("X-Tenant"))
    found = auth.open(request(f"Bearer {token(workloads)}", **{"X-Tenant": "umbrella"}))
    assert found is not None
    assert found.tenant == "umbrella"
