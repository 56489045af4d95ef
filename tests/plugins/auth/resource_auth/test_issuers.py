"""Resources that change their authorization server, and metadata that cannot be read."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import grantway
from grantway_plugins.auth import ResourceAuth
from grantway_plugins.auth._resource.clients import Session
from grantway_plugins.auth._resource.record import ResourceRecord
from tests.faults import free_port
from tests.plugins.auth.libraries import LIBRARIES
from tests.plugins.auth.resource import Seen
from tests.plugins.auth.sites import (
    CODE,
    REDIRECT,
    REFRESH,
    Issuer,
    Logins,
    Site,
    auth_for,
    folder_store,
    get,
)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_new_issuer_gets_nothing_of_the_former_one(
    site: Site, issuer: Issuer, other: Issuer, logins: Logins, library: str
) -> None:
    """The former issuer still refreshes, so only the resource shows that it changed."""
    send = LIBRARIES[library]
    auth = auth_for(site, logins)
    assert send(auth, site.mcp, b"x").status == 200
    former = auth.token()
    site.issuer = other
    assert send(auth, site.mcp, b"x").status == 200
    refreshed = issuer.received[-1]
    assert refreshed.form["grant_type"] == REFRESH
    everything = " ".join(each.text for each in other.received)
    assert former.access_token not in everything
    assert former.refresh_token is not None
    assert former.refresh_token not in everything
    assert refreshed.form["client_id"] not in everything
    assert (other.count("/register"), other.count("/token", CODE), len(logins.calls)) == (1, 1, 2)


def test_a_former_issuer_needs_no_second_login(
    site: Site, issuer: Issuer, other: Issuer, logins: Logins, tmp_path: Path
) -> None:
    def request() -> int:
        # A new process each time, which looks at the metadata without waiting.
        return get(site, auth_for(site, logins, store=folder_store(tmp_path)))

    for current in (issuer, other, issuer, other):
        site.issuer = current
        assert request() == 200
    assert len(logins.calls) == 2


def test_a_failed_login_at_a_new_issuer_changes_nothing(
    site: Site, issuer: Issuer, other: Issuer, logins: Logins, tmp_path: Path
) -> None:
    """Such as the issuer of an attacker, where the user does not log in."""
    auth = auth_for(site, logins, store=folder_store(tmp_path))
    assert get(site, auth) == 200
    site.issuer, logins.fail = other, grantway.AccessDeniedException("The user denied the request.")
    with pytest.raises(grantway.AccessDeniedException):
        get(site, auth)
    site.issuer = issuer
    assert get(site, auth) == 200
    assert get(site, auth_for(site, store=folder_store(tmp_path))) == 200
    assert len(logins.calls) == 2


def test_a_new_issuer_needs_a_login(
    site: Site, other: Issuer, logins: Logins, tmp_path: Path
) -> None:
    auth_for(site, logins, store=folder_store(tmp_path)).token()
    site.issuer = other
    with pytest.raises(grantway.LoginNeededError, match=other.url):
        get(site, auth_for(site, store=folder_store(tmp_path)))
    assert not any(each.path in ("/register", "/token") for each in other.received)


def test_another_process_uses_the_new_issuer(
    site: Site, other: Issuer, logins: Logins, tmp_path: Path
) -> None:
    first, second = (auth_for(site, logins, store=folder_store(tmp_path)) for _ in range(2))
    assert (get(site, first), get(site, second)) == (200, 200)
    site.issuer = other
    assert get(site, first) == 200
    site.down = True  # so that the second one can only use what the first one stored
    assert get(site, second) == 200
    assert len(logins.calls) == 2


@pytest.mark.parametrize("bound", [True, False])
def test_a_given_client_is_never_sent_to_another_issuer(
    site: Site, issuer: Issuer, other: Issuer, logins: Logins, bound: bool
) -> None:
    made = issuer.client(redirect_uris=[REDIRECT], scope="read", token_endpoint_auth_method="none")
    given = {"client_id": made["client_id"], "issuer": issuer.url if bound else None}
    auth = auth_for(site, logins, **given)
    assert get(site, auth) == 200
    auth.log_out()
    site.issuer = other
    with pytest.raises(grantway.ResourceMetadataError) as caught:
        get(site, auth)
    assert other.url in str(caught.value)
    assert made["client_id"] not in " ".join(each.text for each in other.received)
    site.issuer = issuer
    assert get(site, auth) == 200


def test_a_given_client_has_one_issuer_for_all_users(
    site: Site, issuer: Issuer, other: Issuer, logins: Logins, tmp_path: Path
) -> None:
    """The first login of another user must not send the client to an attacker's issuer."""
    made = issuer.client(
        redirect_uris=[REDIRECT], scope="read write", token_endpoint_auth_method="none"
    )
    given = {"client_id": made["client_id"]}

    def auth(**options: Any) -> ResourceAuth:
        return auth_for(site, logins, store=folder_store(tmp_path), **given, **options)

    assert get(site, auth(subject="alice")) == 200
    others: list[dict[str, Any]] = [{"subject": "bob"}, {"scope": "write"}]
    site.issuer = other
    for options in others:
        with pytest.raises(grantway.ResourceMetadataError, match="so it was not sent"):
            get(site, auth(**options))
    assert made["client_id"] not in " ".join(each.text for each in other.received)
    assert len(logins.calls) == 1
    site.issuer = issuer
    assert [get(site, auth(**options)) for options in others] == [200, 200]


