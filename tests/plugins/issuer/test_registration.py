"""The registration policy, its limits, introspection, and the clients of the operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import requests

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer import IssuerServer, IssuerSettings, Lifetimes
from grantway_plugins.issuer._browser_driver import BrowserDriver
from grantway_plugins.issuer._decisions.operator_clients import (
    add_client,
    remove_client,
    rotate_secret,
)
from grantway_plugins.issuer._decisions.rate_limit import RateLimit
from tests.waiting import PATIENCE

from .conftest import BASIC, CALLBACK, DEVICE, Caller, Clock

TOKEN = "an-initial-access-token-of-the-operator"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
MACHINE = {"grant_types": ["client_credentials"], "scope": "admin billing:write"}
PUBLIC = "https://login.example.com"


@contextmanager
def issuer(clock: Clock | None = None, **settings: Any) -> Iterator[Caller]:
    options = {} if clock is None else {"clock": clock}
    with (
        IssuerServer(IssuerSettings(**settings), **options) as server,
        Caller(server.url) as caller,
    ):
        caller.server = server  # type: ignore[attr-defined]
        yield caller


def register(caller: Caller, **metadata: Any) -> requests.Response:
    return caller.http.post(f"{caller.url}/register", json=metadata, timeout=PATIENCE)


def as_client(caller: Caller, made: dict[str, Any]) -> Caller:
    other = Caller(caller.url)
    other.http = caller.http
    other.id, other.secret, other.method = made["client_id"], made["client_secret"], BASIC
    return other


def exchange(client: Caller, token: str, **params: Any) -> requests.Response:
    return client.as_rfc(
        "/token",
        grant_type=EXCHANGE,
        subject_token=token,
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
        **params,
    )


# --- open ---------------------------------------------------------------------------------------


def test_an_anonymous_client_may_ask_the_user_for_further_scopes() -> None:
    """MCP clients register the scopes of the first challenge, and need others later (step-up)."""
    with issuer(registration="open", registration_scopes=("a", "b", "c")) as caller:
        caller.register_rfc(
            scope="a", token_endpoint_auth_method="none", grant_types=["authorization_code", DEVICE]
        )
        assert caller.login(scope="a b")["scope"] == "a b"
        assert caller.login()["scope"] == "a"
        assert caller.start(scope="c")["user_code"]
        assert caller.sent_back(scope="a d")["error"] == "invalid_scope"
        refused = caller.as_rfc("/device_authorization", scope="d")
        assert refused.json()["error"] == "invalid_scope"


def test_an_anonymous_client_cannot_register_for_a_grant_without_user_approval() -> None:
    with issuer() as caller:
        refused = register(caller, **MACHINE)
        aws = caller.aws(
            "/client/register",
            clientName="x",
            clientType="public",
            grantTypes=["client_credentials"],
        )
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")
    assert "Anonymous clients" in refused.json()["error_description"]
    assert aws.headers["x-amzn-errortype"] == "UnsupportedGrantTypeException"


def test_stock_aws_clients_register_by_default() -> None:
    with issuer() as caller:
        made = caller.aws("/client/register", clientName="x", clientType="public")
        full = caller.aws(
            "/client/register",
            clientName="x",
            clientType="public",
            scopes=["sso:account:access", "codewhisperer:completions"],
            grantTypes=["authorization_code", "refresh_token"],
            redirectUris=[CALLBACK],
        )
    assert made.status_code == full.status_code == 200


def test_the_operator_can_permit_more_grants_and_limit_scopes() -> None:
    allowed = {
        "registration_grant_types": ("client_credentials",),
        "registration_scopes": ("read", "write"),
    }
    with issuer(**allowed) as caller:
        assert register(caller, **MACHINE).json()["error"] == "invalid_client_metadata"
        made = register(caller, **{**MACHINE, "scope": "read"})
        assert made.status_code == 201
        unnamed = register(caller, grant_types=["client_credentials"])
        aws = caller.aws(
            "/client/register",
            clientName="x",
            clientType="public",
            grantTypes=["client_credentials"],
            scopes=["admin"],
        )
    assert unnamed.json()["scope"] == "read write"
    assert aws.headers["x-amzn-errortype"] == "InvalidScopeException"


def test_an_open_issuer_on_a_network_permits_only_the_default_scopes() -> None:
    with issuer(issuer=PUBLIC, registration="open") as caller:
        caller.url = caller.server.address  # type: ignore[attr-defined]
        metadata = {"grant_types": [DEVICE], "token_endpoint_auth_method": "none"}
        assert register(caller, **metadata, scope="admin").status_code == 400
        assert register(caller, **metadata).json()["scope"] == "sso:account:access"


# --- token and off ------------------------------------------------------------------------------


def test_registration_requires_the_initial_access_token() -> None:
    with issuer(registration="token", registration_token=TOKEN) as caller:
        refused = register(caller, **MACHINE)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer ")
        for wrong in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ", "Bearer ü".encode()):
            caller.http.headers["authorization"] = wrong
            assert register(caller, **MACHINE).status_code in {400, 401}
        assert (
            caller.aws("/client/register", clientName="x", clientType="public").status_code == 401
        )
        caller.http.headers["authorization"] = f"Bearer {TOKEN}"
        assert register(caller, **MACHINE).status_code == 201


def test_metadata_omits_disabled_registration() -> None:
    with issuer(registration="off") as caller:
        assert register(caller, **MACHINE).status_code == 403
        aws = caller.aws("/client/register", clientName="x", clientType="public")
        assert aws.headers["x-amzn-errortype"] == "AccessDeniedException"
        found = caller.http.get(f"{caller.url}/.well-known/oauth-authorization-server").json()
        assert "registration_endpoint" not in found


@pytest.mark.parametrize(
    "start",
    [
        lambda settings: IssuerServer(settings, host="192.0.2.1", insecure_http=True),
        lambda settings: IssuerServer(replace(settings, issuer=PUBLIC)),
        lambda settings: IssuerServer(settings, trusted_proxies=["127.0.0.1"]),
    ],
)
def test_an_issuer_on_a_network_requires_a_policy_and_rejects_automatic_approval(
    start: Callable[[IssuerSettings], IssuerServer],
) -> None:
    with pytest.raises(ConfigurationError, match="choose which clients may register"):
        start(IssuerSettings())
    with pytest.raises(ConfigurationError, match="registration=unrestricted"):
        start(IssuerSettings(registration="unrestricted"))
    with pytest.raises(ConfigurationError, match="approve=auto"):
        start(IssuerSettings(approve="auto", registration="off"))


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.1:1", "http://a.localhost"])
def test_a_loopback_issuer_url_is_not_public(url: str) -> None:
    IssuerServer(IssuerSettings(issuer=url, approve="auto")).stop()


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("registration", {"registration": "closed"}),
        ("registration_token", {"registration": "token"}),
        ("registration_token", {"registration": "token", "registration_token": "guessable"}),
        ("registration_token", {"registration": "open", "registration_token": TOKEN}),
        ("registration_grant_types", {"registration_grant_types": "client_credentials"}),
        ("registration_scopes", {"registration_scopes": ('"',)}),
        ("registration_rate", {"registration_rate": 0}),
        ("registration_limit", {"registration_limit": 0.5}),
    ],
)
def test_rejects_invalid_settings(field: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=field) as raised:
        IssuerSettings(**settings)
    assert "guessable" not in str(raised.value)


def test_the_initial_access_token_is_not_in_the_repr() -> None:
    assert TOKEN not in repr(IssuerSettings(registration="token", registration_token=TOKEN))


# --- quantity -----------------------------------------------------------------------------------


def test_limits_registrations_per_peer() -> None:
    with issuer(registration_rate=3) as caller:
        made = [register(caller, redirect_uris=[CALLBACK]) for _ in range(5)]
        aws = caller.aws("/client/register", clientName="x", clientType="public")
    assert [each.status_code for each in made] == [201, 201, 201, 429, 429]
    assert 0 < int(made[-1].headers["retry-after"]) <= 20
    assert aws.headers["x-amzn-errortype"] == "SlowDownException"


def test_a_rate_limit_refills_and_is_separate_for_each_key() -> None:
    clock = Clock()
    limit = RateLimit(2, clock)
    for _ in range(2):
        assert limit.wait("a") == 0
        limit.take("a")
    assert limit.wait("a") == 30
    assert limit.wait("b") == 0
    clock.tick(30)
    assert limit.wait("a") == 0


def test_limits_the_size_of_metadata() -> None:
    uris = [f"https://app.example.com/{'x' * 1000}/{number}" for number in range(9)]
    with issuer(registration="unrestricted") as caller:
        refused = register(caller, redirect_uris=uris)
        assert register(caller, redirect_uris=uris[:7]).status_code == 201
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")


def device_login(caller: Caller, made: dict[str, Any]) -> int:
    client = as_client(caller, made)
    started = client.start()
    with BrowserDriver() as driver:
        driver.approve_device(started["verification_uri_complete"])
    return client.poll(started["device_code"]).status_code


def test_a_full_issuer_replaces_the_oldest_unused_registration() -> None:
    with issuer(registration_limit=2) as caller:
        kept = [register(caller, grant_types=[DEVICE]).json()]
        assert device_login(caller, kept[0]) == 200
        lost = register(caller, grant_types=[DEVICE]).json()
        newer = register(caller, grant_types=[DEVICE])
        assert newer.status_code == 201
        unknown = as_client(caller, lost).as_rfc("/device_authorization")
        assert unknown.json()["error"] == "invalid_client"
        assert device_login(caller, kept[0]) == 200
        assert device_login(caller, newer.json()) == 200
        full = register(caller, grant_types=[DEVICE])
    assert (full.status_code, full.json()["error"]) == (400, "temporarily_unavailable")


def test_an_unused_anonymous_registration_is_deleted_early(clock: Clock) -> None:
    lifetimes = Lifetimes(unused_registration=86_400)
    with issuer(clock, lifetimes=lifetimes) as caller:
        store = caller.server.store  # type: ignore[attr-defined]
        used = register(caller, grant_types=[DEVICE]).json()
        assert device_login(caller, used) == 200
        unused = register(caller, grant_types=[DEVICE]).json()
        own = add_client(store, MACHINE)
        clock.tick(86_401)
        store.run(lambda transaction: transaction.prune(clock(), 86_400))
        kept = {each.client_id for each in store.run(lambda each: each.clients.all())}
    assert kept == {used["client_id"], own["client_id"]}
    assert unused["client_secret_expires_at"] == used["client_secret_expires_at"]


# --- introspection ------------------------------------------------------------------------------


def test_an_anonymous_client_can_introspect_only_its_own_tokens() -> None:
    with issuer(lifetimes=Lifetimes(device_interval=0)) as caller:
        store = caller.server.store  # type: ignore[attr-defined]
        gateway = as_client(caller, add_client(store, MACHINE))
        resource = as_client(caller, add_client(store, MACHINE, introspects=True))
        token = gateway.as_rfc("/token", grant_type="client_credentials").json()["access_token"]
        stranger = as_client(caller, register(caller, grant_types=[DEVICE]).json())
        assert gateway.as_rfc("/introspect", token=token).json()["active"] is True
        assert resource.as_rfc("/introspect", token=token).json()["scope"] == MACHINE["scope"]
        assert stranger.as_rfc("/introspect", token=token).json() == {"active": False}


def test_the_audience_of_a_token_can_introspect_it() -> None:
    with issuer() as caller:
        store = caller.server.store  # type: ignore[attr-defined]
        asking = as_client(
            caller, add_client(store, {"grant_types": ["client_credentials", EXCHANGE]})
        )
        audience = as_client(caller, add_client(store, MACHINE))
        other = as_client(caller, add_client(store, MACHINE))
        subject = asking.as_rfc("/token", grant_type="client_credentials").json()["access_token"]
        token = exchange(asking, subject, audience=audience.id).json()["access_token"]
        assert audience.as_rfc("/introspect", token=token).json()["active"] is True
        assert other.as_rfc("/introspect", token=token).json() == {"active": False}


# --- the operator's clients -----------------------------------------------------------------------


def test_a_rotated_secret_is_valid_for_the_overlap(clock: Clock) -> None:
    with issuer(registration="off") as caller:
        store = caller.server.store  # type: ignore[attr-defined]
        old = as_client(caller, add_client(store, MACHINE))

        def works(client: Caller) -> bool:
            return client.as_rfc("/token", grant_type="client_credentials").ok

        new = old.clone()
        new.secret = rotate_secret(store, old.id, overlap=1000)
        assert works(old)
        assert works(new)
        newest = old.clone()
        newest.secret = rotate_secret(store, old.id, overlap=0)
        assert not works(old)  # only one earlier secret is kept
        assert not works(new)
        assert works(newest)
        for each in (new, newest):
            each.http.close()


def test_removing_a_client_revokes_its_tokens() -> None:
    with issuer(registration="off") as caller:
        store = caller.server.store  # type: ignore[attr-defined]
        gone = as_client(caller, add_client(store, MACHINE))
        resource = as_client(caller, add_client(store, MACHINE, introspects=True))
        token = gone.as_rfc("/token", grant_type="client_credentials").json()["access_token"]
        other = as_client(caller, add_client(store, {**MACHINE, "grant_types": [EXCHANGE]}))
        exchanged = exchange(other, token).json()["access_token"]
        again = exchange(other, exchanged).json()["access_token"]
        assert resource.active(again)
        remove_client(store, gone.id)
        assert not resource.active(exchanged)
        assert not resource.active(again)
        assert gone.as_rfc("/token", grant_type="client_credentials").status_code == 401
        assert resource.as_rfc("/introspect", token=token).json() == {"active": False}
        for change in (remove_client, rotate_secret):
            with pytest.raises(ConfigurationError, match="no client"):
                change(store, gone.id)
        with pytest.raises(ConfigurationError, match="grant_types contains"):
            add_client(store, {"grant_types": ["unknown"]})


def test_token_exchange_issues_only_scopes_that_the_client_registered() -> None:
    with issuer(registration="off") as caller:
        store = caller.server.store  # type: ignore[attr-defined]
        admin = as_client(caller, add_client(store, {**MACHINE, "scope": "read admin"}))
        reader = as_client(
            caller, add_client(store, {"grant_types": [EXCHANGE], "scope": "read write"})
        )
        token = admin.as_rfc("/token", grant_type="client_credentials").json()["access_token"]
        for beyond in ("admin", "read admin", "write"):
            refused = exchange(reader, token, scope=beyond)
            assert refused.json()["error"] == "invalid_scope"
        assert exchange(reader, token, scope="read").json()["scope"] == "read"


@pytest.mark.parametrize("proxy", ["nginx", "localhost", "192.0.2.1/24", "192.0.2.1:80", ""])
def test_rejects_a_trusted_proxy_that_is_not_an_address(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        IssuerServer(IssuerSettings(registration="off"), trusted_proxies=[proxy])
