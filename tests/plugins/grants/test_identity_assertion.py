"""Logins with identity assertions (ID-JAG): two issuers, and an identity provider with faults."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from joserfc.jwk import ECKey

import grantway
from grantway._requests.client_auth import ClientSecretBasic, NoAuth
from grantway_plugins._jwt import unverified_claims
from grantway_plugins.client_auth import DPoP, SigningKey
from grantway_plugins.grants import _identity_assertion_check, token_exchange
from grantway_plugins.grants.identity_assertion import ID_JAG, IdentityAssertionLogin
from grantway_plugins.secrets import FileSecret
from tests.enterprise import FILES, Enterprise, enterprise, log_in
from tests.faults import FaultServer, reset_after_request, respond

_KEY = SigningKey(ECKey.generate_key("P-256"))
_VALID: dict[str, Any] = {"issued_token_type": ID_JAG, "token_type": "N_A", "expires_in": 300}


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Enterprise]:
    with enterprise(tmp_path) as running:
        yield running


@pytest.fixture
def idp(setup: Enterprise) -> Iterator[grantway.Client]:
    with setup.idp_client() as client:
        yield client


@pytest.fixture
def files(setup: Enterprise) -> Iterator[grantway.Client]:
    with setup.files_client() as client:
        yield client


@pytest.fixture
def company(setup: Enterprise, idp: grantway.Client) -> grantway.Credential:
    """The user's login at the identity provider."""
    credential = idp.credential(
        grant_type="authorization_code",
        subject="alice",
        store=grantway.default_registry().store("memory"),
    )
    credential.accept(log_in(idp))
    return credential


def signed(*, lifetime: float = 300, typ: str = "oauth-id-jag+jwt", **claims: Any) -> str:
    usual = {
        "aud": "https://files.example",
        "client_id": "agent",
        "exp": int(time.time() + lifetime),
        **claims,
    }
    return _KEY.sign({"typ": typ}, usual)


_ACCEPTABLE = signed(iss="https://idp.example")


# --- two issuers ---


def test_gets_a_token_without_the_user(
    idp: grantway.Client, files: grantway.Client, company: grantway.Credential
) -> None:
    login = IdentityAssertionLogin(idp, subject_token=company)
    token = login(files, scope="read", resource=FILES)
    assert (token.scope, token.token_type, token.refresh_token) == (("read",), "Bearer", None)
    known = files.call("introspection", token=token.access_token)
    assert (known["aud"], known["client_id"]) == ([FILES], files.client_id)
    again = login(files, scope=["read", "write", "admin"], resource=[FILES])
    assert again.access_token != token.access_token
    assert again.scope == ("read", "write")  # the identity provider permits no more


def test_gets_a_token_in_an_event_loop(
    idp: grantway.Client, files: grantway.Client, company: grantway.Credential
) -> None:
    login = IdentityAssertionLogin(idp, subject_token=company)

    async def run() -> list[grantway.Token]:
        asked = (login.login_async(files, scope="read", resource=FILES) for _ in range(8))
        tokens = await asyncio.gather(*asked)
        await idp.aclose()
        await files.aclose()
        return tokens

    assert len({token.access_token for token in asyncio.run(run())}) == 8


def test_a_user_has_the_same_account_in_all_tokens(
    idp: grantway.Client, files: grantway.Client, company: grantway.Credential
) -> None:
    login = IdentityAssertionLogin(idp, subject_token=company)
    tokens = [login(files) for _ in range(2)]
    subjects = {files.call("introspection", token=t.access_token)["sub"] for t in tokens}
    assert len(subjects) == 1


