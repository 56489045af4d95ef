"""The ASGI and WSGI middleware, in front of a proxy on a real server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

import grantway
from grantway._credentials.pool import CredentialPool
from grantway_plugins.gateway.upstream import (
    RequestRejectedError,
    Route,
    UpstreamAuth,
    from_path,
    from_principal,
    single,
)
from tests.plugins.gateway.upstream.conftest import Gateway, RecordingObserver
from tests.plugins.gateway.upstream.servers import CHALLENGE, OrdersServer, Tenants

Make = Callable[..., UpstreamAuth]
ACME = {"X-Tenant": "acme"}


def dead_pool() -> CredentialPool:
    """Credentials of an unreachable provider, on a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = grantway.Client(
        grantway.Provider(token_endpoint=f"http://127.0.0.1:{port}/token"),
        client_id="gateway",
        client_secret="x" * 40,
        retry=grantway.RetryPolicy(attempts=1),
        timeout=10,
    )
    return client.credential_pool(grant_type="client_credentials")


def test_each_tenant_gets_its_own_token(
    gateway: Gateway,
    upstream: Make,
    tenants: Tenants,
    http: requests.Session,
    observer: RecordingObserver,
) -> None:
    url = gateway(upstream())
    for tenant in ("acme", "globex", "acme"):
        response = http.post(f"{url}/a", data=b"body", headers={"X-Tenant": tenant}, timeout=30)
        assert response.status_code == 200
        assert response.json() == {
            "tenant": [tenant],
            "sub": tenants.application.secrets[0],
            "body": "body",
        }
    assert tenants.issued == {"acme": 1, "globex": 1}
    assert observer.hits == ["orders"]
    assert len(observer.waits) == 2
    assert observer.outcomes == ["injected"] * 3


def test_rejects_trace(
    gateway: Gateway, upstream: Make, tenants: Tenants, http: requests.Session
) -> None:
    """The response would show the token to the sender (RFC 9110 section 9.3.8)."""
    response = http.request("TRACE", f"{gateway(upstream())}/a", headers=ACME, timeout=30)
    assert (response.status_code, response.json()["error"]) == (501, "invalid_request")
    assert not tenants.issued


@pytest.mark.parametrize(
    ("tenant", "status"),
    [
        (None, 403),
        ("", 403),
        ("a b", 400),
        ("a/b", 400),
        ("*", 400),
        ("a,b", 400),
        ("x" * 129, 400),
    ],
)
def test_rejects_a_request_without_a_tenant(
    *,
    gateway: Gateway,
    upstream: Make,
    orders: OrdersServer,
    http: requests.Session,
    observer: RecordingObserver,
    tenant: str | None,
    status: int,
) -> None:
    headers = {} if tenant is None else {"X-Tenant": tenant}
    response = http.get(gateway(upstream(on_failure="open")), headers=headers, timeout=30)
    assert response.status_code == status
    assert response.headers["Cache-Control"] == "no-store"
    assert orders.seen == []
    assert observer.outcomes == ["refused"]


def test_rejects_an_unknown_tenant(
    gateway: Gateway, upstream: Make, orders: OrdersServer, http: requests.Session
) -> None:
    def make(_tenant: str) -> Any:
        raise RequestRejectedError("There is no such tenant", status=403)

    response = http.get(
        gateway(upstream(credential=make, on_failure="open")), headers=ACME, timeout=30
    )
    assert (response.status_code, response.json()["error"]) == (403, "access_denied")
    assert orders.seen == []


def test_a_shared_token_must_be_configured(
    gateway: Gateway, upstream: Make, tenants: Tenants, http: requests.Session
) -> None:
    url = gateway(upstream(tenant=single()))
    assert [http.get(url, timeout=30).json()["tenant"] for _ in range(2)] == [["*"], ["*"]]
    assert tenants.issued == {"*": 1}


def test_leaves_requests_outside_the_routes_unchanged(
    gateway: Gateway,
    upstream: Make,
    orders: OrdersServer,
    http: requests.Session,
    observer: RecordingObserver,
) -> None:
    url = gateway(upstream(path="/orders"))
    headers = {"Authorization": "Bearer from-caller", "X-Open": "1"}
    assert http.get(f"{url}/orders2", headers=headers, timeout=30).status_code == 200
    assert orders.tokens == ["from-caller"]
    assert observer.outcomes == []


