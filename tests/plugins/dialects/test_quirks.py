"""Tests of the deviations that every dialect accepts, and of those that a dialect declares."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest

from grantway import Dialect, ErrorShape, RequestShape, ResponseShape
from grantway._transport.http import HttpResponse
from grantway._types.token import Token
from grantway._wire.dialect import RFC6749
from grantway._wire.provider_response import ProviderResponse


def decode(
    dialect: Dialect, body: Any, status: int = 200, **headers: str
) -> tuple[ProviderResponse, Token | None]:
    """Decode a response, and return it with its token, if any."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    decoded = dialect.decoder.decode(HttpResponse(status, named, raw))
    good = decoded.error is None and decoded.problem is None
    return decoded, dialect.decoder.token(dict(decoded.payload), 1000.0) if good else None


def token(dialect: Dialect, body: Any, status: int = 200, **headers: str) -> Token:
    decoded, found = decode(dialect, body, status, **headers)
    assert found is not None, decoded
    return found


GOOD = {"access_token": "at", "token_type": "Bearer"}


# --- Accepted by every dialect --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        (3600, 3600),
        (3600.9, 3600),
        ("3600", 3600),
        ("3600.0", 3600),
        (" 3600 ", 3600),
        (0, 0),
        ("", None),
        (None, None),
        (True, None),
    ],
)
def test_accepts_a_number_a_string_or_no_lifetime(stated: Any, seconds: int | None) -> None:
    found = token(RFC6749, {**GOOD, "expires_in": stated})
    assert found.expires_in == seconds
    assert found.expires_at == (None if seconds is None else 1000.0 + seconds)


@pytest.mark.parametrize("stated", ["soon", [3600], {}, "1e999", "NaN"])
def test_does_not_guess_an_invalid_lifetime(stated: Any) -> None:
    found = token(RFC6749, {**GOOD, "expires_in": stated})
    assert (found.expires_in, found.expires_at) == (None, None)


@pytest.mark.parametrize("missing", [{}, {"token_type": None}, {"token_type": ""}])
def test_assumes_bearer_without_a_token_type(missing: dict[str, Any]) -> None:
    assert token(RFC6749, {"access_token": "at", **missing}).token_type == "Bearer"


@pytest.mark.parametrize(
    ("stated", "scope"),
    [
        ("a b", ("a", "b")),
        ("  a   b ", ("a", "b")),
        (["a", "b"], ("a", "b")),
        (["a", None, 1], ("a",)),
        ("", ()),
        (None, None),
        (7, None),
    ],
)
def test_accepts_a_string_a_list_or_null_as_scope(
    stated: Any, scope: tuple[str, ...] | None
) -> None:
    assert token(RFC6749, {**GOOD, "scope": stated}).scope == scope


def test_ignores_a_byte_order_mark() -> None:
    assert token(RFC6749, b"\xef\xbb\xbf" + json.dumps(GOOD).encode()).access_token == "at"


@pytest.mark.parametrize("value", [None, "", 7, [], {}])
def test_a_response_without_an_access_token_is_not_a_success(value: Any) -> None:
    with pytest.raises(ValueError, match="access_token is missing, null or empty"):
        RFC6749.decoder.token({**GOOD, "access_token": value}, 0.0)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "the response is empty"),
        (b" \r\n", "the response is empty"),
        (b"<!DOCTYPE html><html>", "the response is HTML"),
        (b'{"access_token": "at', "the response is not complete JSON"),
        (b"[]", "the response is a JSON list, not an object"),
        (b"null", "the response is a JSON null, not an object"),
        (b'"at"', "the response is a JSON string, not an object"),
        (b"NaN", "the response is not complete JSON"),
        (b"[" * 100_000, "the response is not complete JSON"),
    ],
)
def test_reports_an_unusable_response_as_a_problem(body: bytes, problem: str) -> None:
    decoded, found = decode(RFC6749, body)
    assert (decoded.problem, found) == (problem, None)