@pytest.mark.parametrize("kind", ["text", "function", "source"])
def test_other_sources_of_an_id_token(
    idp: grantway.Client,
    files: grantway.Client,
    company: grantway.Credential,
    tmp_path: Path,
    kind: str,
) -> None:
    text = company.token().id_token
    assert text is not None
    path = tmp_path / "id-token"
    path.write_text(text)
    path.chmod(0o600)
    sources: dict[str, Any] = {
        "text": text,
        "function": lambda: text,
        "source": FileSecret(str(path)),
    }
    login = IdentityAssertionLogin(idp, subject_token=sources[kind])
    assert login(files, scope="read").scope == ("read",)

    async def run() -> grantway.Token:
        token = await login.login_async(files, scope="write")
        await idp.aclose()
        await files.aclose()
        return token

    assert asyncio.run(run()).scope == ("write",)


def test_an_asynchronous_source(
    idp: grantway.Client, files: grantway.Client, company: grantway.Credential
) -> None:
    async def id_token() -> str:
        return (await company.token_async()).id_token or ""

    login = IdentityAssertionLogin(idp, subject_token=id_token)

    async def run() -> grantway.Token:
        token = await login.login_async(files)
        await idp.aclose()
        await files.aclose()
        return token

    with pytest.raises(grantway.RequestInvalidError, match="asynchronous"):
        login(files)
    assert asyncio.run(run()).scope == ("read", "write")


def test_renews_an_expired_id_token(
    idp: grantway.Client, files: grantway.Client, company: grantway.Credential
) -> None:
    token = company.token()
    old = signed(aud=idp.client_id, lifetime=5)  # it would expire on its way
    company.accept(replace(token, id_token=old))
    login = IdentityAssertionLogin(idp, subject_token=company)
    assert login(files, scope="read").scope == ("read",)
    assert company.token().id_token != old

    company.accept(replace(company.token(), id_token=old))

    async def run() -> grantway.Token:
        token = await login.login_async(files, scope="read")
        await idp.aclose()
        await files.aclose()
        return token

    assert asyncio.run(run()).scope == ("read",)
    assert company.token().id_token != old


def test_a_login_without_an_id_token(idp: grantway.Client, files: grantway.Client) -> None:
    credential = idp.credential(grant_type="authorization_code", subject="alice")
    credential.accept(grantway.Token("at"))
    login = IdentityAssertionLogin(idp, subject_token=credential)
    # The refresh that could bring one fails, because there is no refresh token.
    with pytest.raises(grantway.LoginNeededError) as caught:
        login(files)
    assert "the identity provider" in "".join(caught.value.__notes__)


def test_a_refresh_that_brings_no_id_token(files: grantway.Client) -> None:
    refreshed = {"access_token": "at-2", "token_type": "Bearer", "expires_in": 3600}
    with FaultServer(respond(body=refreshed)) as server:
        provider = grantway.Provider(server.token_endpoint)
        with grantway.Client(provider, client_id="agent") as idp:
            credential = idp.credential(grant_type="authorization_code", subject="alice")
            for id_token, problem in (("", "is missing"), (signed(lifetime=-1), "has expired")):
                credential.accept(grantway.Token("at", refresh_token="rt", id_token=id_token))
                login = IdentityAssertionLogin(idp, subject_token=credential)
                with pytest.raises(grantway.LoginNeededError, match=problem):
                    login(files)


def test_the_policy_of_the_identity_provider_decides(
    setup: Enterprise, idp: grantway.Client, files: grantway.Client, company: grantway.Credential
) -> None:
    login = IdentityAssertionLogin(idp, subject_token=company)
    for asked, kind in (
        ({"scope": "admin"}, grantway.InvalidScopeException),
        ({"resource": "https://mail.example/mcp"}, grantway.InvalidTargetError),
    ):
        with pytest.raises(kind, match="administrator has not permitted") as caught:
            login(files, **asked)
        assert setup.files.url in "".join(caught.value.__notes__)
        assert "the identity provider" in "".join(caught.value.__notes__)
    other = IdentityAssertionLogin(idp, subject_token=company, audience="urn:other")
    with pytest.raises(grantway.InvalidTargetError):
        other(files)
    stranger = IdentityAssertionLogin(idp, subject_token=signed())
    with pytest.raises(grantway.InvalidRequestException, match="not a valid ID token"):
        stranger(files)


