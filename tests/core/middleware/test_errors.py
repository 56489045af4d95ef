"""Error responses become exceptions that repeat no secret."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from typing import Any
from urllib.parse import quote_plus

import pytest

from grantway import (
    Client,
    GrantwayError,
    InvalidGrantException,
    OutcomeUnknownError,
    Provider,
    RedirectRefusedError,
    RegistryError,
    ResponseInvalidError,
    ResponseTooLargeError,
    TokenError,
    build_registry,
    hookimpl,
)
from grantway._wire.dialect import RFC6749
from grantway_plugins.aws._dialect import AWS_SSO_OIDC
from tests import faults
from tests.faults import Act, FaultServer

REFRESH = "rt+very/secret=0123456789&%"
SECRET = "cs very:secret 0123456789"
EXTRA = "extra-token-very-secret"
SENT = (REFRESH, SECRET, EXTRA)


def raised(act: Act, **options: Any) -> Any:
    options = {"client_secret": SECRET, **options}
    params = {"refresh_token": options.pop("refresh_token", REFRESH)}
    dialect = options.pop("dialect", RFC6749)
    with FaultServer(act) as server:
        provider = Provider(token_endpoint=server.token_endpoint, dialect=dialect)
        with (
            Client(provider, client_id="c", **options) as client,
            pytest.raises(GrantwayError) as caught,
        ):
            client.create_token(
                grant_type="refresh_token", extra={"my_token": [EXTRA]}, timeout=2, **params
            )
    return caught.value


NO_TOKEN: dict[str, Any] = {
    "HTML": b"<html><title>Log in</title></html>",
    "empty": b"",
    "blank": b" \n",
    "a list": b"[]",
    "null": b"null",
    "a string": b'"token"',
    "NaN": b'{"access_token": NaN}',
    "cut JSON": b'{"access_token": "at-1", "expires',
    "no token": b'{"token_type": "Bearer"}',
    "null token": b'{"access_token": null}',
    "empty token": b'{"access_token": ""}',
    "a number for a token": b'{"access_token": 1}',
    "deep": b"[" * 100_000,
    "long number": b'{"access_token": ' + b"9" * 5000 + b"}",
    "no text": b"\xff\xfe\x00\xd8",
}


@pytest.mark.parametrize("body", NO_TOKEN.values(), ids=NO_TOKEN)
@pytest.mark.parametrize("dialect", [RFC6749, AWS_SSO_OIDC], ids=lambda dialect: dialect.name)
def test_a_success_without_a_token_is_an_invalid_response(body: bytes, dialect: Any) -> None:
    error = raised(faults.respond(200, body), dialect=dialect)
    assert type(error) is ResponseInvalidError
    assert error.evidence.status == 200
    assert error.evidence.provider.startswith("127.0.0.1:")
    assert error.__cause__ is None
    assert error.__context__ is None


def test_no_content_is_an_invalid_response() -> None:
    error = raised(faults.raw(b"HTTP/1.1 204 No Content\r\n\r\n"))
    assert (type(error), error.evidence.status) == (ResponseInvalidError, 204)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418])
def test_quotes_the_start_of_an_error_page(status: int) -> None:
    error = raised(faults.respond(status, b"<html><h1>Blocked  by\nproxy</h1></html>"))
    assert type(error) is ResponseInvalidError
    assert error.excerpt == "Blocked by proxy"
    assert "Blocked by proxy" in str(error)
    assert str(status) in str(error)


def test_an_error_with_status_200_is_an_error() -> None:
    error = raised(faults.respond(200, {"error": "invalid_grant", "error_description": "Spent."}))
    assert type(error) is InvalidGrantException
    assert "Spent." in str(error)
    assert "log in again" in str(error)


def test_does_not_mask_a_known_code() -> None:
    error = raised(
        faults.respond(400, {"error": "invalid_grant"}),
        client_secret="invalid",
        refresh_token="grant",
    )
    assert (type(error), error.error) == (InvalidGrantException, "invalid_grant")


@pytest.mark.parametrize("code", ["urn:example:quota", "https://example.com/e#quota", "x" * 40])
def test_keeps_an_unknown_code(code: str) -> None:
    assert raised(faults.respond(400, {"error": code})).error == code


def test_limits_the_providers_text_to_one_line() -> None:
    message = "No \x1b[31m\r\nway. " * 1000
    error = raised(faults.respond(400, {"error": "invalid_grant", "error_description": message}))
    assert str(error).isprintable()
    assert len(str(error)) < 1000
    assert error.error_description == message


def echo(status: int, form: str) -> Act:
    """Return a response that repeats the request everywhere."""
    text = " ".join((*SENT, *map(quote_plus, SENT)))
    headers = {"X-Debug": text, "X-Request-Id": text, "Set-Cookie": f"sid={EXTRA}"}
    bodies: dict[str, Any] = {
        "error": {
            "error": "invalid_grant",
            "error_description": text,
            "error_uri": text,
            "reason": text,
        },
        "code": {"error": text},
        "html": f"<html><p>{text}</p></html>".encode(),
        "json": json.dumps([text, {"a": text}]).encode(),
        "form": f"a={quote_plus(text)}&b={text}".encode(),
        "cut": json.dumps({"a": text}).encode()[:-30],
        "too large": text.encode() * 20_000,
    }
    if form == "redirect":
        return faults.respond(307, b"", {"Location": f"/back/{EXTRA}/{REFRESH}"})
    return faults.respond(status, bodies[form], headers)


@pytest.mark.parametrize("status", [200, 400, 429, 500])
@pytest.mark.parametrize(
    "form", ["error", "code", "html", "json", "form", "cut", "too large", "redirect"]
)
def test_errors_repeat_no_sent_secret(
    status: int, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = raised(echo(status, form))
    assert (
        isinstance(
            error, (TokenError, ResponseInvalidError, OutcomeUnknownError, RedirectRefusedError)
        )
        or status == 429
    )
    shown = [str(error), repr(error), repr(vars(error)), repr(error.evidence.headers)]
    shown += ["".join(traceback.format_exception(error)), caplog.text]
    if isinstance(error, TokenError):
        shown.append(repr(error.response))
    for text in shown:
        for secret in SENT:
            assert secret not in text
            assert quote_plus(secret) not in text
    for secret in SENT:
        assert secret.encode() not in pickle.dumps(error)
    assert "set-cookie" not in error.evidence.headers


def test_a_response_above_the_limit_keeps_its_status() -> None:
    error = raised(faults.respond(200, b" " * (1024 * 1024 + 1), {"Set-Cookie": "sid=1"}))
    assert type(error) is ResponseTooLargeError
    assert error.evidence.status == 200
    assert "set-cookie" not in error.evidence.headers


def test_a_plugin_registers_a_class_for_its_code() -> None:
    class CouponSpentError(TokenError):
        code = wire = "coupon_spent"

    class Plugin:
        @hookimpl
        def grantway_register_errors(self) -> dict[str, type[TokenError]]:
            return {"coupon_spent": CouponSpentError}

    registry = build_registry({"coupons": Plugin()})
    error = raised(faults.respond(400, {"error": "coupon_spent"}), registry=registry)
    assert type(error) is CouponSpentError
    assert not issubclass(CouponSpentError, RegistryError)