def test_detects_an_error_with_status_200() -> None:
    decoded, _ = decode(RFC6749, {"error": "invalid_grant"})
    assert decoded.error is not None
    assert decoded.error.code == "invalid_grant"


def test_ignores_an_empty_error_next_to_a_token() -> None:
    assert token(RFC6749, {**GOOD, "error": "", "error_description": "fine"}).access_token == "at"


def test_encodes_a_list_as_repeated_fields_or_as_a_json_array() -> None:
    fields = {"resource": ["https://a.example", "https://b.example"], "scope": None}
    assert parse_qsl(RFC6749.encoder.encode(fields).decode()) == [
        ("resource", "https://a.example"),
        ("resource", "https://b.example"),
    ]
    as_json = Dialect(name="json", request=RequestShape(encoding="json"))
    assert json.loads(as_json.encoder.encode(fields)) == {"resource": fields["resource"]}


def test_sends_a_scope_string_unchanged() -> None:
    assert RFC6749.encoder.encode({"scope": "read write"}) == b"scope=read+write"
    assert RFC6749.encoder.authorization_url("https://a.example/?x=1", {"scope": "read"}) == (
        "https://a.example/?x=1&scope=read"
    )


# --- Declared by a dialect ------------------------------------------------------------------------


def test_finds_a_nested_token_and_keeps_the_other_members() -> None:
    dialect = Dialect(name="nested", response=ResponseShape(token_at=(("data", "token"), ())))
    nested = {
        "data": {"token": {"access_token": "at", "id": "inner"}},
        "refresh_token": "another token's",
        "id": "outer",
        "team": "T1",
    }
    found = token(dialect, nested)
    assert (found.access_token, found.refresh_token) == ("at", None)
    assert found.extra == {"id": "inner", "team": "T1"}
    assert token(dialect, GOOD).access_token == "at"
    only = replace(dialect, response=ResponseShape(token_at=(("data", "token"),)))
    assert decode(only, GOOD)[0].problem == "the response has no object at data.token"
    assert decode(only, {"data": [1]})[0].problem == "the response has no object at data.token"


def test_renaming_does_not_overwrite_an_existing_member() -> None:
    dialect = Dialect(name="old", response=ResponseShape(names={"expires": "expires_in"}))
    assert token(dialect, {**GOOD, "expires": "60"}).expires_in == 60
    both = token(dialect, {**GOOD, "expires_in": 3600, "expires": "2027-01-01"})
    assert both.expires_in == 3600
    assert both.extra == {"expires": "2027-01-01"}


def test_zero_can_mean_that_a_token_never_expires() -> None:
    dialect = Dialect(name="zero", response=ResponseShape(zero_never_expires=True))
    for stated in (0, "0", "0.0"):
        assert token(dialect, {**GOOD, "expires_in": stated}).expires_in is None
    assert token(dialect, {**GOOD, "expires_in": 60}).expires_in == 60


def test_uses_the_scope_separator_for_responses_as_well() -> None:
    dialect = Dialect(name="comma", request=RequestShape(scope_separator=","))
    assert dialect.encoder.encode({"scope": ("a", "b")}) == b"scope=a%2Cb"
    for stated in ("a,b", "a b", "a, b"):
        assert token(dialect, {**GOOD, "scope": stated}).scope == ("a", "b")
    assert token(RFC6749, {**GOOD, "scope": "a,b"}).scope == ("a,b",)


def test_sends_constants_that_a_caller_can_override() -> None:
    dialect = Dialect(name="constant", request=RequestShape(constants={"action": "ask"}))
    assert dialect.encoder.encode({"code": "c"}) == b"action=ask&code=c"
    assert dialect.encoder.encode({"action": "revoke"}) == b"action=revoke"


def test_headers_of_a_dialect_replace_the_default_ones() -> None:
    request = RequestShape(headers={"accept": "text/json", "X-Version": "2"})
    assert dict(Dialect(name="headers", request=request).encoder.headers) == {
        "Content-Type": "application/x-www-form-urlencoded",
        "accept": "text/json",
        "X-Version": "2",
    }


