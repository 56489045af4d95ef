"""Finding the provider of a protected resource by its URL (RFC 9728)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, strategies as st

from grantway import (
    Client,
    ConnectionFailedError,
    HttpTransport,
    InsecureEndpointError,
    Provider,
    ResourceMetadataError,
    ResponseInvalidError,
)
from grantway._wire.protected_resource import covers, document_transport
from grantway_grants.authorization_code import AuthorizationCodeFlow
from grantway_grants.device_code import DeviceFlow
from tests import faults
from tests.faults import Act, FaultServer, Stage
from tests.waiting import PATIENCE

KNOWN = "/.well-known/oauth-protected-resource"
ISSUER = "/.well-known/oauth-authorization-server"


class Site:
    """A resource at ``/mcp`` and its authorization server, on one host.

    Args:
        challenge: ``WWW-Authenticate`` of the resource; ``URL`` is replaced.
        status: Status of the resource.
        pages: Status and body of other paths, or the target of a redirect; replaces the defaults.
        headers: Headers of all pages.
    """

    def __init__(
        self,
        challenge: str = "",
        status: int = 401,
        pages: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **metadata: Any,
    ) -> None:
        self.challenge, self.status = challenge, status
        self.pages, self.headers = pages, headers or {}
        self.metadata = metadata
        self.requests: list[str] = []

    def act(self) -> Act:
        def act(stage: Stage) -> bool:
            request = stage.read_request()
            if request is None:
                return False
            status, body, headers = self._page(request.target, stage.server.url)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            stage.send(faults.message(status, content, headers))
            return True

        return act

    def _page(self, path: str, url: str) -> tuple[int, Any, dict[str, str]]:
        self.requests.append(path)
        if path == "/mcp":
            shown = self.challenge.replace("URL", url)
            challenge = {"WWW-Authenticate": shown} if shown else {}
            return self.status, b"", {**self.headers, **challenge}
        pages = {f"{KNOWN}/mcp": (200, self.document(url)), ISSUER: (200, self.issuer(url))}
        if self.pages is not None:
            pages = {**pages, **self.pages}
        status, body = pages.get(path, (404, b"no such page"))
        if isinstance(body, str):
            return status, b"", {"Location": body}
        return status, body(url) if callable(body) else body, dict(self.headers)

    def document(self, url: str) -> dict[str, Any]:
        found = {"resource": f"{url}/mcp", "authorization_servers": [url], **self.metadata}
        return {name: value for name, value in found.items() if value is not None}

    @staticmethod
    def issuer(url: str, **more: Any) -> dict[str, Any]:
        return {
            "issuer": url,
            "token_endpoint": f"{url}/token",
            "authorization_endpoint": f"{url}/authorize",
            "device_authorization_endpoint": f"{url}/device",
            "code_challenge_methods_supported": ["S256"],
            **more,
        }

    def find(self, path: str = "/mcp", **options: Any) -> tuple[Provider, str]:
        with FaultServer(self.act()) as server:
            found = Provider.for_resource(f"{server.url}{path}", timeout=PATIENCE, **options)
            return found, server.url


def test_reads_the_document_that_the_challenge_names() -> None:
    site = Site(
        'Basic realm="a", Bearer error="invalid_token", resource_metadata="URL/meta", '
        'scope="read write"',
        pages={"/meta": (200, lambda url: {"resource": url, "authorization_servers": [url]})},
    )
    found, url = site.find()
    assert (found.resource, found.scope, found.issuer) == (url, ("read", "write"), url)
    assert found.token_endpoint == f"{url}/token"
    assert site.requests == ["/mcp", "/meta", ISSUER]


@pytest.mark.parametrize("status", [401, 404, 405, 200])
def test_reads_the_well_known_document_without_a_challenge(status: int) -> None:
    site = Site(status=status, scopes_supported=["read", "read", "admin"])
    found, url = site.find()
    assert (found.resource, found.scope) == (f"{url}/mcp", ("read", "admin"))
    assert site.requests == ["/mcp", f"{KNOWN}/mcp", ISSUER]


def test_reads_the_document_of_the_host_if_the_path_has_none() -> None:
    site = Site(
        pages={
            f"{KNOWN}/mcp": (404, b""),
            KNOWN: (200, lambda url: {"resource": f"{url}/", "authorization_servers": [url]}),
        }
    )
    found, url = site.find()
    assert found.resource == f"{url}/"
    assert site.requests == ["/mcp", f"{KNOWN}/mcp", KNOWN, ISSUER]


def test_follows_redirects_of_the_document_within_the_host() -> None:
    site = Site(
        'Bearer resource_metadata="URL/old"',
        pages={"/old": (308, "/new"), "/new": (307, "/new/"), "/new/": (200, Site().document)},
    )
    found, url = site.find()
    assert found.resource == f"{url}/mcp"
    assert site.requests == ["/mcp", "/old", "/new", "/new/", ISSUER]


@pytest.mark.parametrize(
    "target",
    ["/old", "/new?secret=1", "http://localhost/new", "http://u@127.0.0.1/new", "http://[/new", ""],
)
def test_follows_no_other_redirects_of_the_document(target: str) -> None:
    site = Site('Bearer resource_metadata="URL/old"', pages={"/old": (302, target)})
    with pytest.raises(ResourceMetadataError, match="is redirected"):
        site.find()
    assert set(site.requests) == {"/mcp", "/old"}
    assert len(site.requests) <= 5


def test_uses_the_first_of_two_challenges_that_name_a_document() -> None:
    site = Site(
        'DPoP algs="ES256", Bearer resource_metadata="URL/one", Bearer resource_metadata="URL/two"',
        pages={
            "/one": (200, lambda url: {"resource": url, "authorization_servers": [url]}),
            "/two": (200, b"not json"),
        },
    )
    found, url = site.find()
    assert found.resource == url


BAD_DOCUMENTS = [
    ({"resource": "https://other.example/mcp"}, "is the metadata of 'https://other.example/mcp'"),
    ({"resource": None}, "is the metadata of 'None'"),
    ({"resource": 7}, "is the metadata of '7'"),
    ({"authorization_servers": None}, "must list the https URL of an authorization server"),
    ({"authorization_servers": []}, "must list the https URL of an authorization server"),
    ({"authorization_servers": "x"}, "must list the https URL of an authorization server"),
    ({"authorization_servers": ["http://other.example"]}, "must list the https URL"),
    ({"authorization_servers": [None, 3]}, "must list the https URL"),
    ({"authorization_servers": [f"{ISSUER}?a=1", f"{ISSUER}#"]}, "must list the https URL"),
    ({"scopes_supported": "read"}, "must have a list of scope names as scopes_supported"),
    ({"scopes_supported": ["a b"]}, "must have a list of scope names as scopes_supported"),
]


@pytest.mark.parametrize(("metadata", "rule"), BAD_DOCUMENTS)
def test_an_invalid_document_is_named_with_its_rule(metadata: dict[str, Any], rule: str) -> None:
    site = Site(**metadata)
    with pytest.raises(ResourceMetadataError) as caught:
        site.find()
    assert rule in str(caught.value)
    assert caught.value.document.endswith(f"{KNOWN}/mcp")
    assert caught.value.document in str(caught.value)
    assert caught.value.rule in str(caught.value)
    assert not caught.value.missing


@pytest.mark.parametrize(
    ("page", "rule"),
    [
        ((302, b""), "is redirected"),
        ((500, b""), "returned status 500"),
        ((200, b"<html>"), "is not a JSON object"),
        ((200, b"[]"), "is not a JSON object"),
        ((200, b"[" * 10_000), "is not a JSON object"),
        ((200, b'{"a": "' + b"x" * 65_536 + b'"}'), "has more than 65536 bytes"),
    ],
)
def test_a_document_of_the_challenge_must_be_usable(page: tuple[int, bytes], rule: str) -> None:
    site = Site(
        'Bearer resource_metadata="URL/meta"',
        pages={"/meta": page},
        headers={"Location": "https://other.example/"} if page[0] == 302 else {},
    )
    with pytest.raises(ResourceMetadataError, match=rule) as caught:
        site.find()
    assert caught.value.document.endswith("/meta")
    assert ISSUER not in site.requests


@pytest.mark.parametrize("status", [404, 403])
def test_a_document_that_does_not_exist_is_read_elsewhere(status: int) -> None:
    site = Site('Bearer resource_metadata="URL/meta", scope="read"', pages={"/meta": (status, b"")})
    found, url = site.find()
    assert (found.resource, found.scope) == (f"{url}/mcp", ("read",))
    assert site.requests == ["/mcp", "/meta", f"{KNOWN}/mcp", ISSUER]
    site.pages = {"/meta": (404, b""), **NO_METADATA}
    with pytest.raises(ResourceMetadataError, match=r"/meta returned status 404; .*/mcp returned"):
        site.find()


@pytest.mark.parametrize(
    "address", ["http://other.example/x", "/relative", "ftp://x/", "https:///"]
)
def test_the_challenge_must_name_an_https_url(address: str) -> None:
    with pytest.raises(ResourceMetadataError, match="resource_metadata in the challenge"):
        Site(f'Bearer resource_metadata="{address}"').find()


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, "it answers without a token, so it needs no login"), (401, "does not say where")],
)
def test_a_resource_without_metadata_is_an_error(status: int, reason: str) -> None:
    site = Site(status=status, pages={f"{KNOWN}/mcp": (404, b"")})
    with pytest.raises(ResourceMetadataError, match=reason) as caught:
        site.find()
    assert caught.value.document.endswith("/mcp")
    assert caught.value.missing
    assert f"{KNOWN}/mcp returned status 404; " in str(caught.value)
    assert str(caught.value).endswith(f"it is often {caught.value.document.removesuffix('/mcp')}.")


def test_a_page_for_every_url_is_not_metadata() -> None:
    pages = dict.fromkeys((f"{KNOWN}/mcp", KNOWN), (200, b"<html>Log in</html>"))
    with pytest.raises(ResourceMetadataError, match="has no metadata") as caught:
        Site(pages=pages, headers={"Content-Type": "text/html"}).find()
    assert f"{KNOWN} returned status 200 without JSON" in str(caught.value)


def test_a_web_page_does_not_show_that_no_login_is_needed() -> None:
    site = Site(
        status=200, pages={f"{KNOWN}/mcp": (404, b"")}, headers={"Content-Type": "text/html"}
    )
    with pytest.raises(ResourceMetadataError, match="does not say where its tokens come from"):
        site.find()


def test_a_redirect_to_a_login_page_is_described_as_such() -> None:
    login = (302, "/login?next=/mcp")
    site = Site(status=302, pages={f"{KNOWN}/mcp": login, KNOWN: login})
    with pytest.raises(ResourceMetadataError, match="has no metadata") as caught:
        site.find()
    assert "perhaps to a login page" in str(caught.value)
    assert "another host" not in str(caught.value)


def test_a_misspelt_url_names_the_one_of_the_metadata() -> None:
    document = {"resource": "https://api.example/mcp", "authorization_servers": [ISSUER]}
    site = Site(pages={f"{KNOWN}/mpc": (200, document)})
    with pytest.raises(ResourceMetadataError) as caught:
        site.find("/mpc")
    assert "is the metadata of 'https://api.example/mcp', and not of http://" in str(caught.value)
    assert str(caught.value).endswith("If you mean that resource, use its URL.")


@pytest.mark.parametrize("methods", [None, [], ["plain"], "S256"])
def test_an_authorization_server_without_pkce_is_rejected(methods: Any) -> None:
    made = {"code_challenge_methods_supported": methods}
    site = Site(pages={ISSUER: (200, lambda url: Site.issuer(url, **made))})
    with pytest.raises(ResourceMetadataError, match="must list S256") as caught:
        site.find()
    assert caught.value.document.startswith("http://127.0.0.1")


def test_an_authorization_server_without_codes_needs_no_pkce() -> None:
    made = {"code_challenge_methods_supported": None, "authorization_endpoint": None}
    found, url = Site(pages={ISSUER: (200, lambda url: Site.issuer(url, **made))}).find()
    assert found.issuer == url


def test_the_caller_corrects_the_slash_of_an_issuer() -> None:
    """Google's resources list ``https://accounts.google.com/``, but that is not the issuer."""
    site = Site()
    with FaultServer(site.act()) as server:
        site.metadata["authorization_servers"] = [f"{server.url}/"]
        with pytest.raises(ResponseInvalidError, match=f"Pass '{server.url}' as issuer"):
            Provider.for_resource(f"{server.url}/mcp", timeout=PATIENCE)
        found = Provider.for_resource(f"{server.url}/mcp", issuer=server.url, timeout=PATIENCE)
        assert found.issuer == server.url


