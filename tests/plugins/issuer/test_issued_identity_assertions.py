"""Identity assertions (ID-JAG) that the embedded issuer issues for another server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet

import grantway
from grantway_plugins._jwt import unverified_claims, unverified_part
from grantway_plugins.grants import jwt_bearer, token_exchange
from grantway_plugins.issuer import (
    IdentityAssertionPolicy,
    IssuerServer,
    IssuerSettings,
    KeySettings,
    OpenIDLogin,
    PluginLogin,
    Resource,
    TrustedIssuer,
)
from grantway_plugins.issuer._decisions.operator_clients import add_client
from grantway_plugins.issuer._storage.users import UserRecord
from grantway_plugins.server._log_format import FieldsMessage
from tests.enterprise import FILES, Enterprise, enterprise, log_in
from tests.plugins.issuer.conftest import BASIC, Caller, Clock

ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
Begin = Callable[..., "Agent"]


class Agent:
    """The client, with the user's tokens."""

    def __init__(self, setup: Enterprise) -> None:
        self.setup = setup
        self.client = setup.idp_client()
        self.tokens = log_in(self.client)

    def exchange(
        self, *, client: Mapping[str, Any] | None = None, **params: Any
    ) -> requests.Response:
        asked = {
            "grant_type": token_exchange.GRANT_TYPE,
            "subject_token": self.tokens.id_token,
            "subject_token_type": token_exchange.ID_TOKEN,
            "requested_token_type": ID_JAG,
            "audience": self.setup.files.url,
            **params,
        }
        kept = {name: value for name, value in asked.items() if value is not None}
        client = client or self.setup.at_idp
        return requests.post(
            f"{self.setup.idp.url}/token",
            data=kept,
            auth=(client["client_id"], client["client_secret"]),
            timeout=10,
        )

    def claims(self, **params: Any) -> dict[str, Any]:
        response = self.exchange(**params)
        assert response.status_code == 200, response.text
        return unverified_claims(response.json()["access_token"])

    def error(self, **params: Any) -> str:
        response = self.exchange(**params)
        assert response.status_code == 400, response.text
        return str(response.json()["error"])


@pytest.fixture
def begin(tmp_path: Path, clock: Clock) -> Iterator[Begin]:
    """Return a function that starts both issuers and logs the user in."""
    with ExitStack() as exits:

        def run(**options: Any) -> Agent:
            agent = Agent(exits.enter_context(enterprise(tmp_path, clock=clock, **options)))
            exits.enter_context(agent.client)
            return agent

        yield run


