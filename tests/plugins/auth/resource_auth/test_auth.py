"""Logging in to a resource of which a program knows only the URL."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import traceback
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
from joserfc.jwk import ECKey

import grantway
import grantway_grants
import grantway_plugins
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest
from grantway_plugins.auth import ResourceAuth
from grantway_plugins.auth._resource.need import Need
from grantway_plugins.grants import client_credentials
from grantway_plugins.issuer import ClientDocuments
from tests.plugins.auth.libraries import LIBRARIES, OPTIONS, Library, stream
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
from tests.plugins.issuer.test_client_documents import Publisher
from tests.waiting import PATIENCE


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_first_request_logs_in(
    site: Site, issuer: Issuer, logins: Logins, library: str
) -> None:
    send: Library = LIBRARIES[library]
    auth = auth_for(site, logins)
    for _ in range(2):
        response = send(auth, site.mcp, b"body")
        assert (response.status, response.text) == (200, '{"sent": "body"}')
    assert logins.scopes == [("read",)]
    for path in ("/authorize", "/token"):
        [sent] = [each for each in issuer.received if each.path == path]
        assert sent.form["resource"] == site.mcp
    assert issuer.count("/register") == 1
    # Without a token, for the challenge; again with it; and the second request.
    assert len([each for each in site.seen if each.path == "/mcp"]) == 3
    assert site.looks == 1


def test_a_new_process_uses_the_stored_token(
    site: Site, issuer: Issuer, logins: Logins, tmp_path: Path
) -> None:
    assert get(site, auth_for(site, logins, store=folder_store(tmp_path))) == 200
    issuer.received.clear()
    site.seen.clear()
    assert get(site, auth_for(site, store=folder_store(tmp_path))) == 200
    assert (issuer.received, site.looks, len(site.seen)) == ([], 0, 1)


def test_a_new_process_refreshes(
    site: Site, issuer: Issuer, logins: Logins, tmp_path: Path
) -> None:
    auth = auth_for(site, logins, store=folder_store(tmp_path))
    site.rejected.add(auth.token().access_token)
    assert get(site, auth_for(site, store=folder_store(tmp_path))) == 200
    assert (issuer.count("/token", CODE), issuer.count("/token", REFRESH)) == (1, 1)
    assert issuer.count("/register") == 1


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_rejected_token_is_refreshed(
    site: Site, issuer: Issuer, logins: Logins, library: str
) -> None:
    auth = auth_for(site, logins)
    site.rejected.add(auth.token().access_token)
    assert LIBRARIES[library](auth, site.mcp, b"x").status == 200
    assert (issuer.count("/token", REFRESH), len(logins.calls)) == (1, 1)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_request_is_redirected_before_the_login(site: Site, logins: Logins, library: str) -> None:
    """Frameworks redirect a path without a trailing slash."""
    site.redirects["/mcp/things"] = f"{site.url}/mcp/things/"
    auth = auth_for(site, logins)
    for _ in range(2):
        response = LIBRARIES[library](auth, f"{site.url}/mcp/things", b"x")
        assert (response.status, response.text) == (200, '{"sent": "x"}')
    assert len(logins.calls) == 1


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_redirect_to_another_host_gets_no_token(
    site: Site, issuer: Issuer, logins: Logins, library: str
) -> None:
    with Site(issuer) as other:
        site.redirects["/mcp/away"] = f"{other.url}/mcp"
        auth = auth_for(site, logins)
        for _ in range(2):
            assert LIBRARIES[library](auth, f"{site.url}/mcp/away", b"x").status == 401
            auth.token()
        assert other.tokens == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_redirect_to_another_resource_gets_no_token(
    site: Site, logins: Logins, library: str
) -> None:
    """Hosts serve resources of several users, and one of them may have an open redirect."""
    site.redirects["/mcp/away"] = f"{site.url}/other"
    auth = auth_for(site, logins)
    for _ in range(2):
        assert LIBRARIES[library](auth, f"{site.url}/mcp/away", b"x").status == 401
        auth.token()
    assert "/other" in {each.path for each in site.seen}
    assert not any(each.headers.get("authorization") for each in site.seen if each.path == "/other")
    assert LIBRARIES[library](auth, site.mcp, b"x").status == 200


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_the_header_can_be_read(site: Site, logins: Logins, module: Any) -> None:
    """Such as by a transport for tests."""
    seen = []

    def respond(request: Any) -> Any:
        seen.append((request.headers["authorization"], "Authorization" in request.headers))
        assert "other" not in request.headers
        return module.Response(200)

    auth = auth_for(site, logins)
    token = auth.token().access_token
    with module.Client(auth=auth, transport=module.MockTransport(respond)) as client:
        client.get(site.mcp)
    assert seen == [(f"Bearer {token}", True)]


def test_a_resource_that_needs_no_token_gets_none(site: Site, issuer: Issuer) -> None:
    site.public.add("/mcp")
    auth = auth_for(site)
    assert get(site, auth) == 200
    assert (site.tokens, issuer.received) == ([], [])
    with pytest.raises(grantway.LoginNeededError, match=r"There is no token for .* Pass login="):
        auth.token()


def test_explains_that_a_login_is_needed(site: Site) -> None:
    with pytest.raises(grantway.LoginNeededError, match="Pass login=") as caught:
        get(site, auth_for(site))
    assert site.mcp in str(caught.value)


@pytest.mark.parametrize("library", LIBRARIES)
def test_gets_a_token_first_if_the_body_cannot_be_sent_again(
    site: Site, logins: Logins, library: str
) -> None:
    response = LIBRARIES[library](auth_for(site, logins), site.mcp, iter([b"a", b"b"]))
    assert (response.status, response.text) == (200, '{"sent": "ab"}')
    assert len([each for each in site.seen if each.path == "/mcp" and each.method == "POST"]) == 1


@pytest.mark.parametrize("kind", ["stream", "pipe", "file"])
def test_gets_a_token_first_if_a_part_cannot_be_sent_again(
    site: Site, logins: Logins, kind: str
) -> None:
    form, (reading, writing) = aiohttp.FormData(), os.pipe()
    os.write(writing, b"part")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        parts = {"stream": stream([b"part"]), "pipe": pipe, "file": io.BytesIO(b"part")}
        form.add_field("part", parts[kind], filename="part")
        response = LIBRARIES["aiohttp"](auth_for(site, logins), site.mcp, form)
    assert response.status == 200
    assert "part" in response.text
    posts = [each for each in site.seen if each.path == "/mcp" and each.method == "POST"]
    assert len(posts) == (2 if kind == "file" else 1)


# --- Scopes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "given", "expected"),
    [
        (("", ["read", "write"]), None, ("read", "write")),
        ((', scope="write"', ["read"]), None, ("write",)),
        (("", None), None, None),
        ((', scope="write"', ["read"]), ["admin"], ("admin",)),
        ((', scope="write"', ["read"]), [], None),
    ],
)
def test_requests_the_scope_that_the_resource_names(
    site: Site,
    logins: Logins,
    named: tuple[str, list[str] | None],
    given: list[str] | None,
    expected: tuple[str, ...] | None,
) -> None:
    site.challenge, site.metadata["scopes_supported"] = named
    assert get(site, auth_for(site, logins, scope=given)) == 200
    assert logins.scopes == [expected]


def test_requests_offline_access_if_the_issuer_offers_it(
    site: Site, issuer: Issuer, logins: Logins
) -> None:
    issuer.metadata["scopes_supported"] = ["read", "offline_access"]
    assert get(site, auth_for(site, logins)) == 200
    assert get(site, auth_for(site, logins, scope=["read"])) == 200
    assert logins.scopes == [("read", "offline_access"), ("read",)]


# --- Clients --------------------------------------------------------------------------------------


def test_uses_the_given_client(site: Site, issuer: Issuer, logins: Logins) -> None:
    made = issuer.client(redirect_uris=[REDIRECT], scope="read")
    auth = auth_for(
        site,
        logins,
        client_id=made["client_id"],
        client_secret=made["client_secret"],
        issuer=issuer.url,
        client_metadata_url="https://example.com/client.json",
    )
    assert get(site, auth) == 200
    assert issuer.count("/register") == 0
    assert {
        each.form.get("client_id") for each in issuer.received if each.path == "/authorize"
    } == {made["client_id"]}


def test_uses_a_metadata_document_if_the_issuer_reads_them(logins: Logins) -> None:
    documents = ClientDocuments(private_hosts=("127.0.0.1",))
    with (
        closing(Publisher()) as publisher,
        Issuer(client_documents=documents) as issuer,
        Site(issuer) as site,
    ):
        publisher.changes = {"redirect_uris": [REDIRECT]}
        auth = auth_for(site, logins, client_metadata_url=publisher.url)
        assert get(site, auth) == 200
        assert auth.client().client_id == publisher.url
        assert issuer.count("/register") == 0


def test_registers_if_the_issuer_reads_no_documents(
    site: Site, issuer: Issuer, logins: Logins
) -> None:
    auth = auth_for(site, logins, client_metadata_url="https://example.com/client.json")
    assert get(site, auth) == 200
    assert issuer.count("/register") == 1


def test_explains_that_a_client_is_required(logins: Logins) -> None:
    with Issuer(registration="off") as issuer, Site(issuer) as site:
        with pytest.raises(grantway.ConfigurationError, match="client_id: is required") as caught:
            get(site, auth_for(site, logins))
        assert issuer.url in str(caught.value)
        with pytest.raises(grantway.ConfigurationError, match="does not read client_metadata_url"):
            get(site, auth_for(site, logins, client_metadata_url="https://example.com/c.json"))


def test_an_issuer_can_be_given_for_a_resource_without_metadata(
    site: Site, issuer: Issuer, logins: Logins
) -> None:
    site.described = False
    with pytest.raises(grantway.ResourceMetadataError, match="pass it as issuer"):
        get(site, auth_for(site, logins))
    assert get(site, auth_for(site, logins, issuer=issuer.url)) == 200
    [sent] = [each for each in issuer.received if each.path == "/authorize"]
    assert sent.form["resource"] == site.mcp


def test_explains_that_registering_needs_a_name(site: Site, logins: Logins) -> None:
    with pytest.raises(grantway.ConfigurationError, match="client_name: is required"):
        get(site, ResourceAuth(site.mcp, login=logins))


def test_registers_again_if_the_issuer_forgot_the_client(
    site: Site, issuer: Issuer, logins: Logins, tmp_path: Path
) -> None:
    auth = auth_for(site, logins, store=folder_store(tmp_path))
    site.rejected.add(auth.token().access_token)
    issuer.forget_clients()
    assert get(site, auth) == 200
    assert (issuer.count("/register"), len(logins.calls)) == (2, 2)
    assert get(site, auth_for(site, store=folder_store(tmp_path))) == 200


def test_a_late_error_of_a_former_client_does_not_replace_the_new_one(
    site: Site, issuer: Issuer, logins: Logins
) -> None:
    auth = auth_for(site, logins)
    site.rejected.add(auth.token().access_token)
    session = auth._tokens.sessions.session
    assert session is not None
    issuer.forget_clients()
    session.credential.invalidate(session.credential.token())
    with pytest.raises(grantway.InvalidClientException) as late:
        session.credential.token()
    assert get(site, auth) == 200
    need = Need(failure=late.value, failed_client=session.client.client_id)
    assert auth._tokens.jobs.wait(need) == auth.token()
    assert (issuer.count("/register"), len(logins.calls)) == (2, 2)


def test_tokens_are_bound_to_a_key(site: Site, issuer: Issuer, logins: Logins) -> None:
    auth = auth_for(site, logins, dpop_key=ECKey.generate_key("P-256"))
    token = auth.token()
    assert token.token_type == "DPoP"
    get(site, auth)
    assert site.seen[-1].headers["authorization"] == f"DPoP {token.access_token}"
    assert "dpop" in site.seen[-1].headers


@pytest.mark.parametrize("login", [client_credentials.login, client_credentials.login_async])
def test_a_machine_gets_its_tokens_itself(site: Site, issuer: Issuer, login: Any) -> None:
    issuer.metadata["scopes_supported"] = ["read", "offline_access"]
    made = issuer.client(grant_types=["client_credentials"], scope="read")
    given = {name: made[name] for name in ("client_id", "client_secret")}
    auth = auth_for(site, login, issuer=issuer.url, **given)
    send = LIBRARIES["async httpx2"]
    assert send(auth, site.mcp).status == 200
    site.rejected.add(auth.token().access_token)
    assert send(auth, site.mcp).status == 200
    assert issuer.count("/token", client_credentials.GRANT_TYPE) == 2


# --- The network ----------------------------------------------------------------------------------


def test_servers_on_private_networks_are_not_contacted(issuer: Issuer) -> None:
    """A public resource must not make a program send requests to its own network."""
    public = ResourceAuth("https://93.184.216.34/mcp")
    request = HttpRequest("POST", f"{issuer.url}/register")
    with pytest.raises(grantway.ConnectionFailedError, match="not on the public internet"):
        public._settings.transport().send(request, Deadline(PATIENCE))
    assert issuer.received == []


def test_responses_of_servers_are_limited(site: Site, issuer: Issuer, logins: Logins) -> None:
    issuer.metadata["filler"] = "x" * 70_000
    with pytest.raises(grantway.ResponseInvalidError, match="too large"):
        get(site, auth_for(site, logins))


# --- Other URLs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/other", "/", "/mcpx", "/mcp/%2e%2e/other", "/mcp/./../other"])
@pytest.mark.parametrize("library", ["httpx2", "async httpx"])
def test_other_urls_never_get_the_token(
    site: Site, logins: Logins, path: str, library: str
) -> None:
    auth = auth_for(site, logins)
    auth.token()
    with pytest.raises(grantway.ConfigurationError, match="the token is for"):
        LIBRARIES[library](auth, f"{site.url}{path}")
    assert site.tokens == []


def test_other_hosts_never_get_the_token(site: Site, logins: Logins) -> None:
    with pytest.raises(grantway.ConfigurationError, match="the token is for"):
        requests.get("http://localhost:1/mcp", auth=auth_for(site, logins), timeout=PATIENCE)


def test_aiohttp_sends_other_urls_without_the_token(site: Site, logins: Logins) -> None:
    auth = auth_for(site, logins)
    auth.token()
    site.public.add("/other")
    assert LIBRARIES["aiohttp"](auth, f"{site.url}/other").status == 200
    assert site.tokens == []


@pytest.mark.parametrize(
    "path",
    [
        *("/mcp/..%2fother", "/mcp/..;/other", "/mcp/..;x=1/other", "/mcp/..%5cother"),
        *("/mcp/..%3b/other", "/mcp/%2e%2e;/other", "/mcp/a/%2e%2E"),
    ],
)
def test_urls_that_servers_may_resolve_get_no_token(site: Site, logins: Logins, path: str) -> None:
    auth = auth_for(site, logins)
    auth.token()
    with pytest.raises(grantway.ConfigurationError, match="the token is for"):
        get(site, auth, path)
    assert site.tokens == []


@pytest.mark.parametrize("path", ["/mcp/", "/mcp/sse", "/mcp?session=1", "/mcp/..a/.b;c/d..;/e"])
def test_urls_below_get_the_token(site: Site, logins: Logins, path: str) -> None:
    assert get(site, auth_for(site, logins), path) == 200


def test_all_urls_of_the_named_resource_get_the_token(site: Site, logins: Logins) -> None:
    site.metadata["resource"] = f"{site.url}/"
    auth = auth_for(site, logins)
    assert get(site, auth) == 200
    assert get(site, auth, "/messages") == 200


# --- Logging out, and tokens from elsewhere -------------------------------------------------------


def test_logs_out(site: Site, issuer: Issuer, logins: Logins, tmp_path: Path) -> None:
    auth = auth_for(site, logins, store=folder_store(tmp_path))
    token = auth.token()
    assert auth.log_out()
    assert not issuer.introspect(token.access_token)["active"]
    assert not auth.log_out()
    with pytest.raises(grantway.LoginNeededError):
        auth_for(site, store=folder_store(tmp_path)).token()
    assert get(site, auth) == 200
    assert (len(logins.calls), issuer.count("/register")) == (2, 1)


def test_deletes_a_token_that_cannot_be_revoked(site: Site, issuer: Issuer, logins: Logins) -> None:
    auth = auth_for(site, logins)
    first = auth.token()
    issuer.fail = lambda path: 400 if path == "/revoke" else None
    with pytest.raises(grantway.GrantwayError):
        auth.log_out()
    assert auth.token() != first


def test_accepts_a_token_from_elsewhere(site: Site, logins: Logins, tmp_path: Path) -> None:
    auth = auth_for(site, store=folder_store(tmp_path))
    client = auth.client()
    auth.accept(logins(client, scope=["read"], resource=site.mcp))
    assert get(site, auth) == 200
    site.seen.clear()
    assert get(site, auth_for(site, store=folder_store(tmp_path))) == 200
    assert len(site.seen) == 1


def test_an_event_loop_logs_in_and_out(site: Site, logins: Logins) -> None:
    auth = auth_for(site, logins)

    async def log_in_and_out() -> None:
        first = await auth.log_in_async()
        assert (await auth.log_in_async(scope="write")).access_token != first.access_token
        assert await auth.log_out_async()
        assert not await auth.log_out_async()
        client = await auth.client_async()
        await auth.accept_async(await asyncio.to_thread(logins, client, scope=["read"]))
        assert (await auth.token_async()).scope == ("read",)

    asyncio.run(log_in_and_out())
    assert len(logins.calls) == 3


def test_users_of_one_store_have_their_own_tokens(
    site: Site, logins: Logins, tmp_path: Path
) -> None:
    tokens = {
        auth_for(site, logins, store=folder_store(tmp_path), subject=user).token().access_token
        for user in ("ann", "bob", "ann")
    }
    assert len(tokens) == 2


# --- Copies and secrets ---------------------------------------------------------------------------


def test_a_copy_in_another_process_uses_the_stored_token(
    site: Site, logins: Logins, tmp_path: Path
) -> None:
    auth = auth_for(site, store=folder_store(tmp_path))
    auth.accept(logins(auth.client(), scope=["read"], resource=site.mcp))
    assert get(site, pickle.loads(pickle.dumps(auth))) == 200


def test_no_error_shows_a_secret(
    site: Site, issuer: Issuer, logins: Logins, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither its message nor the local variables of its traceback."""
    made = issuer.client(redirect_uris=[REDIRECT], scope="read write", grant_types=[CODE, REFRESH])
    given = {name: made[name] for name in ("client_id", "client_secret")}
    auth = auth_for(site, logins, issuer=issuer.url, **given)
    token = auth.token()
    assert token.refresh_token is not None
    site.rejected.add(token.access_token)
    site.required["/mcp/write"] = {"write"}
    logins.fail = grantway.AccessDeniedException("The user denied the request.")
    issuer.fail = lambda path: 503 if path == "/token" else 400 if path == "/revoke" else None
    errors: list[BaseException] = []
    for call in (
        lambda: get(site, auth),
        lambda: LIBRARIES["async httpx2"](auth, f"{site.mcp}/write"),
        auth.log_in,
        auth.log_out,
    ):
        with pytest.raises(grantway.GrantwayError) as caught:
            call()
        errors.append(caught.value)
    for secret in (token.access_token, token.refresh_token, given["client_secret"]):
        for error in errors:
            assert secret not in shown(error)
        assert secret not in caplog.text


