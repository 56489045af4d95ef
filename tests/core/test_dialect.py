"""Encode requests and decode responses with the RFC and AWS dialects."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, strategies as st

from grantway._exceptions import TOKEN_ERRORS, RequestInvalidError
from grantway._transport.http import HttpResponse
from grantway._wire.dialect import RFC6749, Dialect
from grantway._wire.provider_response import ProviderResponse
from grantway_plugins.aws._dialect import AWS_SSO_OIDC, REQUEST_NAMES, RESPONSE_NAMES

BOTH = pytest.mark.parametrize("dialect", [RFC6749, AWS_SSO_OIDC], ids=lambda each: each.name)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
NAMES = st.text(
    st.characters(codec="ascii", exclude_characters=' "\\', min_codepoint=33), min_size=1
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ("access_token", "token_type", "expires_in", "refresh_token", "id_token", "scope", "error")


def response(body: Any, status: int = 200, **headers: str) -> HttpResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status, {k.replace("_", "-"): v for k, v in headers.items()}, raw)


# --- Requests -----------------------------------------------------------------------------------


@given(st.dictionaries(TEXTS, TEXTS, max_size=5))
def test_a_form_can_be_decoded(fields: dict[str, str]) -> None:
    fields.pop("scope", None)
    read = parse_qs(RFC6749.encoder.encode(fields).decode("ascii"), strict_parsing=bool(fields))
    assert read == {name: [value] for name, value in fields.items()}


@given(st.dictionaries(st.sampled_from(sorted(REQUEST_NAMES)), TEXTS))
def test_json_uses_the_parameter_names_of_aws(fields: dict[str, str]) -> None:
    read = json.loads(AWS_SSO_OIDC.encoder.encode(fields))
    assert read == {REQUEST_NAMES[name]: value for name, value in fields.items()}


@given(st.lists(NAMES, min_size=1))
def test_a_scope_is_one_field_or_a_list(names: list[str]) -> None:
    assert parse_qs(RFC6749.encoder.encode({"scope": names}).decode())["scope"] == [" ".join(names)]
    assert json.loads(AWS_SSO_OIDC.encoder.encode({"scope": names})) == {"scope": names}
    assert parse_qs(RFC6749.encoder.encode({"scope": " ".join(names)}).decode()) == {
        "scope": [" ".join(names)]
    }


def test_omits_none_and_repeats_lists() -> None:
    assert RFC6749.encoder.encode({"a": None, "resource": ["x", "y"]}) == b"resource=x&resource=y"
    assert (
        AWS_SSO_OIDC.encoder.encode({"code": None, "code_verifier": "v"}) == b'{"codeVerifier":"v"}'
    )


def test_a_form_encodes_objects_as_json() -> None:
    details = [{"type": "payment", "amounts": [1, 2]}]
    fields = {
        "authorization_details": details,
        "claims": {"userinfo": {"email": None}},
        "pairs": [["a", "b"]],
        "native_sso": True,
        "number": 7,
    }
    sent = parse_qs(RFC6749.encoder.encode(fields).decode())
    assert sent.pop("number") == ["7"]
    assert {name: json.loads(value) for name, (value,) in sent.items()} == {
        name: value for name, value in fields.items() if name != "number"
    }
    url = RFC6749.encoder.authorization_url(
        "https://as.example/", {"authorization_details": details}
    )
    assert json.loads(parse_qs(urlsplit(url).query)["authorization_details"][0]) == details


def test_an_authorization_url_keeps_its_query() -> None:
    fields = {"client_id": "c", "scope": ("a", "b"), "state": None}
    url = RFC6749.encoder.authorization_url("https://example.com/a?tenant=1", fields)
    assert parse_qs(urlsplit(url).query) == {"tenant": ["1"], "client_id": ["c"], "scope": ["a b"]}
    assert "scopes=a+b" in AWS_SSO_OIDC.encoder.authorization_url("https://example.com/a", fields)


@BOTH
def test_headers_state_the_content_types(dialect: Dialect) -> None:
    kind = "json" if dialect is AWS_SSO_OIDC else "x-www-form-urlencoded"
    assert dict(dialect.encoder.headers) == {
        "Accept": "application/json",
        "Content-Type": f"application/{kind}",
    }


# --- Responses ----------------------------------------------------------------------------------


def check(dialect: Dialect, raw: HttpResponse) -> None:
    """Check that a response is a payload, an error or a problem, and that a payload is a token."""
    decoded = dialect.decoder.decode(raw)
    if decoded.error is not None:
        assert decoded.error.code
        return
    if decoded.problem is not None:
        assert decoded.body == raw.body
        return
    assert 200 <= raw.status < 300
    try:
        token = dialect.decoder.token(decoded.payload, 1.0)
    except ValueError as problem:
        assert str(problem)  # noqa: PT017 - the error for the caller contains the text
    else:
        assert token.access_token
        assert token.expires_in is None or token.expires_at == 1.0 + token.expires_in


@BOTH
@given(body=st.binary(), status=st.integers(100, 599), kind=st.text(), error=st.text())
def test_decodes_any_bytes(
    dialect: Dialect, body: bytes, status: int, kind: str, error: str
) -> None:
    headers = {"content-type": kind, "x-amzn-errortype": error, "retry-after": kind}
    raw = HttpResponse(status, headers, body)
    check(dialect, raw)
    after = dialect.decoder.decode(raw).retry_after
    assert after is None or after >= 0


@BOTH
@given(
    found=st.dictionaries(st.sampled_from([*FIELDS, *RESPONSE_NAMES.values()]), JSON, max_size=5)
)
def test_decodes_any_json_object(dialect: Dialect, found: dict[str, Any]) -> None:
    check(dialect, response(found))
    check(dialect, response(found, 400))


@given(JSON)
def test_decodes_any_json_document(found: Any) -> None:
    check(RFC6749, response(found))
    check(RFC6749, response(found, content_type="application/x-www-form-urlencoded"))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf \r\n", b"\n\n"])
def test_ignores_a_byte_order_mark_and_whitespace(mark: bytes) -> None:
    decoded = RFC6749.decoder.decode(response(mark + b'{"access_token": "at"}\n'))
    assert RFC6749.decoder.token(decoded.payload, 0).access_token == "at"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(3600, 3600), ("3600", 3600), ("3600.0", 3600), (3599.9, 3599), (0, 0), (None, None),
     ("", None), (True, None), (2**63 - 1, 3_162_240_000), (1e300, 3_162_240_000)],
)  # fmt: skip
def test_reads_a_lifetime_in_any_format(value: Any, seconds: int | None) -> None:
    token = RFC6749.decoder.token({"access_token": "at", "expires_in": value}, 100.0)
    assert token.expires_in == seconds
    assert token.expires_at == (None if seconds is None else 100.0 + seconds)


@pytest.mark.parametrize("value", ["soon", [], {}, "nan", "inf", 10**400, 1e400])
def test_keeps_a_token_with_an_invalid_lifetime(value: Any) -> None:
    # The response may contain the only refresh token that still works, so it must be kept.
    decoded = {"access_token": "at", "expires_in": value, "refresh_token": "rt"}
    token = RFC6749.decoder.token(decoded, 0)
    assert (token.access_token, token.refresh_token) == ("at", "rt")
    assert token.expires_in is None


@pytest.mark.parametrize("value", [-1, "-1", -(10**9)])
def test_a_negative_lifetime_has_expired(value: Any) -> None:
    token = RFC6749.decoder.token({"access_token": "at", "expires_in": value}, 0)
    assert (token.expires_in, token.expired()) == (0, True)


@pytest.mark.parametrize("value", [None, "", 7, [], {"token": "x"}, False])
def test_rejects_an_access_token_that_is_not_a_string(value: Any) -> None:
    with pytest.raises(ValueError, match="access_token"):
        RFC6749.decoder.token({"access_token": value}, 0)


def test_reads_every_member_of_a_token() -> None:
    token = RFC6749.decoder.token(
        {"access_token": "at", "token_type": "DPoP", "scope": "b a", "session_state": "s"}, 0
    )
    assert (token.token_type, token.scope, dict(token.extra)) == (
        "DPoP",
        ("b", "a"),
        {"session_state": "s"},
    )
    assert RFC6749.decoder.token({"access_token": "at"}, 0).scope is None
    assert RFC6749.decoder.token({"access_token": "at"}, 0).token_type == "Bearer"


FORMS: dict[str, Any] = {
    "header": lambda name: response(b"", 400, x_amzn_errortype=name),
    "header with an address": lambda name: response(b"", 400, x_amzn_errortype=f"{name}:http://x/"),
    "header with a namespace": lambda name: response(b"", 400, x_amzn_errortype=f"a.b#{name}"),
    "header with both": lambda name: response({}, 400, x_amzn_errortype=f"a.b#{name}:http://x/#y"),
    "header before the body": lambda name: response(
        {"code": "Other", "error": "other"}, 400, x_amzn_errortype=name
    ),
    "header beside HTML": lambda name: response(b"<html>", 400, x_amzn_errortype=name),
    "code": lambda name: response({"code": name, "error": "other"}, 400),
    "Code": lambda name: response({"Code": name}, 400),
    "__type": lambda name: response({"__type": name, "error": "other"}, 400),
    "__type with a namespace": lambda name: response({"__type": f"com.amazonaws#{name}"}, 400),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", TOKEN_ERRORS[:13], ids=lambda kind: kind.__name__)
def test_reads_errors_of_aws_in_every_format(form: str, kind: Any) -> None:
    decoded = AWS_SSO_OIDC.decoder.decode(FORMS[form](kind.__name__))
    assert decoded.error is not None
    assert decoded.error.code == kind.wire


@BOTH
@pytest.mark.parametrize("kind", TOKEN_ERRORS, ids=lambda kind: kind.wire)
def test_reads_an_error_without_a_description(dialect: Dialect, kind: Any) -> None:
    for status in (200, 400, 500):
        decoded = dialect.decoder.decode(response({"error": kind.wire}, status))
        assert decoded.error is not None
        assert decoded.error.code == kind.wire


def test_a_note_next_to_a_token_is_not_an_error() -> None:
    for note in ("", "none", None):
        assert RFC6749.decoder.decode(response({"access_token": "at", "error": note})).error is None
        aws = AWS_SSO_OIDC.decoder.decode(response({"accessToken": "at", "error": note}))
        assert aws.error is None
    assert RFC6749.decoder.decode(response({"access_token": "", "error": "no"})).error is not None


def test_the_example_of_rfc_6749_appendix_b() -> None:
    assert RFC6749.encoder.encode({"p": " %&+\u00a3\u20ac"}) == b"p=+%25%26%2B%C2%A3%E2%82%AC"


def test_the_example_of_rfc_6749_section_5_1() -> None:
    decoded = RFC6749.decoder.decode(
        response(
            {
                "access_token": "2YotnFZFEjr1zCsicMWpAA",
                "token_type": "example",
                "expires_in": 3600,
                "refresh_token": "tGzv3JOkF0XG5Qx2TlKWIA",
                "example_parameter": "example_value",
            }
        )
    )
    token = RFC6749.decoder.token(decoded.payload, 0.0)
    assert (token.access_token, token.token_type) == ("2YotnFZFEjr1zCsicMWpAA", "example")
    assert (token.expires_in, token.refresh_token) == (3600, "tGzv3JOkF0XG5Qx2TlKWIA")
    assert token.extra == {"example_parameter": "example_value"}


@given(st.text() | st.integers(min_value=0).map(str) | st.dates().map(str))
def test_reads_any_retry_after(value: str) -> None:
    after = ProviderResponse(503, {"retry-after": value}).retry_after
    assert after is None or 0 <= after < float("inf")


def test_does_not_limit_a_long_retry_after() -> None:
    assert ProviderResponse(503, {"retry-after": "172800"}).retry_after == 172_800


def test_names_a_parameter_that_cannot_be_encoded_without_its_value() -> None:
    fields = {"client_id": "c", "start_url": "secret-\ud800", "resource": ["x", "\udfff"]}
    for write in (
        RFC6749.encoder.encode,
        lambda each: RFC6749.encoder.authorization_url("https://e.com/a", each),
    ):
        with pytest.raises(RequestInvalidError) as caught:
            write(fields)
        assert sorted(caught.value.errors) == ["resource", "start_url"]
        assert caught.value.__context__ is None
        assert "secret" not in str(caught.value)
