"""Logging in to a protected resource with ``grantway login`` and its address."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests

from grantway import ConfigurationError, LoginNeededError
from grantway_plugins.auth import StepUpRequiredError, TokenAuth
from grantway_plugins.issuer import (
    BrowserDriver,
    ClientDocuments,
    IssuerServer,
    IssuerSettings,
    Lifetimes,
)
from grantway_plugins.issuer._decisions.operator_clients import add_client
from tests.core.test_protected_resource import ISSUER, KNOWN, Site
from tests.docs.pages import ROOT
from tests.faults import FaultServer, certificate, free_port
from tests.plugins.auth.scripted_server import ExactServer
from tests.plugins.cli.home import PATIENCE, Home
from tests.plugins.cli.resource_server import ResourceServer
from tests.plugins.cli.test_login import device_prompt, running
from tests.plugins.issuer.test_client_documents import Publisher
from tests.waiting import interrupt, until

SETTINGS = IssuerSettings(
    approve="auto",
    access_token_format="jwt",
    lifetimes=Lifetimes(device_interval=0),
    registration="unrestricted",
)


#: A browser that follows redirects; the issuer approves every login.
BROWSER = (
    f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT / 'tests' / 'docs' / 'visit.py'))} %s"
)


@pytest.fixture(autouse=True)
def browser(home: Home) -> None:
    """Log in with the browser unless a test chooses another method."""
    home.env["BROWSER"] = BROWSER


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with IssuerServer(SETTINGS) as server:
        yield server.url


@pytest.fixture
def server(issuer: str) -> Iterator[ResourceServer]:
    made = ResourceServer(issuer)
    with made.running():
        yield made


def profiles(home: Home) -> dict[str, Any]:
    return dict(tomllib.loads(home.config.read_text())["profiles"])


def get(home: Home, url: str, name: str, method: str = "GET") -> requests.Response:
    """Send a request with the token of a profile."""
    token = home.run("token", name, "--format", "header")
    assert token.returncode == 0, token.stderr
    header, _, value = token.stdout.strip().partition(": ")
    return requests.request(method, url, headers={header: value}, timeout=PATIENCE)


def finding(home: Home, about: str, name: str) -> dict[str, str]:
    """Return a result of ``grantway doctor`` about the resource of a profile."""
    found = json.loads(home.run("doctor", "--profile", name, "--json").stdout)["findings"]
    (matching,) = (each for each in found if each["about"] == about)
    return dict(matching)


def client_id(home: Home, name: str) -> str:
    (shown,) = json.loads(home.run("status", name, "--json").stdout)
    return str(shown["client_id"])


def test_logs_in_with_the_address_of_a_resource(
    home: Home, server: ResourceServer, issuer: str
) -> None:
    done = home.run("login", server.resource)
    assert (done.returncode, done.stderr) == (0, "")
    (name,) = profiles(home)
    assert name == server.url.removeprefix("http://").replace(":", "-")
    assert done.stdout.startswith(
        f"{server.resource} gets its tokens from {issuer}.\nAdded the profile {name} to "
    )
    assert profiles(home)[name] == {
        "provider": issuer,
        "resource": [server.resource],
        "scope": ["read"],
    }
    claims = get(home, server.resource, name).json()
    assert (claims["aud"], claims["scope"]) == (server.resource, "read")
    assert home.run("logout", name).returncode == 0
    assert home.run("token", name).returncode == 3


def test_logs_in_where_the_port_of_the_redirect_is_compared(home: Home) -> None:
    with ExactServer() as server:
        done = home.run("login", server.mcp)
        assert (done.returncode, done.stderr) == (0, "")
        assert home.run("login", *profiles(home)).returncode == 0
    assert len(server.redirected) == 2
    assert set(server.redirected) <= set(server.registered[:-1])


def test_programs_use_the_profile(home: Home, server: ResourceServer) -> None:
    assert home.run("login", server.resource).returncode == 0
    (name,) = profiles(home)
    home.age(-1, name)
    with home.profile(name) as profile:
        auth = TokenAuth(profile.credential(), origins=profile.resource or ())
        first = requests.get(server.resource, auth=auth, timeout=PATIENCE)
        assert first.json()["aud"] == server.resource
        with httpx2.Client(auth=auth) as client:
            assert client.get(server.resource).json() == first.json()
            with pytest.raises(StepUpRequiredError) as caught:
                client.post(server.resource)
            with pytest.raises(ConfigurationError, match="the token is for"):
                client.get("https://other.example/")
        assert caught.value.challenge.scope == ("write",)

        async def call() -> int:
            async with httpx2.AsyncClient(auth=auth) as http:
                return (await http.get(server.resource)).status_code

        assert asyncio.run(call()) == 200
    assert home.run("logout", name).returncode == 0
    with home.profile(name) as profile, pytest.raises(LoginNeededError):
        requests.get(server.resource, auth=TokenAuth(profile.credential()), timeout=PATIENCE)


def test_other_commands_do_not_contact_the_resource(
    home: Home, server: ResourceServer, issuer: str
) -> None:
    assert home.run("login", server.resource).returncode == 0
    (name,) = profiles(home)
    server.metadata = {"authorization_servers": ["https://other.example"]}
    home.age(-1, name)
    assert get(home, server.resource, name).status_code == 200  # refreshed
    (shown,) = json.loads(home.run("status", name, "--json").stdout)
    assert (shown["provider"], shown["resource"]) == (issuer, [server.resource])
    assert f"resource    {server.resource}\n" in home.run("status", name).stdout
    assert home.run("login", name).returncode == 0


def test_a_grant_without_a_login_gets_tokens_for_the_resource(home: Home) -> None:
    with IssuerServer(SETTINGS) as issuer:
        metadata = {"grant_types": ["client_credentials"], "scope": "read write"}
        client = add_client(issuer.store, metadata)
        server = ResourceServer(issuer.url)
        home.env["SECRET"] = client["client_secret"]
        options = ("--client-id", client["client_id"], "--client-secret-env", "SECRET")
        grant = ("--grant", "client_credentials")
        with server.running():
            done = home.run("init", server.resource, "--name", "robot", *grant, *options)
            assert done.returncode == 0, done.stderr
            claims = get(home, server.resource, "robot").json()
    assert (claims["aud"], claims["scope"]) == (server.resource, "read")


def test_a_second_login_uses_the_same_profile(home: Home, server: ResourceServer) -> None:
    for command in ("login", "login"):
        assert home.run(command, server.resource).returncode == 0
    (name,) = profiles(home)
    again = home.run("init", server.resource)
    assert again.returncode == 1
    assert f"The profile {name} already has these settings." in again.stderr
    assert home.run("login", f"{server.url}/other/mcp").returncode == 0
    assert [each["resource"] for each in profiles(home).values()] == [
        [server.resource],
        [f"{server.url}/other/mcp"],
    ]
    wrong = get(home, f"{server.url}/other/mcp", name)
    assert wrong.status_code == 401
    assert get(home, f"{server.url}/other/mcp", f"{name}-2").status_code == 200


def test_an_issuer_and_its_resources_have_their_own_profiles(
    home: Home, server: ResourceServer, issuer: str
) -> None:
    assert home.run("login", server.resource).returncode == 0
    done = home.run("login", issuer, "--scope", "read")
    assert (done.returncode, done.stderr) == (0, "")
    assert "gets its tokens" not in done.stdout
    _, own = profiles(home).values()
    assert own == {"provider": issuer, "scope": ["read"]}
    assert home.run("login", issuer, "--scope", "read").returncode == 0
    assert home.run("login", server.resource).returncode == 0
    assert len(profiles(home)) == 2


def test_init_takes_the_settings_from_the_resource(
    home: Home, server: ResourceServer, issuer: str
) -> None:
    done = home.run("init", server.resource, "--name", "tools", "--client-id", "app")
    assert done.returncode == 0, done.stderr
    assert f"{server.resource} gets its tokens from {issuer}.\n" in done.stdout
    assert done.stdout.endswith("Next, run: grantway login tools\n")
    with home.in_terminal("init", server.resource, "--name", "more") as shown:
        assert shown.end() == 0, shown.shown  # it does not ask for the scope
    assert profiles(home) == {
        "tools": {
            "provider": issuer,
            "client_id": "app",
            "resource": [server.resource],
            "scope": ["read"],
        },
        "more": {"provider": issuer, "resource": [server.resource], "scope": ["read"]},
    }


def test_an_option_replaces_the_scope_of_the_resource(home: Home, server: ResourceServer) -> None:
    assert home.run("login", server.resource, "--scope", "read write").returncode == 0
    (name,) = profiles(home)
    assert profiles(home)[name]["scope"] == ["read", "write"]
    assert get(home, server.resource, name, "POST").status_code == 200


@pytest.mark.parametrize("method", [pytest.param("--device", marks=pytest.mark.slow), "--browser"])
def test_a_login_with_more_scope_keeps_the_granted_scope(
    home: Home, server: ResourceServer, method: str
) -> None:
    assert home.run("login", server.resource, method).returncode == 0
    (name,) = profiles(home)
    denied = get(home, server.resource, name, "POST")
    assert denied.status_code == 403
    assert 'error="insufficient_scope"' in denied.headers["WWW-Authenticate"]
    before = profiles(home)
    done = home.run("login", name, "--scope", "write", method)
    assert (done.returncode, done.stderr) == (0, "")
    assert profiles(home) == before
    assert get(home, server.resource, name, "POST").json()["scope"] == "read write"
    home.age(-1, name)
    assert get(home, server.resource, name, "POST").status_code == 200  # refreshed
    # The next login keeps it, too, with the name and with the address.
    for address in (name, server.resource):
        assert home.run("login", address, method).returncode == 0
        assert get(home, server.resource, name, "POST").status_code == 200
    assert list(profiles(home)) == [name]
    assert home.run("logout", name).returncode == 0
    assert home.run("login", name, method).returncode == 0
    assert get(home, server.resource, name, "POST").status_code == 403


def test_a_running_program_notices_a_login_with_more_scope(home: Home) -> None:
    with IssuerServer(replace(SETTINGS, registration="open")) as issuer:
        server = ResourceServer(issuer.url)
        with server.running():
            assert home.run("login", server.resource).returncode == 0
            (name,) = profiles(home)
            with home.profile(name) as profile, requests.Session() as session:
                session.auth = TokenAuth(profile.credential(recheck=0.01))
                with pytest.raises(StepUpRequiredError):
                    session.post(server.resource, timeout=PATIENCE)
                assert home.run("login", name, "--scope", "write").returncode == 0

                def status() -> int:
                    with contextlib.suppress(StepUpRequiredError):
                        return session.post(server.resource, timeout=PATIENCE).status_code
                    return 403

                assert until(status, lambda found: found == 200) == 200


def test_a_login_with_more_scope_keeps_the_client_if_the_provider_allows_that(home: Home) -> None:
    with IssuerServer(replace(SETTINGS, registration="open")) as issuer:
        server = ResourceServer(issuer.url)
        with server.running():
            assert home.run("login", server.resource).returncode == 0
            (name,) = profiles(home)
            before = client_id(home, name)
            done = home.run("login", name, "--scope", "write")
            assert done.returncode == 0, done.stderr
            assert "registered again" not in done.stdout
            assert client_id(home, name) == before
            assert get(home, server.resource, name, "POST").status_code == 200


def test_a_cancelled_login_with_more_scope_keeps_the_login(home: Home) -> None:
    with IssuerServer(replace(SETTINGS, approve="page")) as issuer, BrowserDriver() as driver:
        server = ResourceServer(issuer.url)
        with server.running():
            with running(home, server.resource, "--device") as login:
                driver.approve_device(*device_prompt(login))
                assert login.wait(PATIENCE) == 0
            (name,) = profiles(home)
            with running(home, name, "--scope", "write", "--device") as login:
                device_prompt(login)
                interrupt(login)
            assert login.returncode == 130
            home.age(-1, name)
            assert get(home, server.resource, name).status_code == 200  # refreshed


def test_the_scope_of_a_grant_without_a_login_cannot_be_extended(
    home: Home, server: ResourceServer
) -> None:
    home.write(
        '[profiles.robot]\nprovider = "https://login.example.com"\nclient_id = "a"\n'
        'client_secret = "b"\ngrant = "client_credentials"\nscope = ["read"]\n'
    )
    done = home.run("login", "robot", "--scope", "write")
    assert done.returncode == 2
    assert "--scope applies to logins, not to the grant client_credentials" in done.stderr


def test_a_new_provider_gets_its_own_profile(
    home: Home, server: ResourceServer, issuer: str
) -> None:
    assert home.run("login", server.resource).returncode == 0
    (name,) = profiles(home)
    before = home.stored(name)
    with IssuerServer(SETTINGS) as other:
        server.metadata["authorization_servers"] = [other.url]
        found = finding(home, f"resource {server.resource}", name)
        assert found["level"] == "problem"
        assert f"gets its tokens from {other.url}, and not from {issuer}" in found["found"]
        assert found["remedy"] == f"If this is intended, run: grantway login {server.resource}"
        done = home.run("login", server.resource)
        assert (done.returncode, done.stderr) == (0, "")
        assert (
            f"The profile {name} has a login at {issuer} for it. That profile is not changed, and "
            f"{other.url} does not receive its client or tokens."
        ) in done.stdout
        assert profiles(home)[f"{name}-2"] == {
            **profiles(home)[name],
            "provider": other.url,
        }
        assert client_id(home, f"{name}-2") != client_id(home, name)
        assert home.run("login", server.resource).returncode == 0
        assert len(profiles(home)) == 2
    assert home.stored(name) == before


def test_keeps_the_provider_of_a_profile_that_the_resource_still_lists(
    home: Home, server: ResourceServer, issuer: str
) -> None:
    assert home.run("login", server.resource).returncode == 0
    (name,) = profiles(home)
    server.metadata["authorization_servers"] = ["https://first.invalid", issuer]
    done = home.run("login", server.resource)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(profiles(home)) == [name]
    assert finding(home, f"resource {server.resource}", name)["level"] == "ok"


def test_doctor_shows_only_providers_that_may_be_used(
    home: Home, server: ResourceServer, issuer: str
) -> None:
    assert home.run("login", server.resource).returncode == 0
    (name,) = profiles(home)
    forged = f"{issuer}\nok       profile {name}"
    server.metadata["authorization_servers"] = [5, {"a": 1}, forged, "https://new.invalid"]
    found = finding(home, f"resource {server.resource}", name)
    assert found["level"] == "problem"
    assert found["found"].startswith("gets its tokens from https://new.invalid, and not from")


def test_an_option_chooses_the_provider_of_a_resource(
    home: Home, server: ResourceServer, issuer: str
) -> None:
    server.metadata["authorization_servers"] = ["https://first.invalid", issuer]
    wrong = home.run("login", server.resource, "--issuer", f"{issuer}/other")
    assert wrong.returncode == 1
    assert f"does not list the authorization server {issuer}/other" in wrong.stderr
    assert not home.config.exists()
    assert home.run("login", server.resource, "--issuer", issuer).returncode == 0
    (made,) = profiles(home).values()
    assert made["provider"] == issuer


def test_an_option_corrects_the_slash_of_a_provider(
    home: Home, server: ResourceServer, issuer: str
) -> None:
    server.metadata["authorization_servers"] = [f"{issuer}/"]
    wrong = home.run("login", server.resource)
    assert f"Pass '{issuer}' as issuer." in wrong.stderr
    assert home.run("login", server.resource, "--issuer", issuer).returncode == 0
    (name,) = profiles(home)
    assert finding(home, f"resource {server.resource}", name)["level"] == "ok"
    assert home.run("login", server.resource).returncode == 0  # from now on without the option
    assert list(profiles(home)) == [name]


def test_doctor_reports_a_profile_that_cannot_be_used(home: Home) -> None:
    home.write(f'[profiles.work]\nprovider = "http://127.0.0.1:{free_port()}"\n')
    for name, about in (("other", "no profile is named 'other'"), ("work", "Discovery of")):
        found = finding(home, f"profile {name}", name)
        assert found["level"] == "problem"
        assert about in found["found"]


def test_an_option_names_the_provider_of_a_resource_without_metadata(
    home: Home, server: ResourceServer, issuer: str
) -> None:
    url = f"{server.url}/files"  # not found
    done = home.run("login", url, "--issuer", issuer, "--scope", "read")
    assert (done.returncode, done.stderr) == (0, "")
    (made,) = profiles(home).items()
    assert made[1] == {"provider": issuer, "scope": ["read"], "resource": [url]}
    found = finding(home, f"resource {url}", made[0])
    assert (found["level"], found["found"][:11]) == ("note", "not checked")


def test_requests_a_refresh_token_if_the_provider_offers_it(home: Home) -> None:
    offered = {"scopes_supported": ["openid", "offline_access"]}
    site = Site(
        scopes_supported=["read"], pages={ISSUER: (200, lambda url: Site.issuer(url, **offered))}
    )
    with FaultServer(site.act()) as site_server:
        for options in ((), ("--scope", "read", "--name", "exact")):
            done = home.run("init", f"{site_server.url}/mcp", "--client-id", "app", *options)
            assert done.returncode == 0, done.stderr
    scopes = [each["scope"] for each in profiles(home).values()]
    assert scopes == [["read", "offline_access"], ["read"]]


def test_a_client_id_may_be_the_url_of_its_metadata(home: Home) -> None:
    client_id = "https://app.example.com/client.json"
    site = Site()
    with FaultServer(site.act()) as site_server:
        done = home.run("init", f"{site_server.url}/mcp", "--client-id", client_id)
        assert done.returncode == 1
        assert f"{site_server.url} does not support" in done.stderr
        assert "has no client_id_metadata_document_supported" in done.stderr
        assert not home.config.exists()
        supported = {"client_id_metadata_document_supported": True}
        site.pages = {ISSUER: (200, lambda url: Site.issuer(url, **supported))}
        done = home.run("init", f"{site_server.url}/mcp")
        assert "It also accepts the URL of a Client ID Metadata Document." in done.stderr
        done = home.run("init", f"{site_server.url}/mcp", "--client-id", client_id)
        assert done.returncode == 0, done.stderr
    (made,) = profiles(home).values()
    assert made["client_id"] == client_id


def test_a_client_with_published_metadata_logs_in(home: Home) -> None:
    documents = ClientDocuments(private_hosts=("127.0.0.1",))
    publisher = Publisher()
    publisher.changes = {"redirect_uris": ["http://127.0.0.1/callback"]}
    try:
        with IssuerServer(replace(SETTINGS, client_documents=documents)) as issuer:
            server = ResourceServer(issuer.url)
            with server.running():
                done = home.run("login", server.resource, "--client-id", publisher.url)
                assert (done.returncode, done.stderr) == (0, "")
                (name,) = profiles(home)
                claims = get(home, server.resource, name).json()
                assert (claims["client_id"], claims["aud"]) == (publisher.url, server.resource)
    finally:
        publisher.close()


def large(_url: str) -> bytes:
    return b'{"resource": "' + b"x" * 65_536 + b'"}'


#: Description -> the site, the document that the error names, and the rule.
BAD_INPUT: dict[str, tuple[Site, str, str]] = {
    "another resource": (
        Site(resource="https://other.example/mcp"),
        f"{KNOWN}/mcp",
        "is the metadata of 'https://other.example/mcp'",
    ),
    "an issuer that differs by a slash": (
        Site(pages={ISSUER: (200, lambda url: Site.issuer(f"{url}/"))}),
        ISSUER,
        "names the issuer",
    ),
    "a large document": (
        Site('Bearer resource_metadata="URL/meta"', pages={"/meta": (200, large)}),
        "/meta",
        "has more than 65536 bytes",
    ),
    "a redirect": (
        Site(
            'Bearer resource_metadata="URL/meta"',
            pages={"/meta": (302, b"")},
            headers={"Location": "https://other.example/"},
        ),
        "/meta",
        "is redirected",
    ),
    "two challenges, the first without an https URL": (
        Site('Bearer resource_metadata="ftp://x/", Bearer resource_metadata="URL/meta"'),
        "ftp://x/",
        "is the resource_metadata in the challenge",
    ),
    "no PKCE": (
        Site(
            pages={
                ISSUER: (200, lambda url: Site.issuer(url, code_challenge_methods_supported=None))
            }
        ),
        "http://127.0.0.1:",
        "must list S256 in code_challenge_methods_supported",
    ),
    "an answer without a token": (
        Site(status=200, pages={f"{KNOWN}/mcp": (404, b"")}),
        "/mcp",
        "it answers without a token, so it needs no login",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
@pytest.mark.parametrize("command", ["login", "init"])
def test_bad_input_is_one_error_that_names_document_and_rule(
    home: Home, case: str, command: str
) -> None:
    site, document, rule = BAD_INPUT[case]
    with FaultServer(site.act()) as site_server:
        done = home.run(command, f"{site_server.url}/mcp", "--client-id", "app")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert document in done.stderr
    assert rule in done.stderr
    assert not home.config.exists()


def test_two_challenges_are_read(home: Home) -> None:
    site = Site(
        'Basic realm="a", Bearer resource_metadata="URL/meta", scope="deep"',
        pages={"/meta": (200, lambda url: {"resource": url, "authorization_servers": [url]})},
    )
    with FaultServer(site.act()) as site_server:
        done = home.run("init", f"{site_server.url}/mcp", "--client-id", "app")
    assert done.returncode == 0, done.stderr
    (made,) = profiles(home).values()
    assert (made["resource"], made["scope"]) == ([site_server.url], ["deep"])


def test_a_server_that_is_down_is_one_error(home: Home) -> None:
    for command in ("login", "init"):
        done = home.run(command, f"http://127.0.0.1:{free_port()}/mcp")
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "127.0.0.1" in done.stderr
    assert not home.config.exists()


def test_an_address_without_any_metadata_is_one_error(home: Home) -> None:
    with FaultServer(Site(pages=dict.fromkeys((f"{KNOWN}/mcp", ISSUER), (404, b""))).act()) as site:
        done = home.run("login", f"{site.url}/mcp")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"{site.url}{KNOWN}/mcp returned status 404" in done.stderr
    assert "/.well-known/openid-configuration returned 404" in done.stderr
    assert "give its provider with --issuer" in done.stderr
    with FaultServer(Site(pages={f"{KNOWN}/mcp": (404, b"")}).act()) as site:
        done = home.run("login", f"{site.url}/mcp?tenant=1")
    assert done.stderr.startswith(f"Error: {site.url}/mcp?tenant=1 has no metadata")


def test_an_issuer_that_is_a_resource(home: Home) -> None:
    """Its metadata as a resource decides, unless the address is that of the issuer's metadata."""
    site = Site(
        pages={
            "/": (401, b""),
            KNOWN: (200, lambda url: {"resource": url, "authorization_servers": [url]}),
        }
    )
    with FaultServer(site.act()) as site_server:
        url = site_server.url
        assert home.run("init", url, "--client-id", "app").returncode == 0
        done = home.run("init", f"{url}{ISSUER}", "--client-id", "app", "--scope", "a")
        assert done.returncode == 0, done.stderr
        assert list(profiles(home).values()) == [
            {"provider": url, "client_id": "app", "resource": [url]},
            {"provider": url, "client_id": "app", "scope": ["a"]},
        ]
        again = home.run("init", f"{url}{ISSUER}", "--client-id", "app", "--scope", "a")
        assert "already has these settings" in again.stderr


def test_an_issuer_that_answers_without_a_token(home: Home) -> None:
    site = Site(pages={"/": (200, b"<html>Welcome"), KNOWN: (200, b"<html>Welcome")})
    with FaultServer(site.act()) as site_server:
        done = home.run("init", site_server.url, "--client-id", "app")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(profiles(home).values()) == [{"provider": site_server.url, "client_id": "app"}]


def test_the_network_settings_of_the_file_apply(home: Home, tmp_path: Path) -> None:
    context, authority = certificate(tmp_path)
    with FaultServer(Site().act(), tls=context) as site_server:
        command = ("init", f"{site_server.url}/mcp", "--client-id", "app")
        failed = home.run(*command)
        assert failed.returncode == 1
        assert "certificate" in failed.stderr
        assert not home.config.exists()
        home.write(f'[network]\nca_bundle = "{authority}"\n')
        done = home.run(*command)
        assert (done.returncode, done.stderr) == (0, "")
        (name,) = profiles(home)
        assert finding(home, f"resource {site_server.url}/mcp", name)["level"] == "ok"
