"""HTTP requests: methods, bodies, headers, and malformed bytes."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_from_bytes, urlsplit

import pytest
import requests
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.plugins.issuer.conftest import Caller

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
POSTS = (
    "/token",
    "/device_authorization",
    "/introspect",
    "/revoke",
    "/client/register",
    "/register",
)


def post(caller: Caller, path: str, body: bytes, content_type: str) -> requests.Response:
    return caller.http.post(caller.url + path, data=body, headers={"content-type": content_type})


@pytest.mark.parametrize("path", POSTS)
def test_allows_only_post(caller: Caller, path: str) -> None:
    response = caller.http.get(caller.url + path)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["error"] == "invalid_request"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["//", "/token/", "/nothing"])
def test_an_unknown_path_gets_404(caller: Caller, path: str) -> None:
    response = caller.http.get(caller.url + path)
    assert (response.status_code, response.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("path", [*POSTS, "/health", "/device"])
@pytest.mark.parametrize(
    "twice",
    [
        ["Basic YTpi", "Basic YTpi"],
        ["Bearer x", "Basic YTpi"],
        ["Basic YTpi", ""],
        ["Bearer x, Basic YTpi"],
    ],
)
@pytest.mark.parametrize("content_type", [FORM, JSON])
def test_rejects_a_second_authorization_header(
    caller: Caller, path: str, twice: list[str], content_type: str
) -> None:
    connection = http.client.HTTPConnection(urlsplit(caller.url).netloc, timeout=30)
    connection.putrequest("POST" if path in POSTS else "GET", path)
    for each in twice:
        connection.putheader("Authorization", each)
    connection.putheader("Content-Type", content_type)
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["error"]) == (400, "invalid_request")
    if content_type == JSON:
        assert response.headers["x-amzn-errortype"] == "InvalidRequestException"
    connection.close()


@pytest.mark.parametrize("shape", ["{0}&", "{0}&&", "&{0}", "&&{0}&&"])
def test_a_form_may_have_empty_fields(rfc: Caller, shape: str) -> None:
    body = shape.format("scope=a&&client_id=x").encode()
    response = rfc.http.post(
        f"{rfc.url}/device_authorization",
        data=body.replace(b"client_id=x", b""),
        headers={"content-type": FORM},
        auth=(rfc.id, rfc.secret),
    )
    assert response.status_code == 200, response.text


def test_a_form_with_only_empty_fields_has_no_parameters(caller: Caller) -> None:
    response = post(caller, "/token", b"&", FORM)
    assert response.json()["error_description"] == "grant_type is required"


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "", "json"])
def test_rejects_another_content_type(caller: Caller, path: str, content_type: str) -> None:
    response = post(caller, path, b"x=1", content_type)
    assert (response.status_code, response.json()["error"]) == (415, "invalid_request")


@pytest.mark.parametrize("content_type", [FORM, JSON])
@pytest.mark.parametrize("size", [65_537, 500_000, 3_000_000])
def test_rejects_a_body_that_is_too_large(caller: Caller, content_type: str, size: int) -> None:
    response = post(caller, "/token", b"a" * size, content_type)
    assert (response.status_code, response.json()["error"]) == (413, "invalid_request")
    assert ("x-amzn-errortype" in response.headers) is (content_type == JSON)


def test_accepts_a_body_of_the_maximum_size_in_chunks(caller: Caller) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"grant_type=refresh_token&x="
        yield b"a" * 60_000

    response = caller.http.post(
        f"{caller.url}/token", data=pieces(), headers={"content-type": FORM}
    )
    assert response.json()["error"] == "invalid_request"
    assert "refresh_token" in response.json()["error_description"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"grant_type=a&grant_type=b", FORM),
        (b"grant_type=a&x=1&x=", FORM),
        (b'{"grantType": "a", "grantType": "b"}', JSON),
        (b'{"grantType": "a", "x": 1, "x": null}', JSON),
        (b'{"grantType": "a", "grant_type": "a"}', JSON),
        (b"grant_type=%ff", FORM),
        (b"\xff", FORM),
        (b"{", JSON),
        (b"[]", JSON),
        (b"", JSON),
        (b"[" * 60_000, JSON),
        (b'{"grantType": NaN}', JSON),
        (b'{"grantType": "refresh_token", "refreshToken": "x", "other": 1e999}', JSON),
        (b'{"grantType": ' + b"9" * 5000 + b"}", JSON),
        (b'{"grantType": "refresh_token"}', JSON),
        (b'{"grantType": 7}', JSON),
        (b'{"grantType": "refresh_token", "refreshToken": {"a": 1}}', JSON),
        (b'{"grantType": "refresh_token", "refreshToken": "x", "clientId": []}', JSON),
        (b"grant_type=refresh_token", FORM),
        (b"grant_type=refresh_token&refresh_token=", FORM),
        (b"", FORM),
    ],
)
def test_bad_input_is_invalid_request(caller: Caller, body: bytes, content_type: str) -> None:
    response = post(caller, "/token", body, content_type)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert response.headers["cache-control"] == "no-store"
    if content_type == JSON:
        assert response.headers["x-amzn-errortype"] == "InvalidRequestException"
        assert response.headers["x-amzn-requestid"]
        assert response.json()["message"] == response.json()["error_description"]


def test_reports_all_invalid_parameters_at_once(aws: Caller) -> None:
    response = aws.as_aws("/token", grantType="authorization_code", codeVerifier="short")
    assert "code is required" in response.json()["message"]
    assert "codeVerifier" in response.json()["message"]
    assert "short" not in response.json()["message"].replace("codeVerifier", "")


def test_unknown_parameters_are_ignored(rfc: Caller) -> None:
    token = rfc.login()["refresh_token"]
    assert rfc.refresh(token, audience="x", code="").status_code == 200


def test_responses_with_tokens_must_not_be_cached(rfc: Caller) -> None:
    response = rfc.refresh(rfc.login()["refresh_token"])
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == JSON


def test_metadata_lists_the_endpoints(caller: Caller) -> None:
    for path in ("oauth-authorization-server", "openid-configuration"):
        found = caller.http.get(f"{caller.url}/.well-known/{path}").json()
        assert found["issuer"] == caller.url
        assert found["code_challenge_methods_supported"] == ["S256"]
        assert found["authorization_response_iss_parameter_supported"] is True
        for name, url in found.items():
            if name.endswith("_endpoint"):
                assert caller.http.get(url).status_code != 404
        assert len(caller.http.get(found["jwks_uri"]).json()["keys"]) == 2


def test_health_check_succeeds(caller: Caller) -> None:
    assert caller.http.get(f"{caller.url}/health").json() == {"status": "ok"}


def test_a_connection_serves_many_requests_without_delay(caller: Caller) -> None:
    """With Nagle's algorithm, each of these requests would take at least 40 ms."""
    connection = http.client.HTTPConnection(urlsplit(caller.url).netloc)
    connection.connect()
    before = connection.sock.getsockname()
    for _ in range(50):
        connection.request("POST", "/token", b"{}", {"content-type": JSON})
        assert connection.getresponse().read()
    assert connection.sock.getsockname() == before
    connection.close()


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=50),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = st.sampled_from(
    [
        "clientId",
        "clientSecret",
        "grantType",
        "refreshToken",
        "deviceCode",
        "code",
        "codeVerifier",
        "redirectUri",
        "scope",
        "startUrl",
        "clientName",
        "clientType",
        "scopes",
        "redirectUris",
        "grantTypes",
        "redirect_uris",
        "token",
    ]
) | st.text(max_size=8)
#: Valid values, so that some requests pass validation.
KNOWN = st.fixed_dictionaries(
    {},
    optional={
        "grantType": st.sampled_from(["refresh_token", "authorization_code", "x"]),
        "clientName": st.just("x"),
        "clientType": st.just("public"),
        "clientId": st.just("x"),
        "refreshToken": st.just("x"),
    },
)
FUZZ = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def judged(response: requests.Response) -> None:
    assert response.status_code in range(200, 500), response.status_code
    assert isinstance(response.json(), dict)
    assert response.status_code < 300 or response.json()["error"]