PACKAGES = tuple(
    f"{Path(package.__file__).parent}{os.sep}"
    for package in (grantway, grantway_grants, grantway_plugins)
)


def shown(error: BaseException) -> str:
    """Return an error with the local variables of grantway's frames."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    parts: list[str] = []
    left: list[traceback.TracebackException | None] = [report]
    while left:
        if (each := left.pop()) is not None:
            frames = [frame for frame in each.stack if frame.filename.startswith(PACKAGES)]
            parts += [str(each), *(str(frame.locals) for frame in frames)]
            left += [each.__cause__, each.__context__]
    return " ".join(parts)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "keeps its token in this process"),
        (
            {
                "store": "file",
                "issuer": "https://idp.example.com",
                "client_id": "c",
                "client_secret": "s3cret",
            },
            "client secret",
        ),
        ({"store": "file", "dpop_key": {"kty": "EC"}}, "private key"),
        ({"store": "file", "login": lambda client: None}, "its login cannot"),
    ],
)
def test_secrets_stay_in_the_process(options: dict[str, Any], reason: str) -> None:
    if "dpop_key" in options:
        options = {**options, "dpop_key": ECKey.generate_key("P-256")}
    auth = ResourceAuth("https://mcp.example.com/mcp", **options)
    assert "s3cret" not in repr(auth)
    with pytest.raises(TypeError, match=reason) as caught:
        pickle.dumps(auth)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"login": "browser"}, "login: must be a function"),
        ({"store": "unknown"}, "unknown"),
        ({"store": object()}, "store: must be the name"),
        ({"client_secret": "s"}, "client_id: is required"),
        ({"client_id": "c", "client_secret": "s"}, "issuer: is required with client_secret"),
        ({"client_id": "c", "auth": "client_secret_post"}, "issuer: is required with"),
        ({"client_metadata_url": "https://example.com"}, "with a path"),
        (
            {"client_metadata_url": "http://example.com/c"},
            "client_metadata_url: http://example.com",
        ),
        ({"issuer": "login.example.com"}, "issuer: must be an absolute https address"),
        ({"scope": 'a"b'}, "scope"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_rejects_invalid_arguments(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(grantway.GrantwayError, match=rule):
        ResourceAuth("https://mcp.example.com/mcp", **options)


@pytest.mark.parametrize("url", ["mcp.example.com", "http://mcp.example.com/mcp", "ftp://x/y"])
def test_rejects_invalid_urls(url: str) -> None:
    with pytest.raises(grantway.GrantwayError, match="url: "):
        ResourceAuth(url)


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_hooks_can_replace_and_remove_the_token(site: Site, logins: Logins, module: Any) -> None:
    """The headers of the request behave like those of the library."""
    seen: list[Any] = []

    def change(request: Any) -> None:
        if "Authorization" in request.headers:
            token = request.headers.pop("Authorization")
            assert "Authorization" not in request.headers
            request.headers["Authorization"] = token
            request.headers["authorization"] = token
            request.headers.update({"AUTHORIZATION": token})
            seen.append([name.lower() for name, _ in request.headers.raw])

    hooks = {"request": [change]}
    with module.Client(auth=auth_for(site, logins), event_hooks=hooks, **OPTIONS) as client:
        assert client.get(site.mcp).status_code == 200
    [names] = seen
    assert names.count(b"authorization") == 1
