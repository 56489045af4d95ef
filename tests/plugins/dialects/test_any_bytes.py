"""Property tests: a dialect decodes any bytes to a token, an error or a problem."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from hypothesis import given, strategies as st

import grantway
from grantway._transport.http import HttpResponse
from grantway._types.token import Token
from grantway._wire.provider_response import ProviderResponse

DIALECTS = st.sampled_from(list(grantway.build_registry(strict=True).dialects.values()))
STATUSES = st.sampled_from([200, 201, 204, 400, 401, 429, 500, 503])
KINDS = st.sampled_from(
    ["", "application/json", "text/html", "text/plain", "application/x-www-form-urlencoded"]
)
# Names that some dialect reads, so that generated objects reach the deeper checks.
NAMES = st.sampled_from(
    [
        "access_token",
        "accessToken",
        "authed_user",
        "body",
        "code",
        "data",
        "error",
        "error_code",
        "errorCode",
        "error_type",
        "errors",
        "expires",
        "expires_in",
        "message",
        "ok",
        "refresh_token",
        "scope",
        "status",
        "success",
        "suberror",
        "token_type",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=12,
)


def read(dialect: grantway.Dialect, response: HttpResponse) -> ProviderResponse:
    decoded = dialect.decoder.decode(response)
    outcomes = [decoded.error is not None, decoded.problem is not None]
    assert sum(outcomes) <= 1
    if any(outcomes):
        assert decoded.payload == {}
    else:
        try:
            token = dialect.decoder.token(decoded.payload, 0.0)
        except ValueError:
            pass  # the exchange turns this into a problem
        else:
            assert isinstance(token, Token)
            assert token.access_token
            assert token.expires_in is None or token.expires_in >= 0
    if decoded.error is not None:
        assert decoded.error.code
        assert isinstance(decoded.error.code, str)
    return decoded


@given(DIALECTS, STATUSES, KINDS, st.binary(max_size=300))
def test_any_bytes_become_a_token_an_error_or_a_problem(
    dialect: grantway.Dialect, status: int, kind: str, body: bytes
) -> None:
    read(dialect, HttpResponse(status, {"content-type": kind}, body))


@given(DIALECTS, STATUSES, KINDS, st.dictionaries(NAMES, JSON, max_size=8))
def test_any_object_becomes_a_token_an_error_or_a_problem(
    dialect: grantway.Dialect, status: int, kind: str, body: dict[str, Any]
) -> None:
    read(dialect, HttpResponse(status, {"content-type": kind}, json.dumps(body).encode()))


@given(DIALECTS, st.text(min_size=1).filter(lambda text: text.strip() == text))
def test_sends_the_given_parameters(dialect: grantway.Dialect, code: str) -> None:
    code = code.encode("utf-8", "replace").decode()
    body = dialect.encoder.encode({"code": code, "resource": [code, "second"]})
    if dialect.request.encoding == "json":
        sent = json.loads(body)
    else:
        sent = parse_qs(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        sent["code"] = sent["code"][0]
    assert (sent["code"], sent["resource"]) == (code, [code, "second"])