@FUZZ
@given(path=st.sampled_from(POSTS), content_type=st.sampled_from([FORM, JSON]), body=st.binary())
def test_any_bytes_get_a_json_response(
    caller: Caller, path: str, content_type: str, body: bytes
) -> None:
    judged(post(caller, path, body, content_type))


@FUZZ
@given(path=st.sampled_from(POSTS), known=KNOWN, extra=st.dictionaries(NAMES, VALUES, max_size=5))
def test_any_json_object_gets_a_json_response(
    caller: Caller, path: str, known: dict[str, Any], extra: dict[str, Any]
) -> None:
    judged(post(caller, path, json.dumps({**known, **extra}).encode(), JSON))


@FUZZ
@given(
    path=st.sampled_from(POSTS),
    fields=st.dictionaries(
        st.sampled_from(["client_id", "client_secret", "grant_type", "token", "refresh_token"])
        | st.text(st.characters(codec="utf-8"), max_size=8),
        st.sampled_from(["refresh_token", "x"])
        | st.text(st.characters(codec="utf-8"), max_size=30),
        max_size=5,
    ),
    basic=st.none() | st.binary(max_size=30),
)
def test_any_form_gets_a_json_response(
    caller: Caller, path: str, fields: dict[str, str], basic: bytes | None
) -> None:
    headers = {"content-type": FORM}
    if basic is not None:
        headers["authorization"] = f"Basic {base64.b64encode(basic).decode()}"
    judged(caller.http.post(caller.url + path, data=fields, headers=headers))


@FUZZ
@given(query=st.binary(max_size=60))
def test_any_query_gets_a_page(caller: Caller, query: bytes) -> None:
    for path in ("/authorize", "/device"):
        response = caller.http.get(f"{caller.url}{path}?user_code={quote_from_bytes(query)}")
        assert response.status_code in range(200, 500)


@pytest.mark.parametrize("member", ["clientId", "clientSecret", "refreshToken"])
def test_rejects_a_lone_surrogate(aws: Caller, member: str) -> None:
    members = {"clientId": aws.id, "clientSecret": aws.secret, "refreshToken": "x"}
    response = aws.aws("/token", **{"grantType": "refresh_token", **members, member: "\ud800"})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
