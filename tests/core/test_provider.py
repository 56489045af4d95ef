"""Provider endpoints, and discovery of their metadata."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, strategies as st

from grantway import (
    Client,
    ConfigurationError,
    ConnectionFailedError,
    InsecureEndpointError,
    Provider,
    ProviderUnavailableError,
    ResponseInvalidError,
    TransportError,
    UnknownGrantTypeError,
)
from grantway._exceptions import GrantwayError
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from grantway._wire.dialect import Dialect
from tests import faults
from tests.faults import Act, FaultServer, Stage
from tests.waiting import PATIENCE

OAUTH = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"


def document(issuer: str, **more: Any) -> dict[str, Any]:
    return {"issuer": issuer, "token_endpoint": f"{issuer}/token", **more}


def site(pages: Any) -> Act:
    """Return a site of pages by path; ``pages`` is called with the URL of the site."""

    def act(stage: Stage) -> bool:
        request = stage.read_request()
        if request is None:
            return False
        status, body = pages(stage.server.url).get(request.target, (404, b"not here"))
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        location = body if isinstance(body, str) else "/login"
        headers = {"Location": location} if 300 <= status < 400 else {}
        stage.send(faults.message(status, content, headers))
        return True

    return act


def discover(pages: Any, path: str = "") -> tuple[Provider, list[str]]:
    with FaultServer(site(pages)) as server:
        provider = Provider.discover(f"{server.url}{path}", timeout=PATIENCE)
    return provider, [request.target for request in server.requests]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/token",
        "https://example.com:8443/token?tenant=1",
        "https://[2001:db8::1]/token",
        "http://127.0.0.1:8080/token",
        "http://127.8.8.8/token",
        "http://[::1]:8080/token",
        "http://localhost/token",
    ],
)
def test_accepts_https_and_http_on_this_machine(url: str) -> None:
    assert Provider(token_endpoint=url).token_endpoint == url


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/token",
        "http://10.0.0.1/token",
        "http://0.0.0.0/token",
        "http://localhost.example.com/token",
        "http://app.localhost/token",
        "http://127.0.0.1.example.com/token",
        "http://[2001:db8::1]/token",
        "HTTP://EXAMPLE.COM/token",
    ],
)
def test_rejects_plain_http_to_another_machine(url: str) -> None:
    with pytest.raises(InsecureEndpointError, match="use https"):
        Provider(token_endpoint=url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/token",
        "/token",
        "//example.com/token",
        "ftp://example.com/token",
        "file:///etc/passwd",
        "https://",
        "https:///token",
        "https://example.com:port/",
        "https://example.com:99999/",
        "https://[::1/token",
        "https://user@example.com/token",
        "https://user:password@example.com/token",
        "https://@example.com/token",
        "https://example.com/token#part",
        "https://exam ple.com/token",
        "https://example.com/to\nken",
        "https://example.com/to\x00ken",
        "https://example.com\\@evil.example/",
        None,
        17,
        b"https://example.com/token",
    ],
)
def test_names_an_endpoint_with_an_invalid_url(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="token_endpoint") as caught:
        Provider(token_endpoint=url)
    assert "password" not in str(caught.value).replace("user name, password", "")


def test_each_endpoint_is_checked() -> None:
    with pytest.raises(InsecureEndpointError, match="revocation_endpoint"):
        Provider(token_endpoint="https://example.com/t", revocation_endpoint="http://example.com/r")


def test_names_a_missing_endpoint() -> None:
    provider = Provider(token_endpoint="https://example.com/t")
    with pytest.raises(ConfigurationError, match="device_authorization_endpoint"):
        provider.endpoint("device_authorization")


def test_checks_an_endpoint_in_the_metadata_when_it_is_used() -> None:
    provider = Provider(
        token_endpoint="https://example.com/t",
        metadata={
            "introspection_endpoint": "https://example.com/i",
            "pushed_authorization_request_endpoint": "http://example.com/par",
        },
    )
    assert provider.endpoint("introspection") == "https://example.com/i"
    with pytest.raises(InsecureEndpointError):
        provider.endpoint("pushed_authorization_request")


def test_an_unknown_dialect_lists_the_registered_ones() -> None:
    provider = Provider(token_endpoint="https://example.com/t", dialect="rfc6479")
    with pytest.raises(ConfigurationError, match="rfc6749"):
        Client(provider, client_id="c")


def test_discovery_reads_the_metadata_of_rfc_8414() -> None:
    provider, asked = discover(
        lambda url: {
            OAUTH: (200, document(url, revocation_endpoint=f"{url}/r", acr_values_supported=["1"]))
        }
    )
    assert asked == [OAUTH]
    assert provider.token_endpoint == f"{provider.issuer}/token"
    assert provider.revocation_endpoint == f"{provider.issuer}/r"
    assert dict(provider.metadata) == {"acr_values_supported": ["1"]}


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 500])
def test_discovery_falls_back_to_openid_connect(status: int) -> None:
    provider, asked = discover(
        lambda url: {OAUTH: (status, b"<html>"), OPENID: (200, document(url))}
    )
    assert asked == [OAUTH, OPENID]
    assert provider.issuer is not None


def test_discovery_places_the_issuers_path_correctly() -> None:
    for wanted in (f"{OAUTH}/tenant/1", f"/tenant/1{OPENID}"):
        provider, asked = discover(
            lambda url, wanted=wanted: {wanted: (200, document(f"{url}/tenant/1"))}, "/tenant/1"
        )
        assert asked[-1] == wanted
        assert str(provider.issuer).endswith("/tenant/1")


def test_discovery_of_an_issuer_with_a_path_tries_three_urls_in_order() -> None:
    third = f"/tenant/1{OPENID}"
    provider, asked = discover(lambda url: {third: (200, document(f"{url}/tenant/1"))}, "/tenant/1")
    assert asked == [f"{OAUTH}/tenant/1", f"{OPENID}/tenant/1", third]
    assert str(provider.issuer).endswith("/tenant/1")


def test_discovery_follows_redirects_to_another_well_known_url() -> None:
    """Some sites add a slash to each path."""
    provider, asked = discover(
        lambda url: {
            OAUTH: (308, f"{OAUTH}/"),
            f"{OAUTH}/": (200, document(url)),
        }
    )
    assert asked == [OAUTH, f"{OAUTH}/"]
    assert provider.issuer is not None


@pytest.mark.parametrize("target", ["https://other.example" + OAUTH, "/login", OAUTH])
def test_discovery_follows_no_other_redirects(target: str) -> None:
    with pytest.raises(ResponseInvalidError, match="returned 308, a redirect"):
        discover(lambda url: {OAUTH: (308, target)})


def test_metadata_may_contain_empty_endpoints() -> None:
    provider, _ = discover(lambda url: {OAUTH: (200, document(url, revocation_endpoint=""))})
    assert provider.revocation_endpoint is None


def test_invalid_endpoints_of_metadata_are_errors_of_the_provider() -> None:
    with pytest.raises(ResponseInvalidError, match=r"The metadata of http.* is invalid: token_end"):
        discover(lambda url: {OAUTH: (200, document(url, token_endpoint="/token"))})


@pytest.mark.parametrize(
    "response",
    [(404, b""), (200, b"<html>"), (403, b""), (302, b""), (301, b""), (400, {"error": "x"})],
)
def test_discovery_tries_the_next_url_without_metadata(response: tuple[int, Any]) -> None:
    _, asked = discover(
        lambda url: {
            f"{OAUTH}/a": response,
            f"{OPENID}/a": response,
            f"/a{OPENID}": (200, document(f"{url}/a")),
        },
        "/a",
    )
    assert len(asked) == 3


def test_the_error_lists_the_response_of_each_url() -> None:
    pages = {f"{OAUTH}/a": (403, b""), f"{OPENID}/a": (200, b"<html>"), f"/a{OPENID}": (302, b"")}
    with pytest.raises(ResponseInvalidError) as caught:
        discover(lambda _url: pages, "/a")
    message = str(caught.value)
    assert f"{OAUTH}/a returned 403; " in message
    assert f"{OPENID}/a returned 200, but not a JSON object; " in message
    assert f"/a{OPENID} returned 302, a redirect" in message


TRANSIENT = {
    "closed": faults.close_after_request,
    "reset": faults.reset_after_request,
    "half": faults.half(),
    "503": faults.respond(503, b""),
    "503, Retry-After": faults.respond(503, b"", {"Retry-After": "1"}),
    "429": faults.respond(429, b""),
    "408": faults.respond(408, b""),
    "500": faults.respond(500, b"<html>"),
    "throttled": faults.respond(400, b"", {"X-Amzn-ErrorType": "ThrottlingException"}),
}


@pytest.mark.parametrize("act", TRANSIENT.values(), ids=TRANSIENT)
def test_discovery_retries_transient_failures(act: Act) -> None:
    found = site(lambda url: {OAUTH: (200, document(url))})
    with FaultServer(act, act, found) as server:
        assert Provider.discover(server.url, timeout=PATIENCE).issuer == server.url


def test_a_busy_provider_raises_with_its_retry_after() -> None:
    with (
        FaultServer(faults.respond(503, b"", {"Retry-After": "3600"})) as server,
        pytest.raises(ProviderUnavailableError, match=r"returned 503.*in 3600 s") as caught,
    ):
        Provider.discover(server.url, timeout=PATIENCE)
    assert caught.value.retry_after == 3600
    assert len(server.requests) == 2


def test_discovery_without_a_response_ends_at_the_deadline() -> None:
    began = time.monotonic()
    with FaultServer(faults.stall) as server, pytest.raises(TransportError):
        Provider.discover(server.url, timeout=0.3)
    assert time.monotonic() - began < PATIENCE


def test_accepts_metadata_of_an_expected_issuer() -> None:
    entra = "https://login.microsoftonline.com/{tenantid}/v2.0"

    def pages(url: str) -> Any:
        return {f"/common{OPENID}": (200, {**document(url), "issuer": entra})}

    with FaultServer(site(pages)) as server:
        url = f"{server.url}/common"
        with pytest.raises(ResponseInvalidError) as caught:
            Provider.discover(url, timeout=PATIENCE)
        assert f"accepts expected_issuer='{entra}'" in str(caught.value)
        provider = Provider.discover(url, expected_issuer=entra, timeout=PATIENCE)
        with pytest.raises(ResponseInvalidError, match="names the issuer"):
            Provider.discover(url, expected_issuer="https://evil.example", timeout=PATIENCE)
    # The issuer is a template, so a redirect's ``iss`` cannot be compared with it.
    assert provider.issuer is None
    assert provider.token_endpoint == f"{server.url}/token"


def test_an_expected_issuer_becomes_the_issuer_of_the_provider() -> None:
    own = "https://glewlwyd.example/"
    with FaultServer(site(lambda url: {OAUTH: (200, {**document(url), "issuer": own})})) as server:
        assert Provider.discover(server.url, expected_issuer=own).issuer == own
        with pytest.raises(ConfigurationError, match="expected_issuer"):
            Provider.discover(server.url, expected_issuer="")


def test_rejects_metadata_of_another_issuer() -> None:
    for said in ("https://evil.example", None, 7, ["x"]):
        with pytest.raises(ResponseInvalidError, match=r"names (the|no) issuer") as caught:
            discover(lambda url, said=said: {OAUTH: (200, {**document(url), "issuer": said})})
        assert "None" not in str(caught.value)


def test_a_trailing_slash_makes_another_issuer() -> None:
    with pytest.raises(ResponseInvalidError, match="also in the slash at the end") as caught:
        discover(lambda url: {OAUTH: (200, document(url))}, "/")
    named = str(caught.value).rpartition(" Pass '")[2].partition("'")[0]
    assert urlsplit(named).path == ""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>log in</html>",
        b"[]",
        b"null",
        b'"x"',
        b'{"issuer": "http',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_invalid_metadata_raises_one_error(body: bytes) -> None:
    with pytest.raises(ResponseInvalidError) as caught:
        discover(lambda _url: {OAUTH: (200, body), OPENID: (200, body)})
    assert caught.value.evidence.step == "discovery"
    assert caught.value.evidence.status == 200


def test_reads_metadata_with_a_byte_order_mark() -> None:
    provider, _ = discover(
        lambda url: {OAUTH: (200, b"\xef\xbb\xbf" + json.dumps(document(url)).encode())}
    )
    assert provider.token_endpoint


@pytest.mark.parametrize("endpoint", [None, 7, "", "http://example.com/token", "/token"])
def test_rejects_metadata_without_a_valid_token_endpoint(endpoint: Any) -> None:
    with pytest.raises(GrantwayError, match="token_endpoint"):
        discover(lambda url: {OAUTH: (200, {**document(url), "token_endpoint": endpoint})})


@pytest.mark.parametrize(
    "issuer", ["http://example.com", "example.com", "https://example.com?x=1", "https://u@e.com"]
)
def test_sends_nothing_to_an_invalid_issuer(issuer: str) -> None:
    with pytest.raises(ConfigurationError, match="issuer"):
        Provider.discover(issuer)


def test_an_unreachable_issuer_raises_a_connection_error() -> None:
    with pytest.raises(ConnectionFailedError):
        Provider.discover(f"http://127.0.0.1:{faults.free_port()}", timeout=PATIENCE)


def test_a_lost_metadata_response_is_reported_as_such() -> None:
    with (
        FaultServer(faults.close_after_request) as server,
        pytest.raises(ConnectionFailedError, match=r"Trying again is safe") as caught,
    ):
        Provider.discover(server.url, timeout=PATIENCE)
    assert "Nothing was sent" not in str(caught.value)


def test_discovery_keeps_the_dialect() -> None:
    own = Dialect(name="own")
    with FaultServer(site(lambda url: {OAUTH: (200, document(url))})) as server:
        assert Provider.discover(server.url, dialect=own).dialect is own


def test_rejects_a_client_without_a_provider() -> None:
    with pytest.raises(ConfigurationError, match="provider"):
        Client("https://example.com", client_id="c")  # type: ignore[arg-type]
    assert issubclass(UnknownGrantTypeError, ValueError)


@dataclass
class Page:
    """A transport that returns one response for every URL."""

    status: int
    body: bytes

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        return HttpResponse(self.status, {}, self.body)

    def close(self) -> None:
        """There is nothing to close."""


@pytest.mark.parametrize(
    "more",
    [
        {"token_endpoint": "http://localhost/token"},
        {"token_endpoint": "http://127.0.0.1:8080/token"},
        {"token_endpoint": "http://[::1]/token"},
        {"token_endpoint": "HTTP://localhost/token"},
        {"authorization_endpoint": "http://localhost/authorize"},
        {"device_authorization_endpoint": "http://example.com/device"},
        {"introspection_endpoint": "http://localhost/introspect"},
        {"jwks_uri": "http://localhost/keys"},
        {"mtls_endpoint_aliases": {"token_endpoint": "http://localhost/token"}},
    ],
)
def test_rejects_plain_http_endpoints_of_an_https_issuer(more: dict[str, Any]) -> None:
    page = Page(200, json.dumps(document(ISSUER, **more)).encode())
    with pytest.raises(InsecureEndpointError, match=r"the metadata of https://example\.com names"):
        Provider.discover(ISSUER, transport=page)


def test_accepts_other_plain_http_urls_of_an_https_issuer() -> None:
    more = {"service_documentation": "http://example.com/docs", "op_policy_uri": "http://x.com"}
    page = Page(200, json.dumps(document(ISSUER, **more)).encode())
    assert Provider.discover(ISSUER, transport=page).metadata["op_policy_uri"] == "http://x.com"


ISSUER = "https://example.com"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just(ISSUER),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
MEMBERS = ["token_endpoint", "authorization_endpoint", "mtls_endpoint_aliases", "x"]


@given(
    st.integers(100, 599),
    st.binary()
    | st.dictionaries(st.sampled_from(MEMBERS), VALUES).map(
        lambda found: json.dumps({"issuer": ISSUER, **found}).encode()
    ),
)
def test_any_metadata_gives_a_provider_or_a_grantway_error(status: int, body: bytes) -> None:
    try:
        provider = Provider.discover(ISSUER, transport=Page(status, body))
    except GrantwayError:
        return
    assert provider.issuer == ISSUER
    assert isinstance(provider.token_endpoint, str)
