"""A token is read whatever the status, charset, format, compression or surrounding text."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from grantway import (
    Client,
    GrantwayError,
    HttpTransport,
    InvalidGrantException,
    OutcomeUnknownError,
    Provider,
    ResponseInvalidError,
    ResponseTooLargeError,
    RetryPolicy,
    Token,
)
from grantway._transport.http import HttpResponse
from grantway._wire.dialect import RFC6749, Dialect
from grantway._wire.shapes import ResponseShape
from tests import faults
from tests.faults import Act, FaultServer

BODY = {
    "access_token": "at-1",
    "token_type": "Bearer",
    "expires_in": 3600,
    "refresh_token": "rt-1",
    "user": "José",
}
TEXT = json.dumps(BODY, ensure_ascii=False)
JSON = TEXT.encode()
FORM = urlencode(BODY).encode()
REFRESH: dict[str, Any] = {"grant_type": "refresh_token", "refresh_token": "rt-0"}


def ask(act: Act, **options: Any) -> Token:
    with FaultServer(act) as server:
        dialect = options.pop("dialect", RFC6749)
        client = Client(
            Provider(server.token_endpoint, dialect=dialect),
            client_id="c",
            retry=RetryPolicy(attempts=1),
            **options,
        )
        with client:
            return client.create_token(**REFRESH)


def answer(body: bytes, kind: str = "application/json", **headers: str) -> Act:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return faults.respond(200, body, {"Content-Type": kind, **named})


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 226, 299])
def test_every_2xx_with_a_token_is_a_success(status: int) -> None:
    assert ask(faults.respond(status, BODY)).refresh_token == "rt-1"


@pytest.mark.parametrize("status", [200, 201, 202, 299])
@pytest.mark.parametrize("token", [None, "", 1, [], {}])
def test_a_2xx_without_a_token_is_not_a_success(status: int, token: Any) -> None:
    with pytest.raises(ResponseInvalidError):
        ask(faults.respond(status, {"access_token": token}))
    with pytest.raises(InvalidGrantException):
        ask(faults.respond(status, {"access_token": token, "error": "invalid_grant"}))


CHARSETS: dict[str, tuple[str, bytes]] = {
    "latin-1": ("application/json; charset=ISO-8859-1", TEXT.encode("latin-1")),
    "windows-1252": ('application/json;charset="windows-1252"', TEXT.encode("cp1252")),
    "latin-1, not declared": ("application/json", TEXT.encode("latin-1")),
    "latin-1, declared as UTF-8": ("application/json; charset=utf-8", TEXT.encode("latin-1")),
    "UTF-8, declared as latin-1": ("application/json; charset=iso-8859-1", JSON),
    "unknown label": ("application/json; charset=x-nothing", TEXT.encode("latin-1")),
    "empty label": ("application/json; charset=", JSON),
    "a codec that is no charset": ("application/json; charset=hex", TEXT.encode("latin-1")),
    "a dangerous codec": ("application/json; charset=unicode_escape", TEXT.encode("latin-1")),
    "UTF-8 with a mark": ("application/json", b"\xef\xbb\xbf" + JSON),
    "UTF-16 with a mark": ("application/json; charset=utf-16", TEXT.encode("utf-16")),
    "UTF-16LE": ("application/json; charset=utf-16le", TEXT.encode("utf-16-le")),
    "UTF-16BE, not declared": ("application/json", TEXT.encode("utf-16-be")),
    "UTF-16LE and a line": ("application/json", f"{TEXT}\r\n".encode("utf-16-le")),
    "UTF-16BE and a line": ("application/json", f"{TEXT}\r\n".encode("utf-16-be")),
    "UTF-32": ("application/json; charset=utf-32", TEXT.encode("utf-32")),
    "EBCDIC": ("application/json; charset=cp037", TEXT.encode("cp037")),
    "no type": ("", JSON),
    "text": ("text/plain; charset=utf-8", JSON),
    "called HTML": ("text/html", JSON),
    "called a form": ("application/x-www-form-urlencoded", JSON),
    "form": ("application/x-www-form-urlencoded", FORM),
    "form in latin-1": (
        "application/x-www-form-urlencoded; charset=ISO-8859-1",
        urlencode(BODY, encoding="latin-1").encode(),
    ),
    "form called text": ("text/plain", FORM + b"\r\n"),
    "form called JSON": ("application/json", FORM),
    "form called HTML": ("text/html; charset=UTF-8", FORM),
    "form with a mark": ("text/plain", b"\xef\xbb\xbf" + FORM),
}


@pytest.mark.parametrize(("kind", "body"), CHARSETS.values(), ids=CHARSETS)
def test_reads_a_token_in_every_charset(kind: str, body: bytes) -> None:
    token = ask(answer(body, kind))
    assert (token.access_token, token.refresh_token) == ("at-1", "rt-1")
    assert token.expires_in == 3600
    assert token.extra["user"] == "José"


JUNK: dict[str, bytes] = {
    "a comment behind": JSON + b"\n<!-- 12 ms, node 3 -->",
    "a warning before": b"<br />\n<b>Notice</b>: Undefined index {x} in /a.php\n" + JSON,
    "a prefix against inclusion": b")]}',\n" + JSON,
    "a callback": b"callback(" + JSON + b");",
    "zero bytes behind": JSON + b"\0\0\0",
    "twice": JSON + JSON,
    "NaN inside": JSON[:-1] + b', "load": NaN}',
    "a number of 5000 digits inside": JSON[:-1] + b', "load": ' + b"9" * 5000 + b"}",
    "a raw line break inside": JSON[:-1] + b', "note": "a\nb"}',
    "an object in a list": b"[" + JSON + b"]",
    "JSON in a JSON string": json.dumps(TEXT).encode(),
    "broken bytes inside": JSON[:-1] + b', "note": "\xff\xfe"}',
}


@pytest.mark.parametrize("body", JUNK.values(), ids=JUNK)
def test_reads_a_token_within_other_text(body: bytes) -> None:
    assert ask(answer(body)).refresh_token == "rt-1"


NO_TOKEN: dict[str, bytes] = {
    "a page with a token in a script": b"<html><script>x=" + JSON + b"</script></html>",
    "a page with a form": b"<html><a href='?access_token=x'>x</a></html>",
    "cut short": JSON[:-10],
    "a form of other fields": b"status=ok&id=1",
    "a form without a token": b"access_token=&expires_in=60",
    "NaN for a token": b'{"access_token": NaN}',
    "a choice of tokens": b"[" + JSON + b"," + JSON + b"]",
    "a list in a JSON string in a list": json.dumps([json.dumps([BODY])]).encode(),
    "braces": b"{" * 10_000,
    "deep": b'{"a":' * 100_000,
    "equals signs": b"=" * 10_000,
}


@pytest.mark.parametrize("body", NO_TOKEN.values(), ids=NO_TOKEN)
def test_other_text_is_not_a_token(body: bytes) -> None:
    with pytest.raises(ResponseInvalidError):
        ask(answer(body))


def test_reads_an_error_in_a_form_and_within_other_text() -> None:
    for body in (
        b"error=invalid_grant&error_description=spent",
        b'oops\n{"error":"invalid_grant"}',
    ):
        with pytest.raises(InvalidGrantException):
            ask(faults.respond(400, body, {"Content-Type": "text/plain"}))


@pytest.mark.parametrize("more", [[], [{"message": "another"}]], ids=["one", "two"])
def test_reads_the_first_of_several_errors(more: list[Any]) -> None:
    first = {"message": "Session expired", "errorCode": "INVALID_SESSION_ID"}
    with pytest.raises(ResponseInvalidError, match="a JSON list, not an object") as raised:
        ask(faults.respond(401, [first, *more]))
    assert dict(raised.value.members) == first
    with pytest.raises(InvalidGrantException) as refused:
        ask(faults.respond(400, [{"error": "invalid_grant", "trace": "t-1"}, *more]))
    assert refused.value.members["trace"] == "t-1"


def test_escapes_in_a_utf_16_form_are_utf_8() -> None:
    assert ask(answer(FORM.decode().encode("utf-16"), "text/plain")).extra["user"] == "José"


class Panic(BaseException):
    """An exception like those of Rust extensions."""


@pytest.mark.parametrize("error", [KeyError("data"), Panic("rust"), SystemExit(1)])
@pytest.mark.parametrize("body", [BODY, {"refresh_token": "rt-1"}], ids=["token", "refresh alone"])
def test_keeps_a_token_if_amend_fails(error: BaseException, body: dict[str, Any]) -> None:
    def amend(found: dict[str, Any]) -> dict[str, Any]:
        raise error

    with FaultServer(faults.respond(200, body), faults.respond(200, BODY)) as server:
        provider = Provider(server.token_endpoint, dialect=Dialect(name="broken", amend=amend))
        with Client(provider, client_id="c") as client:
            credential = client.credential(grant_type="refresh_token", refresh_token="rt-0")
            if "access_token" not in body:
                with pytest.raises(ResponseInvalidError):
                    credential.token()
            assert credential.token().refresh_token == "rt-1"
        assert server.requests[-1].form["refresh_token"] == (
            ["rt-0"] if "access_token" in body else ["rt-1"]
        )


def test_members_contain_a_response_that_amend_could_not_read() -> None:
    def amend(found: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("data")

    with pytest.raises(ResponseInvalidError, match="amend raised KeyError") as raised:
        ask(faults.respond(200, {"data": BODY}), dialect=Dialect(name="broken", amend=amend))
    assert raised.value.members["data"]["refresh_token"] == "rt-1"
    assert "rt-1" not in repr(vars(raised.value))


def test_reads_a_nested_token_within_other_text() -> None:
    dialect = Dialect(name="nested", response=ResponseShape(token_at=(("data",),)))
    body = json.dumps({"data": BODY}).encode()
    assert ask(answer(b"// ok\n" + body), dialect=dialect).refresh_token == "rt-1"


def raw_deflate(data: bytes) -> bytes:
    packed = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packed.compress(data) + packed.flush()


COMPRESSED: dict[str, tuple[str | None, bytes]] = {
    "gzip": ("gzip", gzip.compress(JSON)),
    "x-gzip": ("X-GZIP", gzip.compress(JSON)),
    "gzip in two members": ("gzip", gzip.compress(JSON[:20]) + gzip.compress(JSON[20:])),
    "gzip and junk": ("gzip", gzip.compress(JSON) + b"\0" * 8),
    "gzip, not declared": (None, gzip.compress(JSON)),
    "zlib": ("deflate", zlib.compress(JSON)),
    "raw deflate": ("deflate", raw_deflate(JSON)),
    "twice": ("deflate, gzip", gzip.compress(zlib.compress(JSON))),
    "called gzip and plain": ("gzip", JSON),
    "called br and plain": ("br", JSON),
    "called UTF-8": ("UTF-8", JSON),
    "gzip of a form": ("gzip", gzip.compress(FORM)),
    "gzip of latin-1": ("gzip", gzip.compress(TEXT.encode("latin-1"))),
}


@pytest.mark.parametrize(("coding", "body"), COMPRESSED.values(), ids=COMPRESSED)
def test_reads_a_compressed_token(coding: str | None, body: bytes) -> None:
    headers = {} if coding is None else {"Content_Encoding": coding}
    assert ask(answer(body, **headers)).refresh_token == "rt-1"


def test_reads_a_compressed_error() -> None:
    body = gzip.compress(b'{"error": "invalid_grant"}')
    with pytest.raises(InvalidGrantException):
        ask(faults.respond(400, body, {"Content-Encoding": "gzip"}))


@pytest.mark.parametrize("coding", ["br", "zstd", "compress"])
def test_names_an_unsupported_compression(coding: str) -> None:
    with pytest.raises(ResponseInvalidError, match=rf"compressed \({coding}\)"):
        ask(answer(b"\x1b\x10\x00\xf8\x8d\x94", Content_Encoding=coding))


#: Functions, because each process collects this module but only one compresses the bodies.
BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gzip": ("gzip", lambda: gzip.compress(JSON + b" " * 10_000_000)),
    "raw deflate": ("deflate", lambda: raw_deflate(JSON + b" " * 10_000_000)),
    "gzip of gzip": ("gzip, gzip", lambda: gzip.compress(gzip.compress(b" " * 10_000_000))),
    "members": ("gzip", lambda: gzip.compress(b" " * 20_000) * 60),
}


@pytest.mark.parametrize(("coding", "body"), BOMBS.values(), ids=BOMBS)
def test_limits_the_size_of_a_decompressed_response(coding: str, body: Callable[[], bytes]) -> None:
    transport = HttpTransport()
    with pytest.raises(ResponseTooLargeError, match="1048576 bytes") as caught:
        ask(answer(body(), Content_Encoding=coding), transport=transport)
    assert caught.value.evidence.status == 200


def test_limits_the_work_for_many_gzip_members() -> None:
    with pytest.raises(ResponseInvalidError):
        ask(answer(gzip.compress(b"") * 40_000, Content_Encoding="gzip"))


@pytest.mark.parametrize("cut", [1, 8, 20])
def test_truncated_compressed_data_is_a_lost_response(cut: int) -> None:
    with pytest.raises(OutcomeUnknownError, match="truncated"):
        ask(answer(gzip.compress(JSON)[:-cut], Content_Encoding="gzip"))


@pytest.mark.parametrize("kind", ["latin-1", "201", "gzip", "form"])
def test_the_next_refresh_uses_the_new_refresh_token(kind: str) -> None:
    acts = {
        "latin-1": answer(TEXT.encode("latin-1"), "application/json; charset=ISO-8859-1"),
        "201": faults.respond(201, BODY),
        "gzip": answer(gzip.compress(JSON), Content_Encoding="gzip"),
        "form": answer(FORM, "text/plain"),
    }
    with FaultServer(acts[kind], faults.respond()) as server:
        client = Client(Provider(server.token_endpoint), client_id="c")
        with client:
            credential = client.credential(**REFRESH)
            credential.invalidate(credential.token())
            credential.token()
        assert server.requests[1].form["refresh_token"] == ["rt-1"]


UNREADABLE: dict[str, Any] = {
    "expires_in": "soon",
    "token_type": {"name": "Bearer"},
    "scope": {"read": True},
    "id_token": 7,
    "refresh_token": {"value": "rt"},
}


@pytest.mark.parametrize(("name", "value"), UNREADABLE.items(), ids=UNREADABLE)
def test_keeps_unreadable_members_in_extra(name: str, value: Any) -> None:
    token = ask(faults.respond(200, {**BODY, name: value}))
    assert token.access_token == "at-1"
    assert token.extra[name] == value
    assert token.token_type == "Bearer"


def test_a_refresh_token_may_be_a_number() -> None:
    assert ask(faults.respond(200, {**BODY, "refresh_token": 123})).refresh_token == "123"


def test_a_revocation_succeeds_with_every_2xx() -> None:
    for act in (
        faults.respond(204, b""),
        faults.respond(202, b"OK"),
        faults.respond(200, b"<html>"),
    ):
        with FaultServer(act) as server:
            provider = Provider(server.token_endpoint, revocation_endpoint=server.token_endpoint)
            with Client(provider, client_id="c") as client:
                assert client.call("revocation", token="rt-1") == {}


def test_a_custom_transport_may_return_any_bytes() -> None:
    class Canned:
        def send(self, request: Any, deadline: Any) -> HttpResponse:
            return HttpResponse(201, {"content-type": "x"}, TEXT.encode("utf-16"))

        def close(self) -> None:
            """Nothing is open."""

    client = Client(Provider("https://e.com/token"), client_id="c", transport=Canned())
    assert client.create_token(**REFRESH).extra["user"] == "José"


def test_an_unreadable_response_shows_no_secret() -> None:
    with pytest.raises(GrantwayError) as caught:
        ask(answer(b"access_token=&note=at-very-secret-0123456789"))
    assert "very-secret" not in str(caught.value) + repr(vars(caught.value))
