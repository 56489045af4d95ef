"""Resources that require more scope (RFC 6750) or another login (RFC 9470), found by URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

import grantway
from grantway_plugins.auth import ResourceAuth, StepUpRequiredError
from tests.plugins.auth.libraries import LIBRARIES
from tests.plugins.auth.sites import REDIRECT, Issuer, Logins, Site, auth_for, folder_store, get

STRONG = 'Bearer error="insufficient_user_authentication", acr_values="mfa hwk", max_age="60"'


@pytest.fixture
def site(site: Site) -> Site:
    site.required = {"/mcp/write": {"write"}, "/mcp/admin": {"admin"}}
    return site


@pytest.fixture
def auth(site: Site, logins: Logins) -> ResourceAuth:
    return auth_for(site, logins)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_login_requests_the_granted_and_the_required_scope(
    site: Site, auth: ResourceAuth, logins: Logins, library: str
) -> None:
    send = LIBRARIES[library]
    paths = ("/mcp", "/mcp/write", "/mcp/admin", "/mcp", "/mcp/write")
    assert [send(auth, f"{site.url}{path}", b"x").status for path in paths] == [200] * 5
    assert logins.scopes == [("read",), ("read", "write"), ("read", "write", "admin")]
    assert auth.token().scope == ("read", "write", "admin")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_scope_that_does_not_satisfy_the_resource_is_requested_once(
    site: Site, auth: ResourceAuth, logins: Logins, library: str
) -> None:
    send = LIBRARIES[library]
    refusal = 'Bearer error="insufficient_scope", scope="write"'
    site.step_up["/mcp/write"] = refusal
    site.accepted = lambda path: set()  # type: ignore[method-assign]
    assert send(auth, site.mcp, b"x").status == 200
    for problem in ("the token that login returned does not meet this", "a login a moment ago"):
        with pytest.raises(StepUpRequiredError, match=problem) as caught:
            send(auth, f"{site.mcp}/write", b"x")
        assert caught.value.challenge.scope == ("write",)
        assert caught.value.response is not None
    assert logins.scopes == [("read",), ("read", "write")]
    assert send(auth, site.mcp, b"x").status == 200


@pytest.mark.parametrize(
    "options",
    [
        {"client_name": "other"},
        {"redirect_uri": REDIRECT},
        {"dpop_key": ECKey.generate_key("P-256")},
    ],
)
def test_a_login_of_another_client_says_nothing_about_this_one(
    site: Site, logins: Logins, options: Any, tmp_path: Path
) -> None:
    """Several programs of one user may share a store."""
    one = auth_for(site, logins, store=folder_store(tmp_path))
    other = auth_for(site, logins, store=folder_store(tmp_path), **options)
    assert [get(site, each) for each in (one, other)] == [200, 200]
    assert [get(site, each, "/mcp/write") for each in (one, other)] == [200, 200]
    assert logins.scopes == [("read",), ("read",), ("read", "write"), ("read", "write")]


def test_another_object_does_not_request_the_scope_again(
    site: Site, issuer: Issuer, logins: Logins
) -> None:
    """As another process with the same store."""
    site.step_up["/mcp/write"] = 'Bearer error="insufficient_scope", scope="write"'
    site.accepted = lambda path: set()  # type: ignore[method-assign]
    store = grantway.default_registry().store("memory")
    for _ in range(2):
        auth = auth_for(site, logins, store=store)
        with pytest.raises(StepUpRequiredError):
            get(site, auth, "/mcp/write")
    assert logins.scopes == [("read",), ("read", "write")]


def test_log_in_tries_again(site: Site, auth: ResourceAuth, logins: Logins) -> None:
    site.step_up["/mcp/write"] = 'Bearer error="insufficient_scope", scope="write"'
    site.accepted = lambda path: set()  # type: ignore[method-assign]
    with pytest.raises(StepUpRequiredError):
        get(site, auth, "/mcp/write")
    del site.step_up["/mcp/write"]
    assert auth.log_in(scope="write").scope == ("read", "write")
    assert get(site, auth, "/mcp/write") == 200


def test_a_user_who_cancels_is_not_asked_again(
    site: Site, auth: ResourceAuth, logins: Logins
) -> None:
    assert get(site, auth) == 200
    logins.fail = grantway.FlowTimeoutError("The login was not finished within 300 s.")
    with pytest.raises(grantway.FlowTimeoutError):
        get(site, auth, "/mcp/write")
    with pytest.raises(StepUpRequiredError, match=r"failed\. The login was not finished"):
        get(site, auth, "/mcp/write")
    assert len(logins.calls) == 2
    assert get(site, auth) == 200  # requests that need no more scope continue
    logins.fail = None
    assert get(site, auth, "/mcp/admin") == 200  # another scope is another question
    auth.log_in(scope=["write"])
    assert get(site, auth, "/mcp/write") == 200
    assert logins.scopes[-1] == ("read", "admin", "write")


def test_without_a_login_the_error_tells_what_to_do(
    site: Site, logins: Logins, auth: ResourceAuth
) -> None:
    silent = auth_for(site)
    silent.accept(auth.token())
    with pytest.raises(StepUpRequiredError, match=r"requires the scope 'write'.*pass login="):
        get(site, silent, "/mcp/write")


@pytest.mark.parametrize("library", LIBRARIES)
def test_requests_another_login(
    site: Site, issuer: Issuer, auth: ResourceAuth, logins: Logins, library: str
) -> None:
    site.step_up["/mcp/safe"] = STRONG
    send = LIBRARIES[library]
    assert send(auth, site.mcp, b"x").status == 200
    assert send(auth, f"{site.mcp}/safe", b"x").status == 200
    assert logins.calls[1]["extra"] == {"acr_values": "mfa hwk", "max_age": 60}
    sent = [each.form for each in issuer.received if each.path == "/authorize"]
    assert (sent[1]["acr_values"], sent[1]["max_age"]) == ("mfa hwk", "60")
    assert len(logins.calls) == 2


def test_another_login_that_does_not_help_is_requested_once(
    site: Site, auth: ResourceAuth, logins: Logins
) -> None:
    site.step_up["/mcp/safe"] = STRONG
    site.accepted = lambda path: set()  # type: ignore[method-assign]
    assert get(site, auth) == 200
    for _ in range(2):
        with pytest.raises(StepUpRequiredError):
            get(site, auth, "/mcp/safe")
    assert len(logins.calls) == 2


def test_a_resource_that_names_no_scope_gets_all_that_it_supports(
    site: Site, auth: ResourceAuth, logins: Logins
) -> None:
    assert get(site, auth) == 200
    site.step_up["/mcp/all"] = 'Bearer error="insufficient_scope"'
    with pytest.raises(StepUpRequiredError, match="does not say which scope"):
        get(site, auth, "/mcp/all")
    assert logins.scopes == [("read",)]


def test_more_scope_needs_no_metadata(site: Site, auth: ResourceAuth, issuer: Issuer) -> None:
    assert get(site, auth) == 200
    looks = site.looks
    site.down = True
    assert get(site, auth, "/mcp/write") == 200
    assert site.looks == looks
    assert sum(each.path.startswith("/.well-known") for each in issuer.received) == 1


def test_another_login_needs_its_parameters(site: Site) -> None:
    logins = Logins()

    def login(client: grantway.Client, *, scope: Any, resource: str) -> grantway.Token:
        return logins(client, scope=scope, resource=resource)

    site.step_up["/mcp/safe"] = STRONG
    auth = auth_for(site, login)
    assert get(site, auth) == 200
    with pytest.raises(grantway.ConfigurationError, match=r"parameter extra.*acr_values, max_age"):
        get(site, auth, "/mcp/safe")


def test_registers_the_scope_if_the_issuer_requires_that(logins: Logins) -> None:
    with Issuer(registration="unrestricted") as issuer, Site(issuer) as site:
        site.required = {"/mcp/write": {"write"}}
        auth = auth_for(site, logins)
        first = auth.token()
        assert get(site, auth, "/mcp/write") == 200
        assert issuer.count("/register") == 2
        # The first attempt was rejected with invalid_scope.
        assert logins.scopes == [("read",), ("read", "write"), ("read", "write")]
        assert auth.token() != first


def test_a_failed_login_keeps_the_former_client(logins: Logins) -> None:
    with Issuer(registration="unrestricted") as issuer, Site(issuer) as site:
        site.required = {"/mcp/write": {"write"}}
        store = grantway.default_registry().store("memory")
        auth = auth_for(site, logins, store=store)
        token = auth.token()

        def fail_second() -> None:
            if len(logins.calls) == 3:
                raise grantway.FlowTimeoutError("too late")

        logins.begin = fail_second
        with pytest.raises(grantway.FlowTimeoutError):
            get(site, auth, "/mcp/write")
        for each in (auth, auth_for(site, store=store)):
            assert each.token() == token
            assert get(site, each) == 200
        site.rejected.add(token.access_token)
        assert get(site, auth_for(site, store=store)) == 200  # refreshed by the former client


@pytest.mark.parametrize("kind", ["resource token", "resource"])
def test_a_login_that_was_not_stored_completely_is_used(logins: Logins, kind: str) -> None:
    """Also if the client registered itself again for its scope."""
    with Issuer(registration="unrestricted") as issuer, Site(issuer) as site:
        site.required = {"/mcp/write": {"write"}}
        store: Any = grantway.default_registry().store("memory")
        auth = auth_for(site, logins, store=store)
        auth.token()
        save = store.save

        def fail(key: str, token: grantway.Token, *, fence: int = 0) -> None:
            if issuer.count("/token") == 2 and key.rpartition(" ")[0] == kind:
                raise grantway.StoreSaveError("The disk is full.")
            save(key, token, fence=fence)

        store.save = fail
        with pytest.raises(grantway.StoreSaveError):
            get(site, auth, "/mcp/write")
        store.save = save
        auth._tokens.jobs.failures.clear()  # as after a minute
        assert get(site, auth, "/mcp/write") == 200
        assert get(site, auth_for(site, store=store), "/mcp/write") == 200
        assert issuer.count("/token") == 2
