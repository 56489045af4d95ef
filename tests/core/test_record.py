"""The storage format of tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from grantway import Token
from grantway._credentials.token_format import VERSION, decode_token, encode_token, is_newer_format
from grantway._exceptions import StoreSaveError, StoreUnreadableError

SECRET = "rt-very-secret-0123456789"
TEXT = st.text(max_size=20)
NUMBER = st.integers() | st.floats(allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
TOKENS = st.builds(
    Token,
    access_token=TEXT,
    token_type=TEXT,
    expires_in=st.none() | st.integers(),
    expires_at=st.none() | NUMBER,
    refresh_token=st.none() | TEXT,
    id_token=st.none() | TEXT,
    scope=st.none() | st.lists(TEXT, max_size=3).map(tuple),
    extra=st.dictionaries(TEXT, JSON, max_size=2),
)
FIELDS = [
    "version",
    "access_token",
    "token_type",
    "expires_in",
    "expires_at",
    "refresh_token",
    "id_token",
    "scope",
    "extra",
]


def understood(data: bytes | str) -> Token | None:
    """Return the token, or None if it is rejected correctly."""
    try:
        return decode_token(data, "/the/place")
    except StoreUnreadableError as error:
        message = str(error)
    assert message.startswith("/the/place: is not a ")
    return None


@given(TOKENS)
def test_encoding_and_decoding_keeps_a_token(token: Token) -> None:
    data = encode_token(token)
    assert decode_token(data, "here") == token
    assert decode_token(data.decode(), "here") == token
    assert not is_newer_format(data)


@given(TOKENS, st.data())
def test_rejects_a_truncated_record(token: Token, data: st.DataObject) -> None:
    record = encode_token(token)
    assert understood(record[: data.draw(st.integers(0, len(record) - 1))]) is None


@given(st.binary(max_size=200))
def test_rejects_bytes_that_are_not_a_record(data: bytes) -> None:
    assert understood(data) is None
    assert not is_newer_format(data)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5))
def test_a_decoded_token_has_the_right_types(record: dict[str, Any]) -> None:
    token = understood(json.dumps({**record, "version": VERSION}))
    if token is None:
        return
    assert isinstance(token.access_token, str)
    assert isinstance(token.token_type, str)
    assert isinstance(token.refresh_token, str | None)
    assert isinstance(token.id_token, str | None)
    assert isinstance(token.expires_at, float | int | None)
    assert isinstance(token.scope, tuple | None)
    assert isinstance(token.extra, dict)
    token.expired()
    assert decode_token(encode_token(token), "here") == token


@pytest.mark.parametrize("field", FIELDS[1:])
def test_names_a_field_of_the_wrong_type_without_its_value(field: str) -> None:
    record = {**json.loads(encode_token(Token("at"))), field: [{"secret": SECRET}]}
    if field == "extra":
        record[field] = [SECRET]
    with pytest.raises(StoreUnreadableError, match=field) as refused:
        decode_token(json.dumps(record), "/the/place")
    assert SECRET not in str(refused.value)


def test_ignores_unknown_fields() -> None:
    record = {**json.loads(encode_token(Token("at"))), "colour": "red"}
    assert decode_token(json.dumps(record), "here") == Token("at")


def test_distinguishes_a_newer_record_from_a_corrupt_one() -> None:
    later = json.dumps({"version": VERSION + 1, "token": "in another layout"})
    assert is_newer_format(later)
    with pytest.raises(StoreUnreadableError, match="newer grantway"):
        decode_token(later, "here")


@pytest.mark.parametrize("version", [None, "2", [2], 0, -1, {}])
def test_an_invalid_version_is_not_a_newer_one(version: Any) -> None:
    data = json.dumps({"version": version, "access_token": "at"})
    assert not is_newer_format(data)
    assert understood(data) is None


def circle() -> dict[str, Any]:
    around: dict[str, Any] = {"secret": SECRET}
    around["again"] = around
    return around


@pytest.mark.parametrize("extra", [{"set": {SECRET}}, {"bytes": SECRET.encode()}, circle()])
def test_rejects_values_that_json_cannot_express(
    extra: dict[str, Any],
) -> None:
    with pytest.raises(StoreSaveError, match="JSON") as refused:
        encode_token(Token("at", refresh_token=SECRET, extra=extra))
    assert SECRET not in str(refused.value)
    assert refused.value.__context__ is None
