"""Tokens of other issuers at the embedded issuer: as client assertion, assertion, subject token."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

import grantway
from grantway_plugins.grants import client_credentials, jwt_bearer, token_exchange
from grantway_plugins.issuer import (
    IssuerClientAuth,
    IssuerRequest,
    IssuerServer,
    IssuerSettings,
    Transaction,
    TrustedIssuer,
)
from grantway_plugins.issuer._decisions.operator_clients import add_client
from grantway_plugins.testing import WorkloadIssuer
from tests.plugins.issuer.conftest import Caller, Clock
from tests.plugins.issuer.trust.conftest import Detail

ORDERS = "system:serviceaccount:prod:orders"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT = "urn:ietf:params:oauth:token-type:jwt"
GRANTS = [client_credentials.GRANT_TYPE, token_exchange.GRANT_TYPE, jwt_bearer.GRANT_TYPE]
Start = Callable[..., IssuerServer]


@pytest.fixture
def cluster(clock: Clock) -> Iterator[WorkloadIssuer]:
    with WorkloadIssuer(clock=clock) as running:
        yield running


@pytest.fixture
def start(clock: Clock, cluster: WorkloadIssuer, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts an issuer which trusts the cluster, and adds its clients."""
    with ExitStack() as exits:

        def run(*others: TrustedIssuer, **options: Any) -> IssuerServer:
            database = tmp_path / "issuer.db"
            with IssuerServer(IssuerSettings(), database=database) as first:
                metadata = {
                    "grant_types": GRANTS,
                    "scope": "read write",
                    "token_endpoint_auth_method": "federated_jwt",
                }
                ids = [add_client(first.store, metadata)["client_id"] for _ in range(2)]
            rules = {
                "issuer": cluster.url,
                "subjects": (ORDERS,),
                "clients": {ORDERS: ids[0], "system:serviceaccount:test:*": ids[1]},
                **options,
            }
            trusted = (TrustedIssuer(**rules), *others)
            settings = IssuerSettings(registration="unrestricted", trusted_issuers=trusted)
            server = IssuerServer(settings, database=database, clock=clock)
            return exits.enter_context(server)

        yield run


def clients(server: IssuerServer) -> list[str]:
    trusted = server.settings.trusted_issuers[0]
    return list(trusted.clients.values())


def authenticate(server: IssuerServer, token: str, **params: Any) -> requests.Response:
    asked = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": token,
        **params,
    }
    kept = {name: value for name, value in asked.items() if value is not None}
    return requests.post(f"{server.url}/token", data=kept, timeout=10)


def refused(response: requests.Response) -> None:
    assert (response.status_code, response.json()) == (
        401,
        {
            "error": "invalid_client",
            "error_description": "The client is unknown, or its authentication failed",
        },
    )


# --- client assertions ---


def test_a_workload_authenticates_as_its_client(start: Start, cluster: WorkloadIssuer) -> None:
    server = start()
    token = cluster.token(ORDERS, server.url, jti="reused-until-it-expires")
    for _ in range(2):  # a token in a file is used until the platform replaces it
        issued = authenticate(server, token).json()
    known = requests.post(
        f"{server.url}/introspect",
        data={
            "token": issued["access_token"],
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": token,
        },
        timeout=10,
    ).json()
    assert (known["active"], known["client_id"]) == (True, clients(server)[0])
    assert cluster.requests.total() == 3  # RFC 8414's address, OpenID Connect's, and the keys


def test_the_client_id_must_be_one_of_the_subject(
    start: Start, cluster: WorkloadIssuer, detail: Detail
) -> None:
    server = start()
    first, second = clients(server)
    token = cluster.token(ORDERS, server.url)
    assert authenticate(server, token, client_id=first).status_code == 200
    for another in (second, "unknown"):
        refused(authenticate(server, token, client_id=another))
        assert detail().endswith(f"for {ORDERS} authenticates other clients")


