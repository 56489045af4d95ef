"""Schemas reject invalid parameters with clear errors that contain no values."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

import pytest
from hypothesis import given, strategies as st
from marshmallow import Schema, ValidationError, pre_load, validates_schema

from grantway import Client, ConfigurationError, Grant, GrantSchema, Provider, Scope, Text
from grantway._exceptions import RequestInvalidError, UnknownGrantTypeError
from grantway._secrets.params import Params
from tests import faults
from tests.faults import FaultServer

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
MARK = "caller-value-0123456789"
VERIFIER = "v" * 43
BAD_TEXTS: dict[str, Any] = {
    "a number": 17,
    "bytes": MARK.encode(),
    "a list": [MARK],
    "a mapping": {MARK: MARK},
    "null": None,
    "empty": "",
    "a newline": f"{MARK}\r\n",
    "a control character": f"{MARK}\x00",
    "no ASCII": f"{MARK}é",
    "half a character": f"{MARK}\ud800",
    "too long": MARK * 4000,
}
BAD_SCOPES: dict[str, Any] = {
    "a number": 17,
    "null": None,
    "a mapping": {MARK: 1},
    "numbers": [1, 2],
    "a quote": [f'{MARK}"'],
    "a backslash": f"{MARK}\\",
    "a space in a name": [f"{MARK} b"],
    "an empty name": ["a", ""],
    "no ASCII": [f"{MARK}é"],
}
FIELDS: dict[str, dict[str, str]] = {
    "refresh_token": {"refresh_token": "rt"},
    "authorization_code": {
        "code": "c",
        "redirect_uri": "http://127.0.0.1/cb",
        "code_verifier": VERIFIER,
    },
    DEVICE: {"device_code": "d"},
}
REQUIRED = {"refresh_token": "refresh_token", "authorization_code": "code", DEVICE: "device_code"}


def assert_hidden(error: BaseException) -> None:
    chain = "".join(traceback.format_exception(error))
    assert MARK not in chain
    assert MARK not in repr(error)
    assert MARK not in repr(vars(error))
    assert MARK.encode() not in pickle.dumps(error)
    assert error.__cause__ is None
    assert error.__context__ is None


def refused(grant_type: str, **params: Any) -> RequestInvalidError:
    """Return the error of a call after asserting that nothing was sent."""
    with FaultServer(faults.respond()) as server:
        provider = Provider(token_endpoint=server.token_endpoint)
        with (
            Client(provider, client_id="c", client_secret="s-secret") as client,
            pytest.raises(RequestInvalidError, match=r"[Nn]othing was sent") as caught,
        ):
            client.create_token(grant_type=grant_type, **params)
    assert server.connections == 0
    assert_hidden(caught.value)
    return caught.value


@pytest.mark.parametrize("grant_type", FIELDS)
def test_a_missing_parameter_is_named_with_an_example(grant_type: str) -> None:
    error = refused(grant_type)
    name = REQUIRED[grant_type]
    assert list(error.errors) == [name]
    assert f"{name} is required, like " in str(error)
    assert error.evidence.grant_type == grant_type


@pytest.mark.parametrize("value", BAD_TEXTS.values(), ids=BAD_TEXTS)
@pytest.mark.parametrize(
    ("grant_type", "field"), [(grant, name) for grant, names in FIELDS.items() for name in names]
)
def test_each_text_is_checked(grant_type: str, field: str, value: Any) -> None:
    error = refused(grant_type, **{**FIELDS[grant_type], field: value})
    assert list(error.errors) == [field]
    assert "like " in error.errors[field][0]


@pytest.mark.parametrize("value", BAD_SCOPES.values(), ids=BAD_SCOPES)
@pytest.mark.parametrize("grant_type", FIELDS)
def test_each_scope_is_checked(grant_type: str, value: Any) -> None:
    assert list(refused(grant_type, **FIELDS[grant_type], scope=value).errors) == ["scope"]


@pytest.mark.parametrize("verifier", ["v" * 42, "v" * 129, "v" * 50 + "+", "v" * 50 + " "])
def test_a_verifier_has_43_to_128_unreserved_characters(verifier: str) -> None:
    error = refused("authorization_code", code="c", code_verifier=verifier)
    assert list(error.errors) == ["code_verifier"]


@pytest.mark.parametrize("grant_type", FIELDS)
def test_one_error_lists_all_invalid_fields(grant_type: str) -> None:
    bad: dict[str, Any] = {name: MARK.encode() for name in FIELDS[grant_type]}
    error = refused(grant_type, **bad, scope=1, misspelt=MARK)
    assert set(error.errors) == {*bad, "scope", "misspelt"}
    assert all(f"{name} " in str(error) for name in error.errors)


def test_an_unknown_grant_type_lists_the_known_and_the_nearest() -> None:
    error = refused("device_code", device_code=MARK)
    assert isinstance(error, UnknownGrantTypeError)
    assert error.nearest == DEVICE
    assert {"authorization_code", "refresh_token", DEVICE} <= set(error.registered)
    assert all(name in str(error) for name in error.registered)


@pytest.mark.parametrize("grant_type", [None, 7, ["refresh_token"], ""])
def test_a_grant_type_of_another_type_is_unknown(grant_type: Any) -> None:
    with FaultServer(faults.respond()) as server:
        client = Client(Provider(token_endpoint=server.token_endpoint), client_id="c")
        with pytest.raises(UnknownGrantTypeError):
            client.create_token(grant_type=grant_type)
        client.close()
    assert server.connections == 0


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        ({"refresh_token": MARK}, "extra.refresh_token"),
        ({"client_secret": MARK}, "extra.client_secret"),
        ({"grant_type": MARK}, "extra.grant_type"),
        ({"audience": 3}, "extra.audience"),
        ({"audience": [MARK, 3]}, "extra.audience"),
        ({"audience": MARK + "\ud800"}, "extra.'audience'"),
    ],
)
def test_extra_parameters_are_checked(extra: dict[str, Any], field: str) -> None:
    error = refused("refresh_token", refresh_token="rt", extra=extra)
    assert list(error.errors) == [field]


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_rejects_an_invalid_timeout(timeout: float) -> None:
    provider = Provider(token_endpoint="https://example.com/token")
    with pytest.raises(ConfigurationError, match="timeout"):
        Client(provider, client_id="c", timeout=timeout)
    with (
        Client(provider, client_id="c") as client,
        pytest.raises(ConfigurationError, match="timeout"),
    ):
        client.create_token(grant_type="refresh_token", refresh_token="rt", timeout=timeout)


class Everything(GrantSchema):
    """A schema with one field of each kind."""

    text = Text(example='"x"')
    scope = Scope()


GRANT = Grant(grant_type="everything", schema=Everything())


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1))
def test_keeps_every_valid_string(value: str) -> None:
    assert GRANT.load({"text": value}) == {"text": value}


@given(st.text())
def test_a_string_is_kept_or_rejected(value: str) -> None:
    travels = bool(value) and all(" " <= character <= "~" for character in value)
    try:
        loaded = GRANT.load({"text": value})
    except RequestInvalidError:
        assert not travels
    else:
        assert travels
        assert loaded["text"] == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4),
        max_leaves=8,
    )
)
def test_a_scope_is_a_list_of_names_or_rejected(value: Any) -> None:
    try:
        names = GRANT.load({"scope": value})["scope"]
    except RequestInvalidError:
        assert not (
            isinstance(value, list)
            and all(isinstance(v, str) and v.isalnum() and v.isascii() for v in value)
        )
    else:
        assert GRANT.load({"scope": " ".join(names)})["scope"] == names
        assert len(set(names)) == len(names)
        assert not any(set(name) & set(' "\\') for name in names)


NAMES = st.text(alphabet=st.sampled_from("abc:/.!#~"), min_size=1)


@given(st.lists(NAMES, unique=True))
def test_a_scope_may_be_a_string_or_any_collection(names: list[str]) -> None:
    given_as = [names, tuple(names), " ".join(names)]
    assert {GRANT.load({"scope": value})["scope"] for value in given_as} == {tuple(names)}
    assert GRANT.load({"scope": set(names)})["scope"] == tuple(sorted(names))


class Mixed:
    """Strips values, without being a schema."""

    @pre_load
    def strip(self, data: dict[str, str], **options: Any) -> dict[str, str]:
        return {name: value.strip() for name, value in data.items()}


class Checked(Schema):
    """Rejects a spent coupon, without being a GrantSchema."""

    @validates_schema
    def check(self, data: dict[str, str], **options: Any) -> None:
        if data.get("coupon") == "SPENT":
            raise ValidationError("is spent", "coupon")


class Hooked(GrantSchema, Mixed, Checked):
    """Inherits hooks."""

    coupon = Text(example="SPRING")


class Inheriting(Hooked):
    """Inherits hooks of a base class's bases."""

    more = Text(example="more")


@pytest.mark.parametrize("schema", [Hooked, Inheriting])
def test_a_schema_runs_the_hooks_of_all_its_bases(schema: type[GrantSchema]) -> None:
    grant = Grant(grant_type="urn:example:coupon", schema=schema())
    assert grant.load({"coupon": " SPRING "}) == {"coupon": "SPRING"}
    with pytest.raises(RequestInvalidError, match="coupon is spent"):
        grant.load({"coupon": "SPENT"})


def test_the_repr_of_parameters_shows_only_names() -> None:
    params = Params({"refresh_token": MARK, "scope": ("a",)})
    assert repr(params) == str(params) == f"{params}" == "Params(refresh_token, scope)"