@pytest.fixture
def detail(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Return a function that returns the detail of the last audit event."""
    caplog.set_level(logging.INFO, "grantway.audit")

    def last() -> str:
        events = [each.msg for each in caplog.records if isinstance(each.msg, FieldsMessage)]
        return str(events[-1].fields["detail"])

    return last


def test_issues_an_assertion(begin: Begin, clock: Clock, detail: Callable[[], str]) -> None:
    agent = begin()
    setup = agent.setup
    response = agent.exchange(scope="read", resource=FILES).json()
    assertion = response.pop("access_token")
    assert response == {
        "issued_token_type": ID_JAG,
        "token_type": "N_A",
        "expires_in": 300,
        "scope": "read",
    }
    assert detail() == f"a JWT for {setup.files.url}"
    keys = KeySet.import_key_set(requests.get(f"{setup.idp.url}/jwks", timeout=10).json())
    decoded = jwt.decode(assertion, keys, algorithms=["ES256"])
    assert decoded.header["typ"] == "oauth-id-jag+jwt"
    assert len(decoded.claims.pop("jti")) > 20
    assert decoded.claims == {
        "iss": setup.idp.url,
        "sub": "alice",
        "aud": setup.files.url,
        "client_id": setup.at_files["client_id"],
        "iat": int(clock.now),
        "exp": int(clock.now) + 300,
        "scope": "read",
        "resource": FILES,
    }


def test_publishes_that_it_issues_assertions(begin: Begin) -> None:
    setup = begin().setup
    name = "identity_chaining_requested_token_types_supported"
    assert grantway.Provider.discover(setup.idp.url).metadata[name] == [ID_JAG]
    assert name not in grantway.Provider.discover(setup.files.url).metadata


def test_no_assertions_without_a_policy(clock: Clock) -> None:
    with (
        IssuerServer(IssuerSettings(registration="unrestricted"), clock=clock) as server,
        Caller(server.url) as caller,
    ):
        grants = ["authorization_code", token_exchange.GRANT_TYPE]
        caller.register_rfc(grant_types=grants, scope="openid")
        response = caller.as_rfc(
            "/token",
            grant_type=token_exchange.GRANT_TYPE,
            subject_token=caller.login(scope="openid")["id_token"],
            subject_token_type=token_exchange.ID_TOKEN,
            requested_token_type=ID_JAG,
            audience="https://files.example",
        )
        assert response.json()["error"] == "invalid_request"
        assert "requested_token_type" in response.json()["error_description"]


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"audience": "https://other.example"}, "invalid_target"),
        ({"audience": None}, "invalid_request"),
        ({"audience": ["https://a.example", "https://b.example"]}, "invalid_request"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"resource": "https://mail.example/mcp"}, "invalid_target"),
        ({"subject_token": "not.a.jwt"}, "invalid_request"),
        ({"subject_token_type": token_exchange.ACCESS_TOKEN}, "invalid_request"),
        ({"subject_token_type": token_exchange.REFRESH_TOKEN}, "invalid_request"),
        ({"subject_token_type": token_exchange.JWT}, "invalid_request"),
        ({"actor_token": "a", "actor_token_type": token_exchange.JWT}, "invalid_request"),
    ],
)
def test_rejects_what_the_policy_does_not_permit(
    begin: Begin, params: dict[str, Any], error: str
) -> None:
    assert begin().error(**params) == error


def test_a_policy_permits_users(begin: Begin, detail: Callable[[], str]) -> None:
    agent = begin(policy={"users": ("bob", "c*")})
    assert agent.error() == "invalid_target"
    assert "no policy of" in detail()


def test_only_the_clients_of_the_policy(begin: Begin) -> None:
    """Neither another client's ID token nor another client's right can be used."""
    agent = begin()
    metadata = {"grant_types": ["authorization_code", token_exchange.GRANT_TYPE]}
    metadata |= {"scope": "openid", "redirect_uris": ["http://127.0.0.1:8400/oauth/callback"]}
    other = add_client(agent.setup.idp.store, metadata)
    assert agent.error(client=other) == "invalid_request"  # the ID token is for the agent
    with Caller(agent.setup.idp.url) as caller:
        caller.id, caller.secret = other["client_id"], other["client_secret"]
        caller.method = BASIC
        token = caller.login(scope="openid")["id_token"]
    assert agent.error(subject_token=token, client=other) == "invalid_target"
    assert agent.error(subject_token=token) == "invalid_request"


def test_an_expired_id_token_is_not_exchanged(begin: Begin, clock: Clock) -> None:
    agent = begin()
    clock.tick(3599)
    assert agent.claims()["sub"] == "alice"
    clock.tick(1)
    assert agent.error() == "invalid_request"


def test_other_jwts_of_the_issuer_are_no_id_tokens(begin: Begin) -> None:
    agent = begin(idp={"access_token_format": "jwt"})
    for token in (agent.tokens.access_token, agent.exchange().json()["access_token"]):
        assert agent.error(subject_token=token) == "invalid_request"


def test_an_exchanged_jwt_is_no_id_token(begin: Begin) -> None:
    """Its audience may have become a client since."""
    agent = begin(idp={"keys": KeySettings(enabled=True)})
    token = agent.exchange(
        subject_token=agent.tokens.access_token,
        subject_token_type=token_exchange.ACCESS_TOKEN,
        requested_token_type=token_exchange.JWT,
        audience="https://files.example",
    ).json()["access_token"]
    assert unverified_part(token.partition(".")[0])["typ"] == "JWT"
    assert unverified_claims(token)["client_id"]
    assert agent.error(subject_token=token) == "invalid_request"


def test_narrows_scopes_and_resources(begin: Begin) -> None:
    mail = "https://mail.example/mcp"
    agent = begin(policy={"resources": (FILES, mail)}, idp={"resources": (Resource("urn:own"),)})
    claims = agent.claims()
    assert (claims["scope"], claims["resource"]) == ("read write", [FILES, mail])
    claims = agent.claims(scope="write admin", resource=["urn:own", mail])
    assert (claims["scope"], claims["resource"]) == ("write", mail)


def test_a_policy_without_scopes_leaves_them_to_the_other_server(begin: Begin) -> None:
    agent = begin(policy={"scopes": (), "resources": ()})
    response = agent.exchange().json()
    claims = unverified_claims(response["access_token"])
    assert not {"scope", "resource"} & {*claims}
    assert "scope" not in response
    assert agent.error(scope="read") == "invalid_scope"
    assert agent.error(resource=FILES) == "invalid_target"


def test_adds_the_permitted_claims_of_the_user(begin: Begin, clock: Clock) -> None:
    agent = begin(policy={"claims": ("email", "email_verified", "nickname", "aud"), "lifetime": 60})
    assert "email" not in agent.claims()  # the user has not logged in yet
    known = {"email": "a@example.com", "email_verified": True, "name": "A", "aud": "other"}
    record = UserRecord("alice", known, clock.now)
    agent.setup.idp.store.run(lambda transaction: transaction.users.save(record))
    claims = agent.claims()
    assert (claims["email"], claims["email_verified"]) == ("a@example.com", True)
    assert not {"name", "nickname"} & {*claims}
    assert (claims["aud"], claims["exp"] - claims["iat"]) == (agent.setup.files.url, 60)


def test_other_grants_cannot_request_unknown_resources(clock: Clock) -> None:
    settings = IssuerSettings(registration="unrestricted", resources=(Resource(FILES),))
    with IssuerServer(settings, clock=clock) as server, Caller(server.url) as caller:
        caller.register_rfc(grant_types=["client_credentials"], redirect_uris=[])
        response = caller.as_rfc(
            "/token",
            grant_type="client_credentials",
            requested_token_type=ID_JAG,
            resource="https://unknown.example",
        )
        assert response.json()["error"] == "invalid_target"


def test_an_issuer_does_not_accept_its_own_assertions(clock: Clock, tmp_path: Path) -> None:
    """Even if it is configured to trust itself."""
    with enterprise(tmp_path, clock=clock) as setup:
        database, url, agent = tmp_path / "idp.db", setup.idp.url, Agent(setup)
        assertion = agent.exchange().json()["access_token"]
        agent.client.close()
    port = int(url.rpartition(":")[2])
    settings = IssuerSettings(
        registration="unrestricted", trusted_issuers=(TrustedIssuer(url, users=("**",)),)
    )
    with (
        IssuerServer(settings, database=database, clock=clock, port=port) as server,
        Caller(server.url) as caller,
    ):
        caller.register_rfc(grant_types=[jwt_bearer.GRANT_TYPE], redirect_uris=[])
        response = caller.as_rfc("/token", grant_type=jwt_bearer.GRANT_TYPE, assertion=assertion)
        assert response.json()["error"] == "invalid_grant"


# --- settings ---


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("audience", "http://files.example", "https"),
        ("audience", "https://files.example?a", "no query"),
        ("audience", None, "must be a URL"),
        ("clients", {}, "must name a client"),
        ("clients", ["agent"], "must map client ids"),
        ("clients", {"agent": ""}, "must map client ids"),
        ("scopes", ("a b",), "scope"),
        ("scopes", ["read"], "tuple of strings"),
        ("resources", ("files",), "absolute URIs"),
        ("users", ("***",), "invalid pattern"),
        ("claims", ("",), "tuple of strings"),
        ("lifetime", 0, "lifetime"),
        ("lifetime", 3601, "lifetime"),
    ],
)
def test_invalid_policies(field: str, value: Any, problem: str) -> None:
    valid: dict[str, Any] = {"audience": "https://files.example", "clients": {"a": "b"}}
    with pytest.raises(grantway.ConfigurationError, match=problem):
        IdentityAssertionPolicy(**{**valid, field: value})


def test_invalid_combinations() -> None:
    one = IdentityAssertionPolicy("https://files.example", {"a": "b"})
    another = IdentityAssertionPolicy("https://files.example", {"a": "c", "d": "e"})
    with pytest.raises(grantway.ConfigurationError, match="two policies of a"):
        IssuerSettings(identity_assertions=(one, another))
    with pytest.raises(grantway.ConfigurationError, match="this issuer as audience"):
        IssuerSettings(issuer="https://files.example", identity_assertions=(one,))
    with pytest.raises(grantway.ConfigurationError, match="must be a tuple"):
        IssuerSettings(identity_assertions=[one])  # type: ignore[arg-type]
    with pytest.raises(grantway.ConfigurationError, match="requires keys"):
        IssuerSettings(identity_assertions=(one,), keys=KeySettings(enabled=False))
    trusted = TrustedIssuer("https://idp.example", users=("**",), subject_claim="email")
    with pytest.raises(grantway.ConfigurationError, match="subject_claim"):
        IssuerSettings(
            trusted_issuers=(trusted,), login=OpenIDLogin("https://idp.example", "a", "secret")
        )


_A: dict[str, Any] = {"issuer": "https://a.example", "users": ("**",)}
_B: dict[str, Any] = {"issuer": "https://b.example", "users": ("**",)}
_EMAIL: dict[str, Any] = {"subject_claim": "email"}
_OF_A = {"claims": {"email": "**@a.example"}}
_OF_B = {"claims": {"email": "**@b.example"}}


def _openid(**fields: Any) -> OpenIDLogin:
    return OpenIDLogin("https://login.example", "client", "secret", **fields)


@pytest.mark.parametrize(
    ("trusted", "login", "separate"),
    [
        ([_A | _EMAIL], None, True),
        ([_A | _EMAIL, _B | _EMAIL], None, False),
        ([_A | _EMAIL | _OF_A, _B | _EMAIL], None, False),
        ([_A | _EMAIL | _OF_A, _B | _EMAIL | _OF_B], None, True),
        ([_A | _EMAIL, _B | {"subject_claim": "oid"}], None, False),
        ([_A | _EMAIL, _B], None, False),  # a derived sub is possible text of a claim
        ([_A | _EMAIL | {"subject_prefix": "a"}, _B], None, False),
        ([_A | _EMAIL | {"subject_prefix": "a:"}, _B], None, True),
        ([_A | _EMAIL | _OF_A, _B], None, True),
        ([_A, _B], None, True),
        (
            [_A | _EMAIL | {"subject_prefix": "a:"}, _B | _EMAIL | {"subject_prefix": "b:"}],
            None,
            True,
        ),
        (
            [_A | _EMAIL | {"subject_prefix": "a:"}, _B | _EMAIL | {"subject_prefix": "a:b:"}],
            None,
            False,
        ),
        ([_A | _EMAIL, {"issuer": "https://c.example", "subjects": ("**",)}], None, True),
        ([_A | _EMAIL], _openid(), False),
        ([_A], _openid(**_EMAIL), False),
        ([_A], _openid(**_EMAIL, allow={"email": ("**@b.example",)}), True),
        ([_A | _EMAIL | _OF_A], _openid(**_EMAIL), False),
        ([_A | _EMAIL | {"subject_prefix": "a:"}], _openid(), True),
        ([_A | {"issuer": "https://login.example"}], _openid(**_EMAIL), True),
        ([], _openid(**_EMAIL), True),
        ([_A], _openid(), True),
        ([_A | _EMAIL], PluginLogin("corp"), False),
        ([_A | _EMAIL | {"subject_prefix": "a:"}], PluginLogin("corp"), True),
    ],
)
def test_no_issuer_alone_decides_to_share_accounts(
    trusted: list[dict[str, Any]], login: OpenIDLogin | PluginLogin | None, separate: bool
) -> None:
    issuers = tuple(TrustedIssuer(**each) for each in trusted)
    if separate:
        IssuerSettings(trusted_issuers=issuers, login=login)
        return
    with pytest.raises(grantway.ConfigurationError, match="accounts of users of") as caught:
        IssuerSettings(trusted_issuers=issuers, login=login)
    assert list(caught.value.errors) == ["trusted_issuers"]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"subjects": ("a",), "subject_claim": "email"}, "subject_claim"),
        ({"users": ("a",), "subject_claim": ""}, "subject_claim"),
        ({"users": ("a",), "subject_prefix": "a"}, "subject_prefix"),
        ({"users": ("a",), "subject_claim": "email", "subject_prefix": "\n"}, "subject_prefix"),
        ({"users": ["a"]}, "users"),
        ({"users": ("***",)}, "users"),
        ({"users": ("a",), "issuer": "spiffe://a.org", "jwks_file": "a.json"}, "users"),
        ({}, "subjects"),
    ],
)
def test_invalid_rules_for_users(fields: dict[str, Any], name: str) -> None:
    with pytest.raises(grantway.ConfigurationError) as caught:
        TrustedIssuer(**{"issuer": "https://idp.example", **fields})
    assert list(caught.value.errors) == [name]
