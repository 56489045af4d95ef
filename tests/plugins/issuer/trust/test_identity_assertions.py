"""Identity assertions (ID-JAG) of a trusted issuer, exchanged at the embedded issuer for tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given, strategies as st

from grantway_plugins.gateway.upstream import RequestContext
from grantway_plugins.grants import jwt_bearer, token_exchange
from grantway_plugins.issuer import (
    IssuerServer,
    IssuerSettings,
    OpenIDLogin,
    Resource,
    TrustedIssuer,
)
from grantway_plugins.issuer._trust.claim_rules import (
    TokenRejectedError,
    judge_identity_assertion,
)
from grantway_plugins.issuer._trust.trusted_token import RejectedToken
from grantway_plugins.issuer._trust.verification import TrustedTokens
from grantway_plugins.resource import AcceptedIssuer, AccessDeniedError, ProtectedResource
from grantway_plugins.server._log_format import FieldsMessage
from grantway_plugins.testing import WorkloadIssuer
from tests.faults import free_port
from tests.plugins.issuer.conftest import Caller, Clock
from tests.plugins.issuer.trust.conftest import Detail

TYP = "oauth-id-jag+jwt"
FILES, MAIL = "https://files.example/mcp", "https://mail.example/mcp"
Start = Callable[..., Caller]


@pytest.fixture
def company(clock: Clock) -> Iterator[WorkloadIssuer]:
    """The identity provider."""
    with WorkloadIssuer(clock=clock) as running:
        yield running


@pytest.fixture
def start(clock: Clock, company: WorkloadIssuer) -> Iterator[Start]:
    """Return a function that starts an issuer which trusts the company, and registers a client."""
    with ExitStack() as exits:

        def run(
            database: str | Path = ":memory:", *, metadata: Any = None, **options: Any
        ) -> Caller:
            rules = options.pop("trusted", {"users": ("a*",)})
            settings = IssuerSettings(
                registration="unrestricted",
                trusted_issuers=(TrustedIssuer(company.url, **rules),),
                **{"resources": (Resource(FILES, ("read", "write")), Resource(MAIL)), **options},
            )
            server = exits.enter_context(IssuerServer(settings, database=database, clock=clock))
            caller = exits.enter_context(Caller(server.url))
            grants = [jwt_bearer.GRANT_TYPE, token_exchange.GRANT_TYPE, "refresh_token"]
            asked = {"grant_types": grants, "redirect_uris": [], "scope": "read write send"}
            return caller.register_rfc(**{**asked, **(metadata or {})})

        yield run


def assertion(
    company: WorkloadIssuer, caller: Caller, *, typ: str | None = TYP, **claims: Any
) -> str:
    usual = {
        "client_id": caller.id,
        "jti": secrets.token_hex(8),
        "resource": FILES,
        "scope": "read write",
    }
    options = {"subject": "alice", "audience": caller.url, "lifetime": 300}
    options |= {name: claims.pop(name) for name in tuple(options) if name in claims}
    return company.token(**options, header={"typ": typ}, **{**usual, **claims})


def redeem(caller: Caller, token: str, **params: Any) -> requests.Response:
    return caller.as_rfc("/token", grant_type=jwt_bearer.GRANT_TYPE, assertion=token, **params)


def at_once(caller: Caller, token: str) -> int:
    with caller.clone() as program:
        return redeem(program, token).status_code


def introspected(caller: Caller, response: requests.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    token = response.json()["access_token"]
    found: dict[str, Any] = caller.as_rfc("/introspect", token=token).json()
    return found


def subject_at(company: WorkloadIssuer, sub: str) -> str:
    named = json.dumps([company.url, sub]).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(named).digest()).rstrip(b"=").decode()


def test_exchanges_an_assertion_for_a_token(start: Start, company: WorkloadIssuer) -> None:
    caller = start()
    response = redeem(caller, assertion(company, caller, auth_time=1_799_999_000))
    known = introspected(caller, response)
    assert response.json().keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (known["sub"], known["client_id"]) == (subject_at(company, "alice"), caller.id)
    assert known["exp"] - known["iat"] == 3600
    assert (known["aud"], known["scope"]) == ([FILES], "read write")


def test_publishes_the_profile_if_users_are_trusted(start: Start) -> None:
    metadata = requests.get(f"{start().url}/.well-known/openid-configuration", timeout=10).json()
    assert metadata["authorization_grant_profiles_supported"] == [
        "urn:ietf:params:oauth:grant-profile:id-jag"
    ]
    assert jwt_bearer.GRANT_TYPE in metadata["grant_types_supported"]
    other = start(trusted={"subjects": ("alice",)})
    metadata = requests.get(f"{other.url}/.well-known/openid-configuration", timeout=10).json()
    assert "authorization_grant_profiles_supported" not in metadata


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"audience": "https://other.example"}, "has the audience https://other.example"),
        ({"audience": ["{url}", "https://other.example"]}, "has the audience"),
        ({"audience": "{url}/"}, "has the audience"),
        ({"audience": "{url}/token"}, "has the audience"),
        ({"aud": None}, "has the audience None"),
        ({"client_id": "another"}, "is for another client"),
        ({"client_id": None}, "has no client_id"),
        ({"client_id": ["{client}"]}, "has no client_id"),
        ({"sub": None}, "has no sub"),
        ({"jti": None}, "has no jti"),
        ({"jti": 7}, "has no jti"),
        ({"iat": None}, "has no iat"),
        ({"exp": None}, "has no exp"),
        ({"lifetime": -31}, "expired 31 seconds ago"),
        ({"lifetime": 3631}, "max_lifetime"),
        ({"iat": 1_800_000_100}, "in the future"),
        ({"nbf": 1_800_000_100}, "in the future"),
        ({"iss": "https://stranger.example"}, "is not a trusted issuer"),
        ({"subject": "bob"}, "has the subject bob, which users does not list"),
        ({"typ": "JWT"}, "has the subject alice, which subjects does not list"),
        ({"typ": None}, "has the subject alice, which subjects does not list"),
        ({"typ": "at+jwt"}, "has a typ that does not fit assertion"),
        ({"resource": 7}, "has a resource that is not text"),
        ({"resource": [FILES, 7]}, "has a resource that is not text"),
        ({"scope": ["read"]}, "has a scope that is not text"),
        ({"tenant": "acme"}, "is of a tenant"),
        ({"authorization_details": [{"type": "files"}]}, "has authorization_details"),
        ({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, "is bound to a key"),
        ({"auth_time": 1_900_000_000}, "has an auth_time that is not a time in the past"),
        ({"auth_time": "1"}, "has an auth_time that is not a time in the past"),
        ({"cnf": "key"}, "is bound to a key"),
        ({"cnf": {"jkt": None}}, "is bound to a key"),
    ],
)
def test_rejects_invalid_assertions(
    start: Start,
    company: WorkloadIssuer,
    detail: Detail,
    claims: dict[str, Any],
    reason: str,
) -> None:
    caller = start()

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(each) for each in value]
        if not isinstance(value, str):
            return value
        return value.replace("{url}", caller.url).replace("{client}", caller.id)

    token = assertion(company, caller, **{name: filled(value) for name, value in claims.items()})
    response = redeem(caller, token)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
    assert reason in detail()
    assert token not in response.text + detail()


def test_an_assertion_is_not_an_ordinary_jwt(
    start: Start, company: WorkloadIssuer, detail: Detail
) -> None:
    """An issuer may be trusted for workloads, for users, or for both."""
    workloads = start(trusted={"subjects": ("alice",)})
    assert redeem(workloads, assertion(company, workloads)).status_code == 400
    assert "typ that does not fit" in detail()
    ordinary = company.token("alice", workloads.url, header={"typ": "authorization-grant+jwt"})
    assert redeem(workloads, ordinary).status_code == 200

    both = start(trusted={"subjects": ("job",), "users": ("alice",), "clients": {"alice": "x"}})
    assert redeem(both, assertion(company, both)).status_code == 200
    assert redeem(both, assertion(company, both, subject="job")).status_code == 400
    for parameter, params in (
        ("subject_token", {"subject_token_type": token_exchange.JWT}),
        ("subject_token", {"subject_token_type": token_exchange.ID_TOKEN}),
    ):
        token = assertion(company, both)
        params |= {"grant_type": token_exchange.GRANT_TYPE, parameter: token}
        assert both.as_rfc("/token", **params).status_code == 400
        assert "typ that does not fit subject_token" in detail()
    refused = both.rfc(
        "/token",
        grant_type=jwt_bearer.GRANT_TYPE,
        assertion=assertion(company, both),
        client_assertion=assertion(company, both),
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    )
    assert refused.json()["error"] == "invalid_client"


def test_an_assertion_is_no_access_token(start: Start, company: WorkloadIssuer) -> None:
    caller = start()
    token = assertion(company, caller)
    assert not caller.active(token)
    bearer = {"Authorization": f"Bearer {token}"}
    response = requests.get(f"{caller.url}/userinfo", headers=bearer, timeout=10)
    assert response.status_code == 401


def test_a_resource_rejects_an_assertion() -> None:
    with WorkloadIssuer() as company:
        accepted = AcceptedIssuer(company.url, types=("at+jwt", "jwt"))
        resource = ProtectedResource(FILES, [accepted])

        def verify(typ: str) -> str | None:
            token = company.token(
                "alice", FILES, header={"typ": typ}, client_id="a", jti="1", scope="read"
            )
            headers = [("Authorization", f"Bearer {token}")]
            return resource.verify(RequestContext.of("files.example", "/mcp", headers)).subject

        assert verify("at+jwt") == "alice"
        with pytest.raises(AccessDeniedError):
            verify(TYP)


def test_an_assertion_is_accepted_once_also_after_a_restart(
    company: WorkloadIssuer,
    clock: Clock,
    database: str,
    detail: Detail,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = IssuerSettings(
        registration="unrestricted", trusted_issuers=(TrustedIssuer(company.url, users=("**",)),)
    )
    port, grants = free_port(), [jwt_bearer.GRANT_TYPE]
    with (
        IssuerServer(settings, database=database, clock=clock, port=port) as server,
        Caller(server.url) as caller,
    ):
        caller.register_rfc(grant_types=grants, redirect_uris=[], scope="read write")
        # A request that is rejected for another reason does not use the assertion up.
        token = assertion(company, caller, jti="1")
        assert redeem(caller, token, scope="other").json()["error"] == "invalid_scope"
        with ThreadPoolExecutor(8) as threads:
            statuses = list(threads.map(lambda _: at_once(caller, token), range(8)))
        assert sorted(statuses) == [200, *[400] * 7]
    with (
        IssuerServer(settings, database=database, clock=clock, port=port) as server,
        caller.clone() as again,
    ):
        other = assertion(company, caller, jti="1", subject="other")
        for each, subject in ((token, "alice"), (other, "other")):
            response = redeem(again, each)
            assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
            assert detail() == "The assertion was used before"
            events = [one.msg for one in caplog.records if isinstance(one.msg, FieldsMessage)]
            assert events[-1].fields["subject"] == subject_at(company, subject)
        clock.tick(301)
        assert redeem(again, token).status_code == 400  # still within the leeway
        assert detail() == "The assertion was used before"
        clock.tick(30)
        assert redeem(again, token).status_code == 400
        assert "expired" in detail()


@pytest.mark.parametrize(
    ("claim", "requested", "granted"),
    [
        ("read write", None, "read write"),
        ("read write other", None, "read write"),
        ("read", "read write", "read"),
        ("read write", "read", "read"),
        (None, None, "read write"),
        (None, "read", "read"),
        ("other", None, None),
        ("", None, None),
        ("read", "write", None),
        ("read other", "other", None),
    ],
)
def test_narrows_the_scope(
    start: Start,
    company: WorkloadIssuer,
    claim: str | None,
    requested: str | None,
    granted: str | None,
) -> None:
    caller = start()
    params = {} if requested is None else {"scope": requested}
    response = redeem(caller, assertion(company, caller, scope=claim), **params)
    if granted is None:
        assert response.json()["error"] == "invalid_scope"
    else:
        assert response.json()["scope"] == granted


@pytest.mark.parametrize(
    ("claim", "requested", "audience"),
    [
        (FILES, None, [FILES]),
        (FILES, FILES, [FILES]),
        ([FILES, MAIL], None, [FILES, MAIL]),
        ([FILES, MAIL], MAIL, [MAIL]),
        ([FILES, FILES], None, [FILES]),
        ([FILES, "https://unknown.example"], None, [FILES]),
        (None, FILES, [FILES]),
        (FILES, MAIL, None),
        ("https://unknown.example", None, None),
        (FILES, "https://unknown.example", None),
        ([], None, None),
    ],
)
def test_narrows_the_resources(
    start: Start,
    company: WorkloadIssuer,
    claim: Any,
    requested: str | None,
    audience: Any,
) -> None:
    caller = start()
    params = {} if requested is None else {"resource": requested}
    response = redeem(caller, assertion(company, caller, resource=claim), **params)
    if audience is None:
        assert response.json()["error"] == "invalid_target"
    else:
        assert introspected(caller, response)["aud"] == audience


def test_only_confidential_clients_may_use_assertions(
    start: Start, company: WorkloadIssuer
) -> None:
    public = start(metadata={"token_endpoint_auth_method": "none"})
    response = redeem(public, assertion(company, public))
    assert (response.status_code, response.json()["error"]) == (400, "unauthorized_client")


# --- users ---


def test_users_of_two_issuers_have_different_accounts(
    start: Start, company: WorkloadIssuer
) -> None:
    caller = start()
    found = introspected(caller, redeem(caller, assertion(company, caller)))
    assert found["sub"] == subject_at(company, "alice") != "alice"


@pytest.mark.parametrize(
    ("claims", "sub"),
    [
        ({"email": "Alice@example.com", "email_verified": True}, "company:Alice@example.com"),
        ({"email": "alice@example.com", "email_verified": False}, None),
        ({"email": "alice@example.com", "email_verified": "true"}, None),
        ({"email": "alice@example.com"}, None),
        ({}, None),
        ({"email": ["a@example.com", "b@example.com"], "email_verified": True}, None),
        ({"email": f"{'a' * 300}@example.com", "email_verified": True}, None),
    ],
)
def test_a_claim_names_the_account_only_if_configured(
    start: Start, company: WorkloadIssuer, claims: dict[str, Any], sub: str | None
) -> None:
    rules = {"users": ("**",), "subject_claim": "email", "subject_prefix": "company:"}
    caller = start(trusted=rules)
    response = redeem(caller, assertion(company, caller, **claims))
    if sub is None:
        assert response.json()["error"] == "invalid_grant"
    else:
        assert introspected(caller, response)["sub"] == sub


def test_no_assertion_gets_the_account_of_the_local_user(
    start: Start, company: WorkloadIssuer, detail: Detail
) -> None:
    caller = start(
        subject="local-user", trusted={"users": ("**",), "subject_claim": "preferred_username"}
    )
    token = assertion(company, caller, preferred_username="local-user")
    assert redeem(caller, token).json()["error"] == "invalid_grant"
    assert "the local user" in detail()


def test_the_rules_of_a_login_at_the_same_issuer_apply(
    start: Start, company: WorkloadIssuer, detail: Detail
) -> None:
    login = OpenIDLogin(
        company.url,
        "issuer",
        "secret",
        subject_claim="preferred_username",
        allow={"email": ("**@example.com",)},
    )
    caller = start(login=login)
    claims = {"preferred_username": "al", "email": "al@example.com", "email_verified": True}
    found = introspected(caller, redeem(caller, assertion(company, caller, **claims)))
    assert found["sub"] == "al"
    claims["email"] = "al@other.example"
    assert redeem(caller, assertion(company, caller, **claims)).status_code == 400
    assert "allow.email" in detail()


def test_a_tenant_must_be_named(start: Start, company: WorkloadIssuer) -> None:
    rules: dict[str, Any] = {"users": ("**",), "claims": {"tenant": "acme"}}
    caller = start(trusted=rules)
    assert redeem(caller, assertion(company, caller, tenant="acme")).status_code == 200
    for tenant in ("other", None, 7):
        assert redeem(caller, assertion(company, caller, tenant=tenant)).status_code == 400
    rules["claims"] = {"tenant": "*"}
    caller = start(trusted=rules)
    assert redeem(caller, assertion(company, caller, tenant="acme")).status_code == 400


# --- keys ---


def test_a_deeply_nested_header_is_rejected(start: Start, company: WorkloadIssuer) -> None:
    """At every depth: the header is read several times, with more and less stack left."""
    caller = start()
    _, claims, signature = assertion(company, caller).split(".")
    tokens = TrustedTokens((TrustedIssuer(company.url, users=("**",)),), caller.url, lambda: 0.0)
    for depth in range(800, sys.getrecursionlimit()):
        header = f'{{"alg":"ES256","typ":"{TYP}","x":{"[" * depth}{"]" * depth}}}'
        encoded = base64.urlsafe_b64encode(header.encode()).decode().rstrip("=")
        found = tokens.of({"assertion": f"{encoded}.{claims}.{signature}"})
        assert isinstance(found["assertion"], RejectedToken)


# --- claims ---

_URL = "https://issuer.example"
_TRUSTED = TrustedIssuer("https://idp.example", users=("user-*",))
_NOW = 1_800_000_000.0
_VALID: dict[str, Any] = {
    "iss": _TRUSTED.issuer,
    "sub": "user-1",
    "aud": _URL,
    "client_id": "agent",
    "jti": "1",
    "iat": _NOW,
    "exp": _NOW + 300,
}
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def _accepted(claims: dict[str, Any]) -> bool:
    try:
        judge_identity_assertion(claims, _TRUSTED, _URL, _NOW)
    except TokenRejectedError:
        return False
    return True


@given(name=st.sampled_from(sorted(_VALID)), value=_json)
def test_no_claim_can_be_replaced(name: str, value: Any) -> None:
    changed = {**_VALID, name: value}
    if not _accepted(changed):
        return
    free = {"client_id", "jti"}  # the token endpoint compares the one, and stores the other
    assert isinstance(value, str) or name in {"iat", "exp", "aud"}
    if name not in free:
        assert (
            value == _VALID[name]
            or value == [_URL]
            or (name == "sub" and value.startswith("user-"))
            or (name == "iat" and value <= _NOW + 30)
            or (name == "exp" and _NOW - 30 < value <= _NOW + 3630)
        )


@given(removed=st.sets(st.sampled_from(sorted(_VALID))), more=st.dictionaries(st.text(), _json))
def test_every_claim_is_required(removed: set[str], more: dict[str, Any]) -> None:
    claims = {name: value for name, value in _VALID.items() if name not in removed}
    extra = {
        name: value for name, value in more.items() if name not in {*_VALID, "nbf", "auth_time"}
    }
    assert _accepted({**extra, **claims}) == (not removed)