def test_a_resource_that_requires_another_login(
    idp: grantway.Client, files: grantway.Client, company: grantway.Credential
) -> None:
    login = IdentityAssertionLogin(idp, subject_token=company)
    with pytest.raises(grantway.LoginNeededError, match="acr_values=mfa max_age=5"):
        login(files, extra={"max_age": 5, "acr_values": "mfa"})


def test_the_provider_may_name_the_resource(
    setup: Enterprise, idp: grantway.Client, files: grantway.Client, company: grantway.Credential
) -> None:
    found = replace(grantway.Provider.discover(setup.files.url), resource=FILES, scope=("read",))
    secret = setup.at_files["client_secret"]
    login = IdentityAssertionLogin(idp, subject_token=company)
    with grantway.Client(found, client_id=files.client_id, client_secret=secret) as client:
        token = login(client)
    assert token.scope == ("read",)
    assert files.call("introspection", token=token.access_token)["aud"] == [FILES]


def test_a_dpop_key_binds_the_assertion(setup: Enterprise, company: grantway.Credential) -> None:
    def client(make: Callable[..., grantway.Client], at: Any, key: ECKey) -> grantway.Client:
        basic = ClientSecretBasic(at["client_id"], at["client_secret"])
        return make(client_secret=None, auth=DPoP(basic, key))

    key, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    text = company.token().id_token
    assert text is not None
    with (
        client(setup.idp_client, setup.at_idp, key) as idp,
        client(setup.files_client, setup.at_files, key) as files,
        client(setup.files_client, setup.at_files, other) as with_another_key,
        setup.files_client() as without_key,
    ):
        login = IdentityAssertionLogin(idp, subject_token=text)
        assert login(files).token_type == "DPoP"
        for each in (with_another_key, without_key):
            with pytest.raises(grantway.InvalidGrantException):
                login(each)


def test_an_assertion_without_the_dpop_key_is_not_sent() -> None:
    response = {**_VALID, "access_token": signed()}
    with FaultServer(respond(body=response)) as at_idp, FaultServer(respond()) as at_files:
        provider = grantway.Provider(at_files.token_endpoint, issuer="https://files.example")
        for require_bound in (True, False):
            auth = DPoP(NoAuth("a"), ECKey.generate_key("P-256"), require_bound=require_bound)
            with (
                grantway.Client(
                    grantway.Provider(at_idp.token_endpoint), client_id="a", auth=auth
                ) as idp,
                grantway.Client(provider, client_id="agent") as files,
            ):
                login = IdentityAssertionLogin(idp, subject_token="the-id-token")
                if require_bound:
                    with pytest.raises(grantway.ResponseInvalidError, match="with the cnf None"):
                        login(files)
                    assert not at_files.requests
                else:
                    assert login(files).access_token == "at-1"


# --- an identity provider with faults ---