@pytest.mark.parametrize("path", ["/orders/%2e%2e/admin", "/orders//1", "/orders%2f1", "/o/..;/x"])
def test_rejects_an_ambiguous_path(
    gateway: Gateway, upstream: Make, orders: OrdersServer, path: str
) -> None:
    # HTTP libraries would normalise the path.
    url = urlsplit(gateway(upstream(path="/orders")))
    assert url.hostname
    assert url.port
    with socket.create_connection((url.hostname, url.port), timeout=30) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Tenant: a\r\nConnection: close\r\n\r\n".encode()
        )
        response = connection.makefile("rb").read()
    if b" 400 " not in response.split(b"\r\n")[0]:
        # wsgiref provides only the decoded path, which is an ordinary one.
        assert path == "/orders%2f1"
        assert [each.target for each in orders.seen] == ["/orders/1"]
    else:
        assert orders.seen == []


def test_replaces_the_callers_credentials(
    gateway: Gateway, upstream: Make, orders: OrdersServer, http: requests.Session
) -> None:
    url = gateway(upstream(header="X-Api-Key", scheme=""))
    incoming = {
        **ACME,
        "Authorization": "Basic dGhlaXJzOng=",
        "X-Api-Key": "from-caller",
        "X_Api_Key": "from-caller",
        "X-Open": "1",
    }
    assert http.get(url, headers=incoming, timeout=30).status_code == 200
    seen = orders.seen[0].headers
    assert "authorization" not in seen
    assert "from-caller" not in str(seen)
    assert len(seen["x-api-key"]) > 20


def test_keeps_the_callers_credentials_on_routes_that_allow_it(
    gateway: Gateway,
    upstream: Make,
    orders: OrdersServer,
    http: requests.Session,
    observer: RecordingObserver,
) -> None:
    url = gateway(upstream(incoming="keep"))
    incoming = {"Authorization": "Bearer from-caller", "X-Open": "1"}
    assert http.get(url, headers=incoming, timeout=30).status_code == 200
    assert http.get(url, headers=ACME, timeout=30).json()["tenant"] == ["acme"]
    assert orders.tokens[0] == "from-caller"
    assert observer.outcomes == ["kept", "injected"]


def test_rejects_two_authorization_headers(
    gateway: Gateway, upstream: Make, orders: OrdersServer
) -> None:
    url = urlsplit(gateway(upstream(incoming="keep")))
    assert url.hostname
    assert url.port
    with socket.create_connection((url.hostname, url.port), timeout=30) as connection:
        connection.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nX-Tenant: a\r\nAuthorization: Bearer a\r\n"
            b"Authorization: Bearer b\r\nConnection: close\r\n\r\n"
        )
        response = connection.makefile("rb").read()
    assert b" 400 " in response.split(b"\r\n")[0]
    assert orders.seen == []


@pytest.mark.parametrize("body", [b"", b"short", b"x" * 60_000])
def test_replaces_a_rejected_token_and_resends_the_request(
    *,
    gateway: Gateway,
    upstream: Make,
    orders: OrdersServer,
    tenants: Tenants,
    http: requests.Session,
    observer: RecordingObserver,
    body: bytes,
) -> None:
    url = gateway(upstream())
    tenants.application.revoke(tenants.pool.token("acme"))
    response = http.post(f"{url}/x?a=1", data=body, headers=ACME, timeout=30)
    assert response.status_code == 200
    assert response.json()["body"] == body.decode()
    assert response.json()["tenant"] == ["acme"]
    assert [each.body for each in orders.seen] == [body, body]
    assert len(set(orders.tokens)) == 2
    assert tenants.issued == {"acme": 2}
    assert observer.outcomes == ["injected", "rejected", "again"]


def test_returns_the_challenge_if_the_body_is_too_large_to_resend(
    gateway: Gateway, upstream: Make, orders: OrdersServer, tenants: Tenants, http: requests.Session
) -> None:
    url = gateway(upstream(), replay=1000)
    tenants.application.revoke(tenants.pool.token("acme"))
    rejected = http.post(url, data=b"x" * 1001, headers=ACME, timeout=30)
    assert (rejected.status_code, rejected.headers["WWW-Authenticate"]) == (401, CHALLENGE)
    assert len(orders.seen) == 1
    accepted = http.post(url, data=b"x" * 1001, headers=ACME, timeout=30)
    assert accepted.status_code == 200
    assert tenants.issued == {"acme": 2}


@pytest.mark.parametrize(
    ("status", "challenge"),
    [(401, 'Bearer error="insufficient_scope"'), (403, CHALLENGE), (503, CHALLENGE)],
)
def test_passes_on_a_401_that_another_token_cannot_fix(
    *,
    gateway: Gateway,
    upstream: Make,
    orders: OrdersServer,
    tenants: Tenants,
    http: requests.Session,
    status: int,
    challenge: str,
) -> None:
    orders.status, orders.challenge = status, challenge
    url = gateway(upstream())
    tenants.application.revoke(tenants.pool.token("acme"))
    response = http.get(url, headers=ACME, timeout=30)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (status, challenge)
    assert (len(orders.seen), tenants.issued) == (1, {"acme": 1})