@pytest.mark.parametrize("listed", [None, []])
def test_an_issuer_can_be_given_if_the_resource_lists_none(listed: Any) -> None:
    site = Site(authorization_servers=listed)
    with FaultServer(site.act()) as server:
        with pytest.raises(ResourceMetadataError, match="pass it as issuer"):
            Provider.for_resource(f"{server.url}/mcp", timeout=PATIENCE)
        found = Provider.for_resource(f"{server.url}/mcp", issuer=server.url, timeout=PATIENCE)
        assert (found.issuer, found.resource) == (server.url, f"{server.url}/mcp")


def test_issuers_that_differ_in_a_slash_are_different() -> None:
    site = Site(pages={ISSUER: (200, lambda url: Site.issuer(f"{url}/"))})
    with pytest.raises(ResponseInvalidError, match="names the issuer"):
        site.find()


def test_the_caller_chooses_among_authorization_servers() -> None:
    both = Site(
        pages={
            f"{KNOWN}/mcp": (
                200,
                lambda url: {
                    "resource": f"{url}/mcp",
                    "authorization_servers": ["https://first.example", url],
                },
            )
        }
    )
    with FaultServer(both.act()) as server:
        found = Provider.for_resource(f"{server.url}/mcp", issuer=server.url)
        assert found.issuer == server.url
        with pytest.raises(ResourceMetadataError, match=r"lists 'https://first\.example', 'http"):
            Provider.for_resource(f"{server.url}/mcp", issuer=f"{server.url}/other")


