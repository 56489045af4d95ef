"""Tokens that are bound to a client's key (RFC 9449)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import requests
from joserfc.jwk import ECKey

import grantway
from grantway_plugins.auth import TokenAuth
from grantway_plugins.client_auth import DPoP
from grantway_plugins.grants.token_exchange import ACCESS_TOKEN
from grantway_plugins.issuer import (
    AwsAccount,
    IssuerServer,
    IssuerSettings,
    Lifetimes,
)
from tests.plugins.issuer.conftest import Caller, Clock, query_of
from tests.plugins.issuer.whoami import WhoAmIPlugin
from tests.plugins.server.proofs import KEY, OTHER_KEY, proof
from tests.waiting import PATIENCE

PUBLIC = {"token_endpoint_auth_method": "none"}
MACHINE = {"grant_types": ["client_credentials"]}
JKT = KEY.thumbprint()


class BoundCaller(Caller):
    """A client that sends a proof with each token request; None sends none."""

    key: ECKey | None = KEY
    clock: Clock

    def rfc(self, path: str, **params: Any) -> requests.Response:
        headers = {}
        if self.key is not None and path == "/token":
            headers["DPoP"] = proof(self.url + path, key=self.key, now=self.clock.now)
        return self.http.post(self.url + path, data=params, headers=headers)


def bound_caller(server: IssuerServer, clock: Clock, **metadata: Any) -> BoundCaller:
    caller = BoundCaller(server.url)
    caller.clock = clock
    asked = {"token_endpoint_auth_method": "client_secret_post", "scope": "a b openid"}
    caller.register_rfc(**{**asked, **metadata})
    return caller


@pytest.fixture(scope="module")
def clock() -> Clock:
    """The clock of the issuer that most tests share."""
    return Clock()


@pytest.fixture(scope="module")
def server(clock: Clock) -> Iterator[IssuerServer]:
    """The issuer that most tests share."""
    with IssuerServer(IssuerSettings(registration="unrestricted"), clock=clock) as running:
        yield running


@pytest.fixture
def public(server: IssuerServer, clock: Clock) -> Iterator[BoundCaller]:
    with bound_caller(server, clock, **PUBLIC) as caller:
        yield caller


@pytest.fixture
def machine(server: IssuerServer, clock: Clock) -> Iterator[BoundCaller]:
    with bound_caller(server, clock, **MACHINE) as caller:
        yield caller


def token_with(caller: Caller, *headers: tuple[str, str]) -> requests.Response:
    """Request a token with these headers."""
    body = {
        "grant_type": "client_credentials",
        "client_id": caller.id,
        "client_secret": caller.secret,
    }
    request = requests.Request("POST", f"{caller.url}/token", data=body).prepare()
    request.headers.update(dict(headers))
    return caller.http.send(request, timeout=30)


def rejected(response: requests.Response, error: str, status: int = 400) -> None:
    assert (response.status_code, response.json()["error"]) == (status, error), response.text


def introspected(caller: Caller, token: str) -> dict[str, Any]:
    confidential = Caller(caller.url)
    with confidential:
        confidential.id, confidential.secret = caller.id, caller.secret
        response = confidential.as_rfc("/introspect", token=token)
    assert response.status_code == 200, response.text
    members: dict[str, Any] = response.json()
    return members


def test_a_proof_binds_the_access_token(machine: BoundCaller) -> None:
    response = machine.as_rfc("/token", grant_type="client_credentials")
    assert response.json()["token_type"] == "DPoP"
    shown = introspected(machine, response.json()["access_token"])
    assert (shown["token_type"], shown["cnf"]) == ("DPoP", {"jkt": JKT})


def test_without_a_proof_tokens_are_bearer_tokens(machine: BoundCaller) -> None:
    machine.key = None
    response = machine.as_rfc("/token", grant_type="client_credentials")
    assert response.json()["token_type"] == "Bearer"
    shown = introspected(machine, response.json()["access_token"])
    assert shown["token_type"] == "Bearer"
    assert "cnf" not in shown


def test_a_proof_is_accepted_once(machine: BoundCaller) -> None:
    header = ("DPoP", proof(f"{machine.url}/token", now=machine.clock.now))
    assert token_with(machine, header).status_code == 200
    rejected(token_with(machine, header), "invalid_dpop_proof")


def test_one_of_several_parallel_uses_of_a_proof_succeeds(machine: BoundCaller) -> None:
    header = ("DPoP", proof(f"{machine.url}/token", now=machine.clock.now))
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: token_with(machine, header), range(16)))
    assert sorted(each.status_code for each in responses) == [200] + [400] * 15


def test_a_request_with_wrong_credentials_does_not_use_the_proof_up(machine: BoundCaller) -> None:
    header = ("DPoP", proof(f"{machine.url}/token", now=machine.clock.now))
    secret, machine.secret = machine.secret, "wrong"
    assert token_with(machine, header).status_code == 401
    machine.secret = secret
    assert token_with(machine, header).status_code == 200


@pytest.mark.parametrize("value", ["", "x", "a.b.c", "x" * 9000, "é"])
def test_an_invalid_header_is_rejected(machine: BoundCaller, value: str) -> None:
    rejected(token_with(machine, ("DPoP", value)), "invalid_dpop_proof")


def test_a_repeated_header_is_rejected(machine: BoundCaller) -> None:
    form = urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": machine.id,
            "client_secret": machine.secret,
        }
    )
    address = urlsplit(machine.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE)
    with closing(connection):
        connection.putrequest("POST", "/token")
        connection.putheader("Content-Type", "application/x-www-form-urlencoded")
        connection.putheader("Content-Length", str(len(form)))
        for _ in range(2):
            connection.putheader("DPoP", proof(f"{machine.url}/token", now=machine.clock.now))
        connection.endheaders(form.encode())
        response = connection.getresponse()
        content = json.loads(response.read())
    assert (response.status, content["error"]) == (400, "invalid_dpop_proof")
    assert "sent twice" in content["error_description"]


def test_a_proof_for_another_endpoint_is_rejected(machine: BoundCaller) -> None:
    header = ("DPoP", proof(f"{machine.url}/par", now=machine.clock.now))
    rejected(token_with(machine, header), "invalid_dpop_proof")


@pytest.mark.parametrize("ahead", [-61, 61])
def test_a_client_whose_clock_is_wrong_is_told(machine: BoundCaller, ahead: int) -> None:
    response = token_with(
        machine, ("DPoP", proof(f"{machine.url}/token", now=machine.clock.now + ahead))
    )
    rejected(response, "invalid_dpop_proof")
    assert "clock" in response.json()["error_description"]


def test_refresh_tokens_of_a_public_client_are_bound(public: BoundCaller) -> None:
    tokens = public.login()
    assert tokens["token_type"] == "DPoP"
    for key in (None, OTHER_KEY):
        public.key = key
        rejected(public.refresh(tokens["refresh_token"]), "invalid_grant")
    public.key = KEY
    refreshed = public.refresh(tokens["refresh_token"])
    assert refreshed.json()["token_type"] == "DPoP"


def test_a_thief_without_the_key_cannot_revoke_the_login(public: BoundCaller) -> None:
    first = public.login()["refresh_token"]
    second = public.refresh(first).json()["refresh_token"]
    public.clock.tick(60)
    public.key = None
    rejected(public.refresh(first), "invalid_grant")
    public.key = KEY
    assert public.refresh(second).status_code == 200


def test_a_login_without_proof_stays_unbound(public: BoundCaller) -> None:
    public.key = None
    tokens = public.login()
    assert public.refresh(tokens["refresh_token"]).json()["token_type"] == "Bearer"


def test_a_confidential_client_may_replace_its_key(server: IssuerServer, clock: Clock) -> None:
    with bound_caller(server, clock) as caller:
        tokens = caller.login()
        caller.key = OTHER_KEY
        refreshed = caller.refresh(tokens["refresh_token"])
        assert refreshed.json()["token_type"] == "DPoP"
        shown = introspected(caller, refreshed.json()["access_token"])
        assert shown["cnf"] == {"jkt": OTHER_KEY.thumbprint()}
        assert "cnf" not in introspected(caller, refreshed.json()["refresh_token"])


def test_a_device_login_of_a_public_client_is_bound(server: IssuerServer, clock: Clock) -> None:
    settings = IssuerSettings(
        approve="auto", registration="unrestricted", lifetimes=Lifetimes(device_interval=0)
    )
    with IssuerServer(settings, clock=clock) as auto, bound_caller(auto, clock, **PUBLIC) as caller:
        tokens = caller.poll(caller.start()["device_code"]).json()
        assert tokens["token_type"] == "DPoP"
        caller.key = None
        rejected(caller.refresh(tokens["refresh_token"]), "invalid_grant")


def test_dpop_jkt_binds_the_code(public: BoundCaller) -> None:
    code = public.sent_back(dpop_jkt=JKT)["code"]
    for key in (None, OTHER_KEY):
        public.key = key
        rejected(public.redeem(code), "invalid_grant")
    public.key = KEY
    assert public.redeem(code).status_code == 200


def test_dpop_jkt_of_a_confidential_client_does_not_bind_its_refresh_tokens(
    server: IssuerServer, clock: Clock
) -> None:
    with bound_caller(server, clock) as caller:
        tokens = caller.login(dpop_jkt=JKT)
        caller.key = None
        assert caller.refresh(tokens["refresh_token"]).json()["token_type"] == "Bearer"


@pytest.mark.parametrize("jkt", ["x", "A" * 42, "A" * 44, "é" * 43, "A" * 5000])
def test_an_invalid_dpop_jkt_is_rejected(public: BoundCaller, jkt: str) -> None:
    response = public.http.get(public.authorize_url(dpop_jkt=jkt), allow_redirects=False)
    sent_back = query_of(response.headers["Location"])
    assert sent_back["error"] == "invalid_request"
    assert sent_back["error_description"].startswith("dpop_jkt must be")


def test_a_repeated_dpop_jkt_is_rejected(public: BoundCaller) -> None:
    url = f"{public.authorize_url(dpop_jkt=JKT)}&dpop_jkt={JKT}"
    sent_back = query_of(public.http.get(url, allow_redirects=False).headers["Location"])
    assert sent_back["error_description"] == "Duplicate parameter: dpop_jkt"


def test_a_client_can_register_that_it_always_sends_proofs(
    server: IssuerServer, clock: Clock
) -> None:
    with bound_caller(server, clock, dpop_bound_access_tokens=True, **MACHINE) as caller:
        assert caller.as_rfc("/token", grant_type="client_credentials").status_code == 200
        caller.key = None
        response = caller.as_rfc("/token", grant_type="client_credentials")
        rejected(response, "invalid_request")
        assert "dpop_bound_access_tokens" in response.json()["error_description"]


def test_an_exchange_of_a_bound_token_needs_its_key(server: IssuerServer, clock: Clock) -> None:
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    grants = {"grant_types": ["client_credentials", exchange]}
    with bound_caller(server, clock, **grants) as caller, bound_caller(server, clock) as api:
        for audience, key, status in [
            (None, KEY, 200),
            (None, OTHER_KEY, 400),
            (None, None, 400),
            (caller.id, None, 200),  # the audience cannot have the client's key
            (api.id, None, 400),
        ]:
            caller.key = KEY
            asked = {"grant_type": exchange, "subject_token_type": ACCESS_TOKEN}
            token = caller.as_rfc("/token", grant_type="client_credentials").json()["access_token"]
            if audience is not None:
                bound = caller.as_rfc("/token", subject_token=token, audience=audience, **asked)
                token = bound.json()["access_token"]
            caller.key = key
            response = caller.as_rfc("/token", subject_token=token, **asked)
            assert response.status_code == status, (audience, response.text)


@pytest.mark.parametrize("value", ["yes", 2, [True]])
def test_an_invalid_dpop_bound_access_tokens_is_rejected(caller: Caller, value: object) -> None:
    response = caller.http.post(
        f"{caller.url}/register", json={**MACHINE, "dpop_bound_access_tokens": value}
    )
    rejected(response, "invalid_client_metadata")
    assert "dpop_bound_access_tokens" in response.json()["error_description"]


def test_an_issuer_can_require_bound_tokens(clock: Clock) -> None:
    settings = IssuerSettings(registration="unrestricted", require_bound_tokens=True)
    with (
        IssuerServer(settings, clock=clock) as server,
        bound_caller(server, clock, **MACHINE) as caller,
    ):
        assert caller.as_rfc("/token", grant_type="client_credentials").status_code == 200
        caller.key = None
        rejected(caller.as_rfc("/token", grant_type="client_credentials"), "invalid_request")


def test_web_pages_can_read_the_nonce(clock: Clock) -> None:
    origin = "https://app.example.com"
    settings = IssuerSettings(
        registration="unrestricted", dpop_require_nonce=True, cors_origins=(origin,)
    )
    with (
        IssuerServer(settings, clock=clock) as server,
        bound_caller(server, clock, **MACHINE) as caller,
    ):
        header = ("DPoP", proof(f"{server.url}/token", now=clock.now))
        response = token_with(caller, header, ("Origin", origin))
    rejected(response, "use_dpop_nonce")
    assert response.headers["DPoP-Nonce"]
    assert "dpop-nonce" in response.headers["Access-Control-Expose-Headers"]


def test_metadata_lists_the_algorithms(caller: Caller) -> None:
    url = f"{caller.url}/.well-known/oauth-authorization-server"
    assert "ES256" in caller.http.get(url).json()["dpop_signing_alg_values_supported"]


def test_without_the_libraries_proofs_are_ignored(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grantway_plugins.issuer._security.verifies_proofs", lambda: False)
    with (
        IssuerServer(IssuerSettings(registration="unrestricted"), clock=clock) as server,
        bound_caller(server, clock, **MACHINE) as caller,
    ):
        url = f"{caller.url}/.well-known/oauth-authorization-server"
        assert "dpop_signing_alg_values_supported" not in caller.http.get(url).json()
        response = caller.as_rfc("/token", grant_type="client_credentials")
        assert response.json()["token_type"] == "Bearer"


def test_a_base_path_belongs_to_the_url_of_a_proof(clock: Clock) -> None:
    settings = IssuerSettings(
        issuer="http://login.localhost:8400/auth", registration="unrestricted"
    )
    with IssuerServer(settings, clock=clock) as server, Caller(f"{server.address}/auth") as caller:
        caller.register_rfc(**MACHINE, token_endpoint_auth_method="client_secret_post")
        for url, status in [
            ("http://login.localhost:8400/auth/token", 200),
            (f"{server.address}/auth/token", 400),
            ("http://login.localhost:8400/token", 400),
        ]:
            header = ("DPoP", proof(url, now=clock.now))
            assert token_with(caller, header).status_code == status


def replicas(database: str, clock: Clock, *urls: str | None) -> list[IssuerServer]:
    return [
        IssuerServer(
            IssuerSettings(
                issuer=url,
                registration="open",
                dpop_require_nonce=True,
                registration_grant_types=("client_credentials",),
            ),
            database=database,
            clock=clock,
        )
        for url in urls
    ]


def test_replicas_share_nonces_and_used_proofs(database: str, clock: Clock) -> None:
    url = "http://issuer.localhost:8400"
    first, second = replicas(database, clock, url, url)
    with first, second, Caller(first.address) as caller, Caller(second.address) as other:
        caller.register_rfc(**MACHINE, token_endpoint_auth_method="client_secret_post")
        other.id, other.secret = caller.id, caller.secret
        header = ("DPoP", proof(f"{url}/token", now=clock.now))
        response = token_with(caller, header)
        rejected(response, "use_dpop_nonce")
        nonce = response.headers["DPoP-Nonce"]
        header = ("DPoP", proof(f"{url}/token", now=clock.now, nonce=nonce))
        with ThreadPoolExecutor(4) as pool:
            sent = [pool.submit(token_with, each, header) for each in (caller, other) * 2]
            responses = [each.result(PATIENCE) for each in sent]
        assert sorted(each.status_code for each in responses) == [200, 400, 400, 400]
        assert sum("used before" in each.text for each in responses) == 3


def test_another_issuer_on_the_database_rejects_a_proof(tmp_path: Path, clock: Clock) -> None:
    first, second = replicas(str(tmp_path / "issuer.db"), clock, None, None)
    with first, second, Caller(first.url) as caller, Caller(second.url) as other:
        caller.register_rfc(**MACHINE, token_endpoint_auth_method="client_secret_post")
        other.id, other.secret = caller.id, caller.secret
        nonces = [
            token_with(each, ("DPoP", proof(f"{each.url}/token", now=clock.now))).headers[
                "DPoP-Nonce"
            ]
            for each in (caller, other)
        ]
        header = ("DPoP", proof(f"{first.url}/token", now=clock.now, nonce=nonces[0]))
        rejected(token_with(other, header), "invalid_dpop_proof")
        foreign = ("DPoP", proof(f"{second.url}/token", now=clock.now, nonce=nonces[0]))
        rejected(token_with(other, foreign), "use_dpop_nonce")
        assert token_with(caller, header).status_code == 200


@pytest.fixture(scope="module", params=[False, True], ids=["no nonce", "nonce"])
def resource(request: pytest.FixtureRequest) -> Iterator[IssuerServer]:
    """An issuer with an endpoint that requires an access token; its clock is the real one."""
    settings = IssuerSettings(registration="unrestricted", dpop_require_nonce=request.param)
    registry = grantway.build_registry({"whoami": WhoAmIPlugin()})
    with IssuerServer(settings, registry=registry) as server:
        yield server


@pytest.fixture
def client(resource: IssuerServer) -> Iterator[grantway.Client]:
    """Grantway's own client, which sends proofs."""
    with Caller(resource.url) as caller:
        caller.register_rfc(**MACHINE, token_endpoint_auth_method="client_secret_post")
    dpop = DPoP(grantway.ClientSecretPost(caller.id, caller.secret), KEY)
    provider = grantway.Provider.discover(resource.url)
    with grantway.Client(provider, client_id=caller.id, auth=dpop) as made:
        yield made