def test_passes_on_a_second_rejection_and_fetches_no_third_token(
    gateway: Gateway,
    upstream: Make,
    orders: OrdersServer,
    tenants: Tenants,
    http: requests.Session,
) -> None:
    class Everything(set[str]):
        def __contains__(self, _token: object) -> bool:
            return True

    orders.rejected = Everything()
    url = gateway(upstream())
    responses = [http.get(url, headers=ACME, timeout=30) for _ in range(3)]
    assert [each.status_code for each in responses] == [401] * 3
    # The third and fourth rejection fetch no token: the last one was new as well.
    assert len(orders.seen) == 4
    assert tenants.issued == {"acme": 2}


def test_a_closed_route_forwards_nothing_while_the_provider_is_down(
    gateway: Gateway,
    upstream: Make,
    orders: OrdersServer,
    http: requests.Session,
    observer: RecordingObserver,
) -> None:
    url = gateway(upstream(credential=dead_pool(), timeout=0.05))
    responses = [http.get(url, headers=ACME, timeout=30) for _ in range(2)]
    assert [each.status_code for each in responses] == [503, 503]
    assert responses[1].json()["error"] == "temporarily_unavailable"
    # After a failure, the provider gets no request for a while.
    assert int(responses[1].headers["Retry-After"]) >= 1
    assert orders.seen == []
    assert observer.outcomes == ["closed", "closed"]


def test_an_open_route_forwards_without_a_token_while_the_provider_is_down(
    gateway: Gateway,
    upstream: Make,
    orders: OrdersServer,
    http: requests.Session,
    observer: RecordingObserver,
) -> None:
    url = gateway(upstream(credential=dead_pool(), on_failure="open", timeout=0.05))
    incoming = {**ACME, "Authorization": "Bearer from-caller", "X-Open": "1"}
    assert http.get(url, headers=incoming, timeout=30).status_code == 200
    assert "authorization" not in orders.seen[0].headers
    assert observer.outcomes == ["open"]


@pytest.mark.parametrize(("on_failure", "status"), [("closed", 503), ("open", 401)])
def test_a_rejected_token_that_cannot_be_replaced(
    *,
    gateway: Gateway,
    upstream: Make,
    orders: OrdersServer,
    tenants: Tenants,
    http: requests.Session,
    on_failure: str,
    status: int,
) -> None:
    class Once:
        """Returns one token, and fails afterwards."""

        fresh = True

        def __init__(self) -> None:
            self._tokens: Iterator[grantway.Token] = iter([grantway.Token("one")])

        def token(self, timeout: float | None = None) -> grantway.Token:
            for token in self._tokens:
                return token
            raise LookupError("a store of the program's own")

        async def token_async(self, timeout: float | None = None) -> grantway.Token:  # noqa: ASYNC109
            return self.token()

        def invalidate(self, token: grantway.Token) -> None:
            """Do nothing."""

    url = gateway(upstream(credential=lambda _tenant: Once(), on_failure=on_failure))
    response = http.get(url, headers=ACME, timeout=30)
    assert response.status_code == status
    assert orders.tokens == ["one"]
    if status == 401:
        assert response.headers["WWW-Authenticate"] == CHALLENGE


def test_respects_the_deadline_of_a_request(
    gateway: Gateway, upstream: Make, http: requests.Session, observer: RecordingObserver
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        client = grantway.Client(
            grantway.Provider(token_endpoint=f"http://127.0.0.1:{port}/token"),
            client_id="gateway",
            retry=grantway.RetryPolicy(attempts=1),
            timeout=20,
        )
        url = gateway(
            upstream(credential=client.credential_pool(grant_type="client_credentials")),
            timeout=lambda _request: 0.1,
        )
        assert http.get(url, headers=ACME, timeout=15).status_code == 503
    assert 0.1 <= observer.waits[0] < 10


def test_reads_the_tenant_from_a_principal_or_a_path(
    gateway: Gateway, tenants: Tenants, http: requests.Session
) -> None:
    def principal(context: Any) -> str | None:
        return "from-scope" if "type" in context or "REQUEST_METHOD" in context else None

    shared: Any = {"provider": "issuer", "credential": tenants.pool, "on_failure": "closed"}
    rules = UpstreamAuth(
        [
            Route("by-path", path="/t", tenant=from_path(2), **shared),
            Route("by-principal", path="/", tenant=from_principal(principal), **shared),
        ]
    )
    url = gateway(rules)
    assert http.get(f"{url}/t/acme/orders", timeout=30).json()["tenant"] == ["acme"]
    assert http.get(f"{url}/t", timeout=30).status_code == 403
    assert http.get(f"{url}/x", timeout=30).json()["tenant"] == ["from-scope"]