def test_a_subject_with_several_clients_must_choose_one(
    start: Start, cluster: WorkloadIssuer, detail: Detail
) -> None:
    server = start(clients={"a*": "first", "*b": "second"})
    token = cluster.token("ab", server.url)
    refused(authenticate(server, token))
    assert "fits several; send client_id" in detail()
    refused(authenticate(server, token, client_id="first"))  # it is not registered


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ({"subject": "system:serviceaccount:prod:other"}, "which clients does not list"),
        ({"subject": "system:serviceaccount:test:a:b"}, "which clients does not list"),
        ({"subject": ORDERS, "audience": "https://other.example"}, "audience"),
        ({"subject": ORDERS, "lifetime": -31}, "expired 31 seconds ago"),
        ({"subject": ORDERS, "lifetime": 3631}, "max_lifetime"),
        ({"subject": ORDERS, "nbf": 1_900_000_000}, "nbf"),
        ({"subject": ORDERS, "iss": "https://stranger.example"}, "not a trusted issuer"),
        ({"subject": ORDERS, "header": {"typ": "dpop+jwt"}}, "typ"),
        ({"subject": ORDERS, "header": {"kid": "unknown"}}, "key that the issuer does not publish"),
    ],
)
def test_rejections_are_uniform_and_the_audit_log_says_why(
    start: Start,
    cluster: WorkloadIssuer,
    detail: Detail,
    token: dict[str, Any],
    reason: str,
) -> None:
    server = start()
    refused(authenticate(server, cluster.token(**{"audience": server.url, **token})))
    assert detail().startswith("The client_assertion ")
    assert reason in detail()


def test_one_authentication_method_a_request(start: Start, cluster: WorkloadIssuer) -> None:
    server = start()
    token = cluster.token(ORDERS, server.url)
    for params in ({"client_secret": "x"}, {"client_assertion_type": "other"}):
        response = authenticate(server, token, **params)
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert authenticate(server, "not-a-jwt").json()["error"] == "invalid_client"


def test_the_client_must_be_registered_for_the_method(
    start: Start, cluster: WorkloadIssuer
) -> None:
    server = start()
    with Caller(server.url) as caller:
        caller.register_rfc(grant_types=["client_credentials"], redirect_uris=[])
        with_secret = caller.id
    trusted = TrustedIssuer(cluster.url, clients={ORDERS: with_secret})
    settings = IssuerSettings(registration="off", trusted_issuers=(trusted,))
    with IssuerServer(settings, database=":memory:") as other:
        refused(authenticate(other, cluster.token(ORDERS, other.url)))
    # A federated client is not a client without a secret.
    response = requests.post(
        f"{server.url}/token",
        data={"grant_type": "client_credentials", "client_id": clients(server)[0]},
        timeout=10,
    )
    refused(response)


def test_single_use_tokens_are_accepted_once(
    start: Start, cluster: WorkloadIssuer, detail: Detail
) -> None:
    server = start(single_use=True)
    token = cluster.token(ORDERS, server.url, jti="1")
    assert authenticate(server, token).status_code == 200
    refused(authenticate(server, token))
    assert detail() == "The client_assertion was used before"
    refused(authenticate(server, cluster.token(ORDERS, server.url)))
    assert "no jti" in detail()


def test_anonymous_clients_cannot_register_for_the_method(clock: Clock) -> None:
    with IssuerServer(IssuerSettings(registration="open")) as server:
        asked = {"token_endpoint_auth_method": "federated_jwt", "grant_types": ["refresh_token"]}
        made = requests.post(f"{server.url}/register", json=asked, timeout=10)
    assert (made.status_code, made.json()["error"]) == (400, "invalid_client_metadata")


# --- rules ---


def test_claims_and_audiences_of_the_rules(
    start: Start, cluster: WorkloadIssuer, detail: Detail
) -> None:
    server = start(claims={"repository": "acme/*"}, audiences=("tokens",))
    assert authenticate(
        server, cluster.token(ORDERS, ["other", "tokens"], repository="acme/app")
    ).ok
    for wrong in ({"repository": "evil/app"}, {"repository": ["acme/app"]}, {}):
        refused(authenticate(server, cluster.token(ORDERS, "tokens", **wrong)))
        assert "repository" in detail()
    refused(authenticate(server, cluster.token(ORDERS, server.url, repository="acme/app")))


def test_a_trust_domain_needs_no_iss(start: Start, clock: Clock, tmp_path: Path) -> None:
    file = tmp_path / "bundle.json"
    with WorkloadIssuer("spiffe://example.org", clock=clock) as domain:
        keys = [{**key, "use": "jwt-svid"} for key in domain.jwks()["keys"]] + [
            {"kty": "EC", "use": "x509-svid", "crv": "P-256", "x": "AA", "y": "AA"}
        ]
        file.write_text(json.dumps({"keys": keys, "spiffe_sequence": 1}))
        subject = "spiffe://example.org/ns/prod/orders"
        server = start(
            TrustedIssuer(
                "spiffe://example.org",
                (subject, "spiffe://other.org/**"),
                jwks_file=str(file),
            )
        )
        with Caller(server.url) as caller:
            caller.register_rfc(grant_types=GRANTS, redirect_uris=[])
            token = domain.token(subject, [server.url], iss=None)
            assert exchange(caller, token).ok
            other = domain.token("spiffe://other.org/x", [server.url], iss=None)
            assert exchange(caller, other).status_code == 400
            claimed = domain.token("spiffe://other.org/x", [server.url])
            assert exchange(caller, claimed).status_code == 400