def test_metadata_that_cannot_be_read_changes_nothing(
    site: Site, issuer: Issuer, logins: Logins
) -> None:
    auth = auth_for(site, logins)
    site.rejected.add(auth.token().access_token)
    site.down = True
    assert get(site, auth) == 200
    assert (issuer.count("/token", REFRESH), len(logins.calls)) == (1, 1)
    site.rejected.add(auth.token().access_token)
    issuer.forget_clients()
    assert get(site, auth) == 200  # logs in at the stored issuer
    assert len(logins.calls) == 2


def test_invalid_metadata_prevents_a_login(site: Site, issuer: Issuer, logins: Logins) -> None:
    auth = auth_for(site, logins)
    auth.token()
    auth.log_out()
    site.metadata["resource"] = "https://other.example.com/mcp"
    with pytest.raises(grantway.ResourceMetadataError, match=r"other\.example\.com"):
        get(site, auth)
    assert len(logins.calls) == 1


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_refresh_of_another_request_does_not_hide_the_new_issuer(
    site: Site, issuer: Issuer, other: Issuer, logins: Logins, library: str
) -> None:
    """It gets a token of the former issuer, which is rejected like the one before."""
    auth = auth_for(site, logins)
    auth.token()
    site.issuer = other
    judge = site.respond_to

    def respond(seen: Seen) -> tuple[int, dict[str, str]]:
        if len(site.tokens) == 2 and issuer.count("/token", REFRESH) == 1:
            auth.invalidate(auth.token())
            auth.token()
        return judge(seen)

    site.respond_to = respond  # type: ignore[method-assign]
    assert LIBRARIES[library](auth, site.mcp).status == 200
    assert (issuer.count("/token", REFRESH), len(logins.calls)) == (2, 2)
    assert len(site.tokens) == 4


def test_a_resource_that_rejects_every_token_is_looked_at_once(
    site: Site, issuer: Issuer, logins: Logins
) -> None:
    """A challenge of an attacker must not cause logins or lose the refresh token."""
    auth = auth_for(site, logins)
    token = auth.token()
    site.rejected.add(token.access_token)
    site.issuer.introspect = lambda token: {}  # type: ignore[method-assign]
    site.seen.clear()
    assert [get(site, auth) for _ in range(3)] == [401, 401, 401]
    assert (site.looks, len(logins.calls), issuer.count("/token", REFRESH)) == (1, 1, 1)
    assert auth.token().refresh_token is not None


def test_an_issuer_that_moved_its_endpoints_is_found_again(
    site: Site, issuer: Issuer, logins: Logins, tmp_path: Path
) -> None:
    """The stored endpoints are outdated, and the token has expired."""
    store = folder_store(tmp_path)
    auth = auth_for(site, logins, store=store)
    token = auth.token()
    sessions = auth._tokens.sessions
    assert sessions.session is not None
    store.save(sessions.session.credential.key, replace(token, expires_at=time.time() - 1))
    record = sessions.records.read()
    assert record is not None
    outdated = replace(record.provider, token_endpoint=f"http://127.0.0.1:{free_port()}/token")
    store.save(sessions.settings.key, replace(record, provider=outdated).to_token())
    assert get(site, auth_for(site, store=folder_store(tmp_path))) == 200
    assert issuer.count("/token", REFRESH) == 1
    found = ResourceRecord.of(store.load(sessions.settings.key))
    assert found is not None
    assert found.provider.token_endpoint == f"{issuer.url}/token"


def test_moved_endpoints_undo_no_login_of_another_process(
    site: Site, issuer: Issuer, other: Issuer, logins: Logins, tmp_path: Path
) -> None:
    """Another process logs in at another issuer while this one finds the new endpoints."""
    auth = auth_for(site, logins, store=folder_store(tmp_path))
    token = auth.token()
    sessions = auth._tokens.sessions
    store, record = sessions.settings.store, sessions.records.read()
    assert sessions.session is not None
    assert record is not None
    store.save(sessions.session.credential.key, replace(token, expires_at=time.time() - 1))
    outdated = replace(record.provider, token_endpoint=f"http://127.0.0.1:{free_port()}/token")
    store.save(sessions.settings.key, replace(record, provider=outdated).to_token())
    auth = auth_for(site, store=folder_store(tmp_path))
    finder = auth._tokens.sessions.finder
    look = finder.other_endpoints

    def look_slowly(session: Session, cancel: threading.Event) -> grantway.Provider | None:
        found = look(session, cancel)
        site.issuer = other
        auth_for(site, logins, store=folder_store(tmp_path)).log_in()
        return found

    finder.other_endpoints = look_slowly  # type: ignore[method-assign]
    assert get(site, auth) == 200
    site.down = True
    assert get(site, auth_for(site, store=folder_store(tmp_path))) == 200
    assert len(logins.calls) == 2
    assert issuer.count("/token", REFRESH) == 0