def test_a_plain_http_resource_on_another_machine_is_rejected() -> None:
    with pytest.raises(InsecureEndpointError, match="url"):
        Provider.for_resource("http://mcp.example.com/mcp")


def test_documents_are_not_read_from_private_networks() -> None:
    with FaultServer(Site().act()) as server:
        transport = document_transport("https://192.0.2.1/mcp")  # not reachable, but not private
        found = document_transport(server.url)
        try:
            assert Provider.for_resource(f"{server.url}/mcp", transport=found).resource
            with pytest.raises(ConnectionFailedError, match="not on the public internet"):
                Provider.for_resource(
                    f"{server.url}/mcp", transport=HttpTransport(public_only=True), timeout=PATIENCE
                )
        finally:
            transport.close()
            found.close()


def test_logins_and_tokens_are_for_the_resource() -> None:
    sent: list[bytes] = []

    def act(stage: Stage) -> bool:
        request = stage.read_request()
        if request is None:
            return False
        sent.append(request.body)
        body = {"access_token": "t", "token_type": "Bearer"}
        stage.send(faults.message(200, json.dumps(body).encode()))
        return True

    with FaultServer(act) as server:
        provider = Provider(
            token_endpoint=f"{server.url}/token",
            authorization_endpoint=f"{server.url}/authorize",
            device_authorization_endpoint=f"{server.url}/device",
            resource="https://api.example.com/",
            scope=("read",),
        )
        with Client(provider, client_id="app") as client:
            url = AuthorizationCodeFlow(client).begin("http://127.0.0.1/callback").url
            assert "resource=https%3A%2F%2Fapi.example.com%2F" in url
            assert "scope=read" in url
            other = AuthorizationCodeFlow(client, resource="https://b.example/", scope=["write"])
            url = other.begin("http://127.0.0.1/callback").url
            assert "b.example" in url
            assert "api.example.com" not in url
            assert "scope=write" in url
            assert DeviceFlow(client)
            client.create_token(grant_type="client_credentials")
            client.create_token(grant_type="refresh_token", refresh_token="r")
            client.create_token(grant_type="client_credentials", resource=["https://b.example/"])
            client.create_token(
                grant_type="refresh_token",
                refresh_token="r",
                extra={"resource": "https://b.example/"},
            )
    named = [b"api.example.com" in body for body in sent]
    assert named == [True, True, False, False]
    assert all(body.count(b"resource=") == 1 for body in sent)