def whoami(server: IssuerServer, scheme: str, token: str, **headers: str) -> requests.Response:
    return requests.get(
        f"{server.url}/whoami",
        headers={"Authorization": f"{scheme} {token}", **headers},
        timeout=30,
    )


def test_grantways_client_uses_bound_tokens(
    resource: IssuerServer, client: grantway.Client
) -> None:
    credential = client.credential(grant_type="client_credentials")
    auth = TokenAuth(credential)
    for _ in range(3):
        response = requests.get(f"{resource.url}/whoami", auth=auth, timeout=30)
        assert (response.status_code, response.json()) == (200, {"sub": client.client_id})
    assert credential.token().token_type == "DPoP"


def test_a_bound_token_needs_its_proof(resource: IssuerServer, client: grantway.Client) -> None:
    token = client.create_token(grant_type="client_credentials").access_token
    url = f"{resource.url}/whoami"
    nonce = nonce_of(resource, token)

    def made(**changes: Any) -> str:
        return proof(url, **{"token": token, "htm": "GET", "nonce": nonce, **changes})

    used = made()
    assert whoami(resource, "DPoP", token, DPoP=used).status_code == 200
    for scheme, headers, error in [
        ("Bearer", {}, "invalid_token"),
        ("Bearer", {"DPoP": made()}, "invalid_token"),
        ("DPoP", {}, "invalid_dpop_proof"),
        ("DPoP", {"DPoP": used}, "invalid_dpop_proof"),
        ("DPoP", {"DPoP": f"{made()}, {made()}"}, "invalid_dpop_proof"),
        ("DPoP", {"DPoP": made(key=OTHER_KEY)}, "invalid_token"),
        ("DPoP", {"DPoP": made(token="other")}, "invalid_dpop_proof"),
        ("DPoP", {"DPoP": made(token=None)}, "invalid_dpop_proof"),
        ("DPoP", {"DPoP": made(htm="POST")}, "invalid_dpop_proof"),
        ("DPoP", {"DPoP": made(htu=f"{resource.url}/token")}, "invalid_dpop_proof"),
    ]:
        response = whoami(resource, scheme, token, **headers)
        rejected(response, error, 401)
        challenge = response.headers["WWW-Authenticate"]
        assert f'error="{error}"' in challenge
        if headers or scheme == "DPoP":
            assert challenge.startswith("DPoP ")
            assert 'algs="ES256 ' in challenge