def test_an_issuer_that_is_down_loses_nothing(
    site: Site, issuer: Issuer, logins: Logins, tmp_path: Path
) -> None:
    store = folder_store(tmp_path)
    auth = auth_for(site, logins, store=store)
    site.rejected.add(auth.token().access_token)
    issuer.fail = lambda path: 503 if path == "/token" else None
    with pytest.raises(grantway.ProviderUnavailableError):
        get(site, auth)
    issuer.fail = lambda path: None
    assert get(site, auth_for(site, store=folder_store(tmp_path))) == 200
    assert len(logins.calls) == 1


def test_a_record_of_a_newer_version_is_found_again(
    site: Site, logins: Logins, tmp_path: Path
) -> None:
    store = folder_store(tmp_path)
    auth = auth_for(site, logins, store=store)
    token = auth.token()
    key = auth._tokens.sessions.settings.key
    stored = store.load(key)
    assert stored is not None
    store.save(key, replace(stored, extra={**stored.extra, "version": 99}))
    again = auth_for(site, logins, store=folder_store(tmp_path))
    assert again.token().access_token == token.access_token  # the login is still there
    assert len(logins.calls) == 1


def test_the_record_contains_no_secret(site: Site, logins: Logins, tmp_path: Path) -> None:
    store = folder_store(tmp_path)
    auth = auth_for(site, logins, store=store)
    token = auth.token()
    record = str(store.load(auth._tokens.sessions.settings.key).extra)  # type: ignore[union-attr]
    assert token.access_token not in record
    assert str(token.refresh_token) not in record


def test_an_accepted_token_belongs_to_the_issuer_of_its_login(
    site: Site, issuer: Issuer, other: Issuer, logins: Logins, tmp_path: Path
) -> None:
    """Another process moves to another issuer while the user logs in."""
    auth = auth_for(site, store=folder_store(tmp_path))
    client = auth.client()
    site.issuer = other
    auth_for(site, logins, store=folder_store(tmp_path)).log_in()
    token = logins(client, scope=("read",), resource=client.provider.resource)
    auth.accept(token)
    auth.invalidate(auth.token())
    assert auth.token().access_token != token.access_token
    assert issuer.count("/token", REFRESH) == 1
    assert token.refresh_token is not None
    assert token.refresh_token not in " ".join(each.text for each in other.received)


def test_a_client_for_a_login_changes_nothing_before_the_login(
    site: Site, issuer: Issuer, other: Issuer, logins: Logins, tmp_path: Path
) -> None:
    auth_for(site, logins, store=folder_store(tmp_path)).token()
    auth = auth_for(site, store=folder_store(tmp_path))
    site.issuer = other
    assert auth.client().provider.issuer == other.url
    site.issuer = issuer
    assert get(site, auth) == 200
    assert get(site, auth_for(site, store=folder_store(tmp_path))) == 200
    site.issuer = other
    client = auth.client()
    auth.accept(logins(client, scope=("read",), resource=site.mcp))
    assert get(site, auth_for(site, store=folder_store(tmp_path))) == 200


def test_a_resource_can_change_its_identifier(
    site: Site, issuer: Issuer, logins: Logins, tmp_path: Path
) -> None:
    """It rejects tokens for another one, which a refresh does not change."""
    audience = site.metadata["resource"] = f"{site.url}/"

    def respond(path: str, token: str) -> tuple[int, dict[str, str]]:
        granted = token and audience in issuer.introspect(token)["aud"]
        return (200, {}) if granted else (401, {"WWW-Authenticate": "Bearer"})

    site._judge = respond  # type: ignore[method-assign]

    def request(login: Logins | None) -> int:
        # A new process each time, which looks at the metadata without waiting.
        return get(site, auth_for(site, login, store=folder_store(tmp_path)))

    assert request(logins) == 200
    site.metadata["resource"] = site.mcp  # for a moment, and the user does not log in
    audience = site.mcp
    logins.fail = grantway.AccessDeniedException("The user denied the request.")
    with pytest.raises(grantway.AccessDeniedException):
        request(logins)
    audience = site.metadata["resource"] = f"{site.url}/"
    assert request(None) == 200
    audience, logins.fail = site.mcp, None
    site.metadata["resource"] = site.mcp
    assert [request(logins), request(None)] == [200, 200]
    assert len(logins.calls) == 3


@pytest.mark.parametrize(
    "members",
    [
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "file:///etc/passwd"},
        {"revocation_endpoint": "https://user:password@a.example/"},
        {"code_challenge_methods_supported": ["plain"]},
    ],
)
def test_an_invalid_new_issuer_replaces_no_response(
    site: Site, issuer: Issuer, other: Issuer, logins: Logins, members: dict[str, Any]
) -> None:
    auth = auth_for(site, logins)
    assert get(site, auth) == 200
    site.issuer, other.metadata = other, members
    assert get(site, auth) == 401
    site.issuer = issuer
    assert get(site, auth) == 200
    assert len(logins.calls) == 1