# --- assertions and subject tokens ---


def exchange(caller: Caller, token: str, **params: Any) -> requests.Response:
    asked = {"subject_token": token, "subject_token_type": JWT, **params}
    return caller.as_rfc("/token", grant_type=token_exchange.GRANT_TYPE, **asked)


def test_exchanges_a_subject_token(start: Start, cluster: WorkloadIssuer, clock: Clock) -> None:
    server = start()
    with Caller(server.url) as caller:
        caller.register_rfc(grant_types=GRANTS, redirect_uris=[])
        token = cluster.token(ORDERS, server.url, lifetime=300)
        made = exchange(caller, token, scope="a", audience="billing").json()
        assert (made["scope"], made["expires_in"]) == ("a", 300)
        assert made["issued_token_type"].endswith(":access_token")
        known = caller.as_rfc("/introspect", token=made["access_token"]).json()
        assert (known["sub"], known["aud"]) == (ORDERS, ["billing"])
        clock.tick(310)  # expired, but within the leeway
        assert exchange(caller, token).json()["expires_in"] == 1
        clock.tick(30)
        late = exchange(caller, token)
    assert (late.status_code, late.json()["error"]) == (400, "invalid_request")


def test_clients_alone_allow_no_assertions(
    start: Start, cluster: WorkloadIssuer, detail: Detail
) -> None:
    server = start(subjects=())
    metadata = requests.get(f"{server.url}/.well-known/oauth-authorization-server", timeout=10)
    assert jwt_bearer.GRANT_TYPE not in metadata.json()["grant_types_supported"]
    assert "federated_jwt" in metadata.json()["token_endpoint_auth_methods_supported"]
    with Caller(server.url) as caller:
        caller.register_rfc(grant_types=GRANTS[:2], redirect_uris=[])
        assert exchange(caller, cluster.token(ORDERS, server.url)).status_code == 400
        assert "which subjects does not list" in detail()
        assert exchange(caller, "gwa_opaque").status_code == 400
        assert detail() == "The subject_token is not a JWT of a trusted issuer"


def test_a_workload_gets_a_token_for_itself_without_any_secret(
    start: Start, cluster: WorkloadIssuer
) -> None:
    """The same token authenticates the client and is the assertion."""
    server = start()
    token = cluster.token(ORDERS, server.url)
    made = authenticate(server, token, grant_type=jwt_bearer.GRANT_TYPE, assertion=token)
    assert made.status_code == 200, made.text


# --- methods of plugins ---


class OwnAssertions:
    """Clients that authenticate with assertions which a plugin verifies."""

    schema = None

    def client_id(self, request: IssuerRequest) -> str | None:
        return None

    def verify(self, request: IssuerRequest, client: Any, transaction: Transaction) -> bool:
        return bool(request.params["client_assertion"] == f"own.assertion.{client.client_id}")

    @grantway.hookimpl
    def grantway_register_issuer_client_auth(self) -> dict[str, IssuerClientAuth]:
        return {"own_assertion": self}


def test_a_plugin_may_verify_other_client_assertions(
    cluster: WorkloadIssuer, clock: Clock, detail: Detail
) -> None:
    registry = grantway.build_registry({"own": OwnAssertions()}, strict=True)
    trusted = TrustedIssuer(cluster.url, ("a",))
    settings = IssuerSettings(registration="unrestricted", trusted_issuers=(trusted,))
    with IssuerServer(settings, registry=registry, clock=clock) as server:
        metadata = {
            "token_endpoint_auth_method": "own_assertion",
            "grant_types": ["client_credentials"],
        }
        made = requests.post(f"{server.url}/register", json=metadata, timeout=10).json()
        client_id = made["client_id"]
        own = f"own.assertion.{client_id}"
        assert authenticate(server, own, client_id=client_id).status_code == 200
        refused(authenticate(server, "own.assertion.wrong", client_id=client_id))
        assert "not a trusted issuer" in detail()
        both = authenticate(server, own, client_id=client_id, client_secret="x")
        assert (both.status_code, both.json()["error"]) == (400, "invalid_request")