def test_tokens_of_different_resources_are_stored_separately() -> None:
    def key(resource: str | None) -> str:
        provider = Provider(token_endpoint="https://example.com/token", resource=resource)
        with Client(provider, client_id="app") as client:
            return client.credential(grant_type="client_credentials").key

    assert len({key(None), key("https://a.example/"), key("https://b.example/")}) == 3


ORIGINS = st.sampled_from(["https://a.example", "https://b.example", "http://a.example"])
PATHS = st.lists(st.sampled_from(["", "a", "ab", "b", "%61"]), max_size=3).map(
    lambda each: "".join(f"/{part}" for part in each)
)


@given(origin=ORIGINS, other=ORIGINS, path=PATHS, rest=PATHS)
def test_a_resource_covers_only_urls_below_it(
    origin: str, other: str, path: str, rest: str
) -> None:
    assert covers(f"{origin}{path}", f"{origin}{path}{rest}")
    if origin != other:
        assert not covers(f"{other}{path}", f"{origin}{path}")
    assert not covers(f"{origin}{path}/x", f"{origin}{path}")
    assert not covers(f"{origin}{path}/x", f"{origin}{path}/xy")


@pytest.mark.parametrize(
    ("resource", "url", "result"),
    [
        ("https://A.example:443/mcp/", "https://a.example/mcp", True),
        ("https://a.example:8443", "https://a.example", False),
        ("https://user@a.example", "https://a.example", False),
        ("https://a.example#x", "https://a.example", False),
        ("https://a.example?t=1", "https://a.example?t=1", True),
        ("https://a.example?t=1", "https://a.example?t=2", False),
        ("https://a.example", "https://a.example/mcp?t=2", True),
        ("https://[::1", "https://a.example", False),
        ("https://bücher.example", "https://xn--bcher-kva.example/mcp", True),
        ("https://a.example.", "https://a.example", False),
        ("https://a.example:0", "https://a.example", False),
        # urlsplit ignores these characters.
        ("\x1b https://a.example", "https://a.example", False),
        ("https://a.example/m\ncp", "https://a.example/mcp", False),
        ("", "https://a.example", False),
    ],
)
def test_spellings_of_a_resource(resource: str, url: str, result: bool) -> None:
    assert covers(resource, url) is result