def test_userinfo_accepts_a_bound_token_with_its_proof(public: BoundCaller) -> None:
    token = public.login(scope="openid")["access_token"]
    url = f"{public.url}/userinfo"
    made = proof(url, token=token, htm="GET", now=public.clock.now)
    headers = {"Authorization": f"DPoP {token}", "DPoP": made}
    response = public.http.get(url, headers=headers)
    assert (response.status_code, response.json()) == (200, {"sub": "local-user"})
    response = public.http.get(url, headers={"Authorization": f"Bearer {token}"})
    rejected(response, "invalid_token", 401)


def test_an_unbound_token_must_not_be_sent_as_dpop(
    resource: IssuerServer, client: grantway.Client
) -> None:
    with Caller(resource.url) as caller:
        caller.register_rfc(**MACHINE, token_endpoint_auth_method="client_secret_post")
        token = caller.as_rfc("/token", grant_type="client_credentials").json()["access_token"]
    assert whoami(resource, "Bearer", token).status_code == 200
    header = proof(
        f"{resource.url}/whoami", token=token, htm="GET", nonce=nonce_of(resource, token)
    )
    response = whoami(resource, "DPoP", token, DPoP=header)
    rejected(response, "invalid_token", 401)
    assert "as Bearer" in response.json()["error_description"]


def test_aws_clients_cannot_use_bound_tokens_at_the_portal(clock: Clock) -> None:
    account = AwsAccount("111122223333", "Sandbox", "a@example.com", {})
    settings = IssuerSettings(
        registration="unrestricted",
        aws_accounts=(account,),
        default_scopes=("sso:account:access",),
    )
    with (
        IssuerServer(settings, clock=clock) as server,
        bound_caller(server, clock, scope="sso:account:access", **MACHINE) as caller,
    ):
        for key, status in ((None, 200), (KEY, 401)):
            caller.key = key
            token = caller.as_rfc("/token", grant_type="client_credentials").json()
            response = caller.http.get(
                f"{server.url}/assignment/accounts",
                headers={"x-amz-sso_bearer_token": token["access_token"]},
            )
            assert response.status_code == status


def nonce_of(server: IssuerServer, token: str) -> str | None:
    """Return the nonce for requests with a token, or None if the issuer needs none."""
    header = proof(f"{server.url}/whoami", token=token, htm="GET")
    return whoami(server, "DPoP", token, DPoP=header).headers.get("DPoP-Nonce")