@pytest.mark.parametrize(
    ("body", "failed"),
    [
        ({**GOOD, "ok": True}, False),
        (GOOD, False),
        ({**GOOD, "ok": False}, True),
        ({**GOOD, "ok": None}, True),
        ({"ok": False, "error": "nope"}, True),
    ],
)
def test_a_member_can_mark_a_response_as_an_error(body: dict[str, Any], failed: bool) -> None:
    dialect = Dialect(name="ok", error=ErrorShape(ok=("ok", True)))
    decoded, _ = decode(dialect, body)
    assert (decoded.error is not None) is failed
    if decoded.error is not None:
        assert decoded.error.code == body.get("error", "unknown_error")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": 190}}, "190"),
        ({"error": {"code": "spent"}}, "invalid_grant"),
        ({"error": {"code": True, "type": "typed"}}, "typed"),
        ({"errors": [{"code": 17}]}, "17"),
        ({"errors": []}, None),
        ({"errors": "none"}, None),
        ({"error": {"code": 0}}, "0"),
    ],
)
def test_finds_a_nested_listed_or_numeric_error_code(
    body: dict[str, Any], code: str | None
) -> None:
    dialect = Dialect(
        name="deep",
        error=ErrorShape(
            code_at=(("error", "code"), ("error", "type"), ("errors", "0", "code")),
            codes={"spent": "invalid_grant"},
        ),
    )
    decoded, _ = decode(dialect, body, 400)
    assert (decoded.error.code if decoded.error else None) == code


def test_keeps_an_error_code_unless_a_header_names_it() -> None:
    for sent in ("urn:example:spent", "ns#Spent"):
        decoded, _ = decode(RFC6749, {"error": sent}, 400)
        assert decoded.error is not None
        assert decoded.error.code == sent


@pytest.mark.parametrize(
    "header", ["Spent", "Spent:http://internal.example/", "com.example#Spent", " com#Spent : x"]
)
@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'{"error": "other"}'])
def test_reads_the_error_code_from_a_header(header: str, body: bytes) -> None:
    shape = ErrorShape(header="x-error", codes={"Spent": "invalid_grant"})
    decoded, _ = decode(Dialect(name="header", error=shape), body, 400, x_error=header)
    assert decoded.error is not None
    assert decoded.error.code == "invalid_grant"


def test_amend_receives_the_unmodified_response() -> None:
    def unwrap(found: dict[str, Any]) -> dict[str, Any]:
        return dict(found["result"][-1])

    dialect = Dialect(name="last", amend=unwrap)
    assert token(dialect, {"result": [{}, GOOD]}).access_token == "at"


@pytest.mark.parametrize(
    ("amend", "message"),
    [
        (lambda found: found["no such field"], "amend raised KeyError"),
        (lambda found: None, "amend returned a NoneType"),
    ],
)
def test_a_failing_amend_function_loses_no_token(
    amend: Any, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The provider has processed the request, so the failure must become a typed error."""
    dialect = Dialect(name="broken", amend=amend)
    assert token(dialect, GOOD).access_token == "at"
    assert caplog.messages == [f"The dialect broken is faulty: {message}."]
    decoded, found = decode(dialect, {"nested": GOOD})
    assert found is None
    assert decoded.problem == f"the dialect broken cannot decode the response: {message}"


def test_a_dialect_does_not_change_with_its_arguments() -> None:
    names = {"client_id": "app"}
    codes = {"spent": "invalid_grant"}
    dialect = Dialect(name="kept", request=RequestShape(names=names), error=ErrorShape(codes=codes))
    names["client_id"] = codes["spent"] = "changed"
    assert dialect.encoder.encode({"client_id": "c"}) == b"app=c"
    decoded, _ = decode(dialect, {"error": "spent"}, 400)
    assert decoded.error is not None
    assert decoded.error.code == "invalid_grant"