NO_METADATA = {f"{KNOWN}/mcp": (404, b""), KNOWN: (404, b"")}


@pytest.mark.parametrize("status", [401, 405], ids=["challenge", "only POST"])
def test_an_issuer_can_be_given_for_a_resource_without_metadata(status: int) -> None:
    """Servers of MCP 2025-03-26 have no metadata."""
    site = Site('Bearer scope="read"', status, pages=NO_METADATA)
    with FaultServer(site.act()) as server:
        found = Provider.for_resource(f"{server.url}/mcp", issuer=server.url, timeout=PATIENCE)
        assert (found.issuer, found.resource) == (server.url, f"{server.url}/mcp")
        assert found.scope == (("read",) if status == 401 else ())


@pytest.mark.parametrize(
    ("status", "page"), [(200, 404), (401, 503), (401, 429)], ids=["public", "busy", "limited"]
)
def test_a_given_issuer_replaces_no_metadata_that_may_exist(status: int, page: int) -> None:
    pages = dict.fromkeys(NO_METADATA, (page, b""))
    site = Site("Bearer", status, pages)
    with (
        FaultServer(site.act()) as server,
        pytest.raises(ResourceMetadataError, match="has no metadata") as caught,
    ):
        Provider.for_resource(f"{server.url}/mcp", issuer=server.url, timeout=PATIENCE)
    assert "pass it as issuer" not in str(caught.value)