@pytest.mark.parametrize(
    ("claims", "members", "problem"),
    [
        ({"aud": "https://other.example"}, {}, "with the aud https://other.example"),
        ({"aud": ["https://files.example", "https://other.example"]}, {}, "with the aud"),
        ({"aud": "https://files.example/"}, {}, "with the aud"),
        ({"client_id": "another"}, {}, "with the client_id another, not agent"),
        ({"client_id": None}, {}, "with the client_id None"),
        ({"iss": "https://other.example"}, {}, "with the iss https://other.example"),
        ({"resource": "https://mail.example"}, {}, "for the resource https://mail.example"),
        ({"resource": ["https://mail.example"]}, {}, "for the resource"),
        ({"resource": 7}, {}, "for the resource 7"),
        ({"lifetime": -61}, {}, "has expired"),
        ({"typ": "JWT"}, {}, "no JWT with the typ"),
        ({"typ": "at+jwt"}, {}, "no JWT with the typ"),
        ({}, {"issued_token_type": token_exchange.ACCESS_TOKEN}, "issued_token_type"),
        ({}, {"issued_token_type": None}, "issued_token_type"),
        ({}, {"token_type": "Bearer"}, "has the token_type Bearer, not N_A"),
        ({}, {"access_token": "opaque"}, "no JWT with the typ"),
        ({}, {"access_token": f"{_ACCEPTABLE}\n"}, "no JWT with the typ"),
        ({}, {"access_token": f"{_ACCEPTABLE}="}, "no JWT with the typ"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_an_assertion_goes_only_to_the_provider_that_it_names(
    claims: dict[str, Any], members: dict[str, Any], problem: str, is_async: bool
) -> None:
    usual = {"iss": "https://idp.example", "resource": FILES}
    assertion = signed(**{**usual, **claims})
    response = {**_VALID, "access_token": assertion, **members}
    with FaultServer(respond(body=response)) as at_idp, FaultServer(respond()) as at_files:
        with (
            grantway.Client(
                grantway.Provider(at_idp.token_endpoint, issuer="https://idp.example"),
                client_id="agent-at-idp",
            ) as idp,
            grantway.Client(
                grantway.Provider(at_files.token_endpoint, issuer="https://files.example"),
                client_id="agent",
            ) as files,
        ):
            login = IdentityAssertionLogin(idp, subject_token="the-id-token")
            with pytest.raises(grantway.ResponseInvalidError, match=problem) as caught:
                _log_in(login, idp, files, is_async=is_async)
        assert not at_files.requests
    assert assertion not in _shown(caught.value)
    assert "the-id-token" not in _shown(caught.value)


@pytest.mark.parametrize(
    "name", ["issued_token_type", "token_type", "iss", "aud", "client_id", "resource"]
)
def test_a_token_that_the_identity_provider_sends_back_is_not_shown(name: str) -> None:
    id_token = signed(typ="JWT")
    claims: dict[str, Any] = {"iss": "https://idp.example", name: [id_token]}
    assertion = signed(**claims)
    for secret in (id_token, assertion):
        member = {name: secret} if name.endswith("type") else {}
        response = {**_VALID, "access_token": assertion, **member}
        with (
            FaultServer(respond(body=response)) as at_idp,
            grantway.Client(
                grantway.Provider(at_idp.token_endpoint, issuer="https://idp.example"),
                client_id="a",
            ) as idp,
            grantway.Client(
                grantway.Provider(at_idp.token_endpoint, issuer="https://files.example"),
                client_id="agent",
            ) as files,
        ):
            login = IdentityAssertionLogin(idp, subject_token=id_token)
            with pytest.raises(grantway.ResponseInvalidError) as caught:
                login(files, resource=FILES)
        for part in secret.split("."):
            assert part not in f"{caught.value!r}{caught.value}"


@pytest.mark.parametrize(
    ("scope", "granted", "asked"),
    [
        ("read write", "write read admin", ["read write"]),
        (["read", "write"], "read admin", ["read"]),
        ("read", "admin", ["read"]),
        ("read", None, ["read"]),
        (None, "admin", []),
    ],
)
def test_the_identity_provider_cannot_add_scopes(
    scope: Any, granted: str | None, asked: list[str]
) -> None:
    response = {**_VALID, "access_token": signed(), **({"scope": granted} if granted else {})}
    with (
        FaultServer(respond(body=response)) as at_idp,
        FaultServer(respond()) as at_files,
        grantway.Client(grantway.Provider(at_idp.token_endpoint), client_id="a") as idp,
        grantway.Client(
            grantway.Provider(at_files.token_endpoint, issuer="https://files.example"),
            client_id="agent",
        ) as files,
    ):
        IdentityAssertionLogin(idp, subject_token="the-id-token")(files, scope=scope)
        assert at_files.requests[0].form.get("scope", []) == asked


def _shown(error: BaseException) -> str:
    """Return what tools show that print the local variables of a traceback."""
    frames = traceback.walk_tb(error.__traceback__)
    variables = [each.f_locals for each, _ in frames if "tests" not in each.f_code.co_filename]
    assert len(variables) > 1
    return f"{variables!r}{error!r}{error}"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_rejected_assertion_is_not_shown(is_async: bool) -> None:
    assertion = signed()
    rejected = {"error": "invalid_grant", "error_description": f"{assertion} is not accepted"}
    with (
        FaultServer(respond(body={**_VALID, "access_token": assertion})) as at_idp,
        FaultServer(respond(400, rejected)) as at_files,
        grantway.Client(grantway.Provider(at_idp.token_endpoint), client_id="a") as idp,
        grantway.Client(
            grantway.Provider(at_files.token_endpoint, issuer="https://files.example"),
            client_id="agent",
        ) as files,
    ):
        login = IdentityAssertionLogin(idp, subject_token="the-id-token")
        with pytest.raises(grantway.InvalidGrantException) as caught:
            _log_in(login, idp, files, is_async=is_async)
    assert not hasattr(caught.value, "__notes__")  # it is not of the identity provider
    assert assertion not in _shown(caught.value)
    assert "the-id-token" not in _shown(caught.value)


def _log_in(
    login: IdentityAssertionLogin, idp: grantway.Client, files: grantway.Client, *, is_async: bool
) -> None:
    if is_async:
        asyncio.run(_closing(login, idp, files))
    else:
        login(files, resource=FILES)


async def _closing(
    login: IdentityAssertionLogin, idp: grantway.Client, files: grantway.Client
) -> None:
    try:
        await login.login_async(files, resource=FILES)
    finally:
        await idp.aclose()
        await files.aclose()


def test_sends_each_token_to_its_recipient_only() -> None:
    assertion = signed(aud=["https://files.example"])
    response = {**_VALID, "access_token": assertion, "scope": "read"}
    with (
        FaultServer(respond(body=response)) as at_idp,
        FaultServer(respond()) as at_files,
        grantway.Client(grantway.Provider(at_idp.token_endpoint), client_id="x") as idp,
        grantway.Client(
            grantway.Provider(at_files.token_endpoint, issuer="https://files.example"),
            client_id="agent",
        ) as files,
    ):
        login = IdentityAssertionLogin(idp, subject_token="the-id-token", audience="urn:files")
        assert login(files, scope=["read", "write"], resource=FILES).access_token == "at-1"
        [to_idp], [to_files] = at_idp.requests, at_files.requests
    assert {name: value for name, [value] in to_idp.form.items()} == {
        "grant_type": token_exchange.GRANT_TYPE,
        "subject_token": "the-id-token",
        "subject_token_type": token_exchange.ID_TOKEN,
        "requested_token_type": ID_JAG,
        "audience": "urn:files",
        "resource": FILES,
        "scope": "read write",
        "client_id": "x",
    }
    assert {name: value for name, [value] in to_files.form.items()} == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": assertion,
        "scope": "read",
        "resource": FILES,
        "client_id": "agent",
    }
    assert repr(login) == f"IdentityAssertionLogin({idp.provider.host})"


@pytest.mark.parametrize("is_async", [False, True])
def test_an_identity_provider_that_requires_another_login(is_async: bool) -> None:
    demands = [
        {"error": "insufficient_user_authentication", "max_age": 5},
        {"error": "insufficient_user_authentication"},
        {"error": "policy_violation"},
    ]
    for body, kind, message in zip(
        demands,
        (grantway.LoginNeededError, grantway.LoginNeededError, grantway.UnknownTokenError),
        ("another login of the user: max_age=5", "see its error", "policy_violation"),
        strict=True,
    ):
        with (
            FaultServer(respond(400, body)) as server,
            grantway.Client(grantway.Provider(server.token_endpoint), client_id="a") as idp,
            grantway.Client(
                grantway.Provider(server.token_endpoint, issuer="https://files.example"),
                client_id="agent",
            ) as files,
        ):
            login = IdentityAssertionLogin(idp, subject_token="the-id-token")
            with pytest.raises(kind, match=message) as caught:
                _log_in(login, idp, files, is_async=is_async)
            assert "the-id-token" not in _shown(caught.value)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("lost", ["assertion", "token", "both"])
def test_a_lost_response_is_requested_once_more(lost: str, is_async: bool) -> None:
    """With a new assertion, because the server may have accepted the first one."""
    answers = [respond(body={**_VALID, "access_token": signed(jti=each)}) for each in "12"]
    at_idp = [reset_after_request, answers[1]] if lost == "assertion" else answers
    at_files = [reset_after_request, respond()] if lost != "assertion" else [respond()]
    if lost == "both":
        at_files = [reset_after_request]
    with (
        FaultServer(*at_idp) as first,
        FaultServer(*at_files) as second,
        grantway.Client(grantway.Provider(first.token_endpoint), client_id="a") as idp,
        grantway.Client(
            grantway.Provider(second.token_endpoint, issuer="https://files.example"),
            client_id="agent",
        ) as files,
    ):
        login = IdentityAssertionLogin(idp, subject_token="the-id-token")
        if lost == "both":
            with pytest.raises(grantway.OutcomeUnknownError):
                _log_in(login, idp, files, is_async=is_async)
        else:
            _log_in(login, idp, files, is_async=is_async)
        sent = [each.form["assertion"][0] for each in second.requests]
        assert len(first.requests) == 2
        assert len(set(sent)) == len(sent) == (1 if lost == "assertion" else 2)


def test_a_refresh_token_is_not_exchanged_twice() -> None:
    with (
        FaultServer(reset_after_request) as server,
        grantway.Client(grantway.Provider(server.token_endpoint), client_id="a") as idp,
        grantway.Client(
            grantway.Provider(server.token_endpoint, issuer="https://files.example"),
            client_id="agent",
        ) as files,
    ):
        login = IdentityAssertionLogin(
            idp, subject_token="rt", subject_token_type=token_exchange.REFRESH_TOKEN
        )
        with pytest.raises(grantway.OutcomeUnknownError):
            login(files)
        with pytest.raises(grantway.OutcomeUnknownError):
            asyncio.run(_closing(login, idp, files))
        assert len(server.requests) == 2


def test_invalid_arguments(idp: grantway.Client, company: grantway.Credential) -> None:
    with pytest.raises(grantway.ConfigurationError, match="subject_token_type"):
        IdentityAssertionLogin(
            idp, subject_token=company, subject_token_type=token_exchange.REFRESH_TOKEN
        )
    login = IdentityAssertionLogin(idp, subject_token=company)
    unnamed = grantway.Provider(idp.provider.token_endpoint)
    with (
        grantway.Client(unnamed, client_id="a") as client,
        pytest.raises(grantway.ConfigurationError, match="has no issuer"),
    ):
        login(client)


# --- claims ---

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
_NAMES = ("iss", "aud", "client_id", "resource", "exp")


@given(name=st.sampled_from(_NAMES), value=_json)
def test_any_other_claim_is_a_problem(name: str, value: Any) -> None:
    expected = {"iss": "i", "aud": "a", "client_id": "c", "resource": "r"}
    assertion = (
        signed(**{**expected, name: value}) if name != "exp" else signed(**expected, exp=value)
    )
    claims = unverified_claims(assertion)
    problem = _identity_assertion_check.claims_problem(
        assertion, {each: expected[each] for each in ("iss", "aud", "client_id")}, ["r"]
    )
    if name == "exp":
        is_past = isinstance(value, (int, float)) and not isinstance(value, bool)
        assert bool(problem) == (is_past and value <= time.time() - 60)
    elif name == "resource":
        allowed = claims.get("resource", "r")
        assert bool(problem) == (
            allowed != "r" and not (isinstance(allowed, list) and "r" in allowed)
        )
    else:
        accepted = value == expected[name] or (name == "aud" and value == ["a"])
        assert bool(problem) == (not accepted)


@given(st.text())
def test_any_text_is_a_problem(text: str) -> None:
    assert _identity_assertion_check.claims_problem(text, {"aud": "a"}, ())
