"""Sent secrets and values that look like tokens are masked."""

from __future__ import annotations

import json
import string
from urllib.parse import quote_plus

import pytest
from hypothesis import given, strategies as st

from grantway._secrets.excerpts import excerpt
from grantway._secrets.redaction import MASK, printable, scrub, visible

SECRETS = st.text(alphabet=string.ascii_letters + string.digits + '-._~+/=&%"<', min_size=6)
#: A token that was not sent and is too short to be recognised in a response.
SHORT = "tok-abc123"


@given(SECRETS, st.text(max_size=200), st.text(max_size=50))
def test_masks_a_secret_anywhere_in_a_text(secret: str, before: str, after: str) -> None:
    shown = excerpt(f"{before}{secret}{after}".encode("utf-8", "replace"), [secret])
    assert secret not in shown
    form = excerpt(f"x {quote_plus(secret)} y".encode(), [secret])
    assert quote_plus(secret) not in form


@given(SECRETS, st.integers(4000, 4200))
def test_does_not_show_part_of_a_truncated_secret(secret: str, spaces: int) -> None:
    shown = excerpt(b" " * spaces + secret.encode(), [secret])
    assert shown in ("", MASK)


def test_does_not_show_part_of_a_truncated_token() -> None:
    assert excerpt(b" " * 4090 + b"eyJhbGciOiJub25lIn0.e30.signature") == ""


@pytest.mark.parametrize(
    "body",
    [
        f'{{"access_token": "{SHORT}"}}',
        f'{{"access_token":"{SHORT}',
        f'{{"access_token":"{SHORT}\\',
        f'{{"a": {{"b": ["{SHORT}", "{SHORT}"]}}}}',
        f'["{SHORT}", "{SHORT}',
        json.dumps({"a": f'quote " {SHORT}'}),
        f"access_token={SHORT}&token_type=bearer",
        f"<html><p>token={SHORT}</p></html>",
        f"<script>var token = '{SHORT}'</script>",
        f"<input type=hidden value='{SHORT}'>",
        f"<input type=hidden value='{SHORT}",
    ],
)
def test_masks_the_values_of_a_response(body: str) -> None:
    assert SHORT not in excerpt(body.encode())


def test_the_masked_text_is_readable() -> None:
    page = b"\xef\xbb\xbf<html><title>502  Bad\nGateway</title>\x1b[31m nginx</html>"
    assert excerpt(page) == "502 Bad Gateway nginx"
    assert excerpt(b'{"status": 17, "text": "x"}') == '{"status": 17, "text": "***"}'
    assert len(excerpt(b"word " * 2000)) == 160


@given(st.binary(max_size=5000))
def test_any_bytes_become_one_printable_line(body: bytes) -> None:
    shown = excerpt(body)
    assert shown.isprintable()
    assert len(shown) <= 160


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07WDJB", "WDJB"),
        ("\x1b]8;;http://evil.example\x1b\\WDJB\x1b]8;;\x1b\\", "WDJB"),
        ("\x1b]0;never ended", "0;never ended"),
        ("\x1bcWDJB\x1b(B", "WDJB"),
        ("WD\u200bJB\u202e-M\ufeffJHT\u2066", "WDJB-MJHT"),
        ("one\r\ntwo\x00\x07\x85three\u2028four", "one two three four"),
        ("José \u6f22\u5b57", "José \u6f22\u5b57"),
    ],
)
def test_escape_sequences_and_invisible_characters_are_removed(text: str, shown: str) -> None:
    assert visible(text) == printable(text) == shown


def test_masks_longer_secrets_first_and_keeps_short_values() -> None:
    assert scrub("abcdef abcd ab", ["abcd", "abcdef", "ab"]) == "*** *** ab"


@given(st.text())
def test_text_of_the_provider_becomes_one_line(text: str) -> None:
    line = printable(text)
    assert line.isprintable()
    assert len(line) <= 500


@pytest.mark.parametrize(
    "echo",
    ["ab%20c/d%2Be%3D%3D", "ab%20c%2Fd%2Be%3D%3D", "ab+c%2Fd%2Be%3D%3D", "ab c\\/d+e=="],
)
def test_masks_a_secret_in_every_encoding(echo: str) -> None:
    assert scrub(f"bad {echo}.", ["ab c/d+e=="]) == "bad ***."


def test_masks_a_secret_that_cannot_be_encoded() -> None:
    assert scrub("bad secret-\ud800", ["secret-\ud800"]) == "bad ***"
