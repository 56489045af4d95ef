"""Tests of ``assert_grant_conforms``: a valid grant, and for each rule one that breaks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from marshmallow import INCLUDE, Schema, ValidationError, fields, pre_load, validates_schema

from grantway import (
    Grant,
    GrantSchema,
    Replay,
    RequestInvalidError,
    Scope,
    Text,
    Token,
    TokenError,
)
from grantway.testing import Fault, NonconformingGrantError, assert_grant_conforms
from grantway.testing._rules import RULES, looks_secret
from grantway.testing._sample_grant import leaks

RULE_NAMES = {"registration", *(rule.__name__.replace("_", "-") for rule in RULES)}


class CouponSchema(GrantSchema):
    """The coupon, the amount to spend, and the shops."""

    coupon_code = Text(required=True, example='"SPRING-2031"', maximum=64)
    amount = fields.Integer(
        metadata={"example": 5},
        error_messages={
            "null": "must be a whole number, such as 5",
            "invalid": "must be a whole number, such as 5",
        },
    )
    resource = fields.List(
        Text(example='"https://shop.example.com"'),
        error_messages={
            "null": "must be a list of addresses, such as the example",
            "invalid": 'must be a list, such as ["https://shop.example.com"]',
        },
    )
    scope = Scope()


class CouponSpentError(TokenError):
    """The coupon has been used."""

    code = wire = "coupon_spent"


GOOD = Grant(
    grant_type="urn:example:coupon",
    schema=CouponSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"coupon_code"}),
    repeatable=frozenset({"resource"}),
    single_use=frozenset({"coupon_code"}),
    summary="A token for a coupon",
)


def faults(grant: object, **options: Any) -> tuple[Fault, ...]:
    with pytest.raises(NonconformingGrantError) as caught:
        assert_grant_conforms(cast("Grant", grant), **options)
    return caught.value.faults


def the_fault(grant: object, **options: Any) -> Fault:
    found = faults(grant, **options)
    assert len(found) == 1, found
    return found[0]


def with_schema(schema: Schema, **more: Any) -> Grant:
    """Return a grant that breaks only the rules that its schema breaks."""
    secret = frozenset({"coupon_code"} & set(schema.fields))
    return Grant("urn:example:coupon", schema, secret=secret, summary="A test", **more)


def test_a_valid_grant_conforms() -> None:
    assert_grant_conforms(GOOD, errors={"coupon_spent": CouponSpentError})


def test_the_message_names_the_rule_the_problem_and_the_fix() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_grant_conforms(replace(GOOD, summary="", secret=frozenset(), single_use=frozenset()))
    assert str(caught.value) == (
        "the grant urn:example:coupon does not conform:\n"
        "  secret-names: its field coupon_code has the name of a secret, but is not in secret, so "
        "errors would show its value\n"
        '    To fix it: secret=frozenset({"coupon_code"}), or, if it is no secret, '
        'assert_grant_conforms(..., public={"coupon_code"})\n'
        "  docs: it has no summary\n"
        '    To fix it: summary="A token for a coupon"'
    )


# --- registration -------------------------------------------------------------------------------


class Misspelling(Schema):
    """A schema that keeps unknown fields."""

    class Meta:
        """The options; marshmallow defaults to RAISE."""

        unknown = INCLUDE

    coupon_code = Text(required=True, example='"SPRING-2031"')


@pytest.mark.parametrize(
    ("grant", "reported"),
    [
        ("coupon", "returned a str, not a grantway.Grant"),
        (replace(GOOD, grant_type=""), "has an empty grant_type"),
        (replace(GOOD, grant_type=cast("str", None)), "has an empty grant_type"),
        (replace(GOOD, grant_type=" urn:example:coupon"), "has a space"),
        (replace(GOOD, schema=cast("Schema", None)), "its schema must be an instance"),
        (replace(GOOD, schema=cast("Schema", CouponSchema)), "use an instance, CouponSchema()"),
        (with_schema(Misspelling()), "accepts unknown fields"),
        (
            replace(GOOD, secret=frozenset({"coupon"})),
            "secret names coupon, which is not in its schema",
        ),
        (replace(GOOD, repeatable=frozenset({"audience"})), "repeatable names audience"),
        (replace(GOOD, replay=cast("Replay", "never")), "replay must be a grantway.Replay"),
        (replace(GOOD, replay=Replay.SAFE), "is single-use (it is in single_use); use Replay."),
    ],
)
def test_a_grant_that_cannot_be_registered_does_not_conform(grant: object, reported: str) -> None:
    fault = the_fault(grant)
    assert fault.rule == "registration"
    assert reported in fault.what


# --- the schema ----------------------------------------------------------------------------------


class NoExample(GrantSchema):
    """A field without an example."""

    number = fields.Integer(
        required=True,
        error_messages=dict.fromkeys(("required", "null", "invalid"), "like a number"),
    )


def test_requires_an_example_if_the_fields_have_none() -> None:
    fault = the_fault(with_schema(NoExample()))
    assert fault.rule == "requests"
    assert "example={...}" in fault.remedy
    assert_grant_conforms(with_schema(NoExample()), example={"number": 5})


def test_reports_an_unknown_name_in_the_example() -> None:
    (fault, *_) = faults(with_schema(NoExample()), example={"nummer": 5})
    assert "its schema lacks nummer of example=" in fault.what


@dataclass(frozen=True, eq=False)
class Insatiable(Grant):
    """Requires a member of the response that the RFC does not guarantee."""

    def process_token(self, params: Mapping[str, Any], token: Token) -> Token:
        return replace(token, scope=token.extra["scopes"])


def test_process_token_must_accept_a_minimal_response() -> None:
    grant = Insatiable("urn:example:coupon", CouponSchema(), summary="A test")
    grant = replace(grant, secret=GOOD.secret, repeatable=GOOD.repeatable)
    fault = the_fault(grant)
    assert fault.rule == "requests"
    assert "process_token raised KeyError" in fault.what


class Dropping(CouponSchema):
    """Drops unknown names before marshmallow checks them."""

    @pre_load
    def drop(self, data: Any, **_: Any) -> Any:
        return {name: value for name, value in data.items() if name in self.fields}


def test_detects_a_schema_that_drops_unknown_names() -> None:
    rules = {fault.rule for fault in faults(replace(GOOD, schema=Dropping()))}
    assert "unknown-names" in rules


class Careless(CouponSchema):
    """Treats every value as a string."""

    @pre_load
    def tidy(self, data: Any, **_: Any) -> Any:
        return {name: value.strip() if name == "scope" else value for name, value in data.items()}


def test_detects_a_schema_that_fails_on_invalid_values() -> None:
    found = faults(replace(GOOD, schema=Careless()), example={"scope": "read"})
    odd = next(fault for fault in found if fault.rule == "odd-values")
    assert "its schema raised AttributeError when scope was a NoneType" in odd.what


class Terse(GrantSchema):
    """A field with marshmallow's default messages."""

    amount = fields.Integer(required=True, metadata={"example": 5})


def test_quotes_an_error_without_an_example() -> None:
    found = faults(with_schema(Terse()))
    assert {fault.rule for fault in found} == {"examples"}
    assert [fault.what.partition("; its error is: ")[2] for fault in found] == [
        "Missing data for required field.",
        "Field may not be null.",
        "Not a valid integer.",
    ]


class Undemanding(GrantSchema):
    """A field that accepts anything."""

    claims = fields.Raw(metadata={"example": {"sub": "me"}}, allow_none=True)


def test_detects_a_field_that_accepts_any_type() -> None:
    fault = the_fault(with_schema(Undemanding()))
    assert (fault.rule, fault.what) == (
        "examples",
        "its field claims reports no error when it is of the wrong type",
    )


class OneByOne(CouponSchema):
    """Stops at the first error."""

    @pre_load
    def stop(self, data: Any, **_: Any) -> Any:
        if not isinstance(data.get("coupon_code", ""), str):
            raise ValidationError({"coupon_code": ["must be a string, like SPRING-2031"]})
        return data


def test_detects_an_error_that_hides_others() -> None:
    found = faults(replace(GOOD, schema=OneByOne()))
    hidden = next(fault for fault in found if fault.rule == "all-errors")
    assert hidden.what.startswith("the errors of amount, resource, scope are not reported")


# --- secrets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("code", "device_code", "refresh_token", "client_secret", "code_verifier", "apiKey"),
        *("assertion", "password", "subject_token", "id_token_hint", "signingKey", "otp"),
    ],
)
def test_recognizes_names_of_secrets(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("scope", "redirect_uri", "audience", "subject_token_type", "token_type_hint", "key_id"),
        *("code_challenge", "code_challenge_method", "login_hint", "monkey", "tokenType", ""),
    ],
)
def test_recognizes_names_that_are_not_secret(name: str) -> None:
    assert not looks_secret(name)


def test_detects_secrets_by_their_use() -> None:
    class Hidden(GrantSchema):
        """Two secrets without a secret's name."""

        coupon = Text(required=True, example='"SPRING-2031"')
        pepper = Text(example='"chili"', load_only=True)

    grant = with_schema(Hidden(), single_use=frozenset({"coupon"}))
    found = {fault.what for fault in faults(grant) if fault.rule == "secret-names"}
    assert {what.partition(",")[0] for what in found} == {
        "its field coupon is single-use",
        "its field pepper is load_only",
    }


def test_accepts_a_name_declared_as_public() -> None:
    class Region(GrantSchema):
        """The country."""

        country_code = Text(required=True, example='"CH"')

    found = faults(with_schema(Region()))
    assert "secret-names" in {fault.rule for fault in found}
    with pytest.raises(NonconformingGrantError) as caught:  # classes in functions cannot be pickled
        assert_grant_conforms(with_schema(Region()), public={"country_code"})
    assert {fault.rule for fault in caught.value.faults} == {"pickling"}


class Quoting(GrantSchema):
    """Quotes the input in an error."""

    coupon_code = Text(required=True, example='"SPRING-2031"')

    @validates_schema
    def check(self, data: Any, **_: Any) -> None:
        if len(data["coupon_code"]) > 12:
            raise ValidationError({"coupon_code": [f"{data['coupon_code']} is not like SPRING"]})


def test_detects_a_schema_that_quotes_a_secret() -> None:
    fault = the_fault(with_schema(Quoting()))
    assert fault.rule == "secret-values"
    assert "coupon_code appears in its attributes, its pickle, its traceback, repr(), str()" in (
        fault.what
    )


@dataclass(frozen=True, eq=False)
class Chaining(Grant):
    """Chains the error that contains the input."""

    def load(self, params: Mapping[str, Any]) -> Any:
        try:
            return self.schema.load(params)
        except ValidationError as invalid:
            raise RequestInvalidError("No.", errors=invalid.normalized_messages()) from invalid


def test_detects_a_chained_error_with_a_secret() -> None:
    grant = Chaining("urn:example:coupon", CouponSchema(), summary="A test")
    found = faults(replace(grant, secret=GOOD.secret, repeatable=GOOD.repeatable))
    assert any("its causes" in fault.what for fault in found)
    assert "load returned a dict, whose repr shows the values" in found[0].what


def test_ignores_the_digits_of_durations() -> None:
    error = RequestInvalidError("No.", errors={})
    error.__dict__.update(seconds=2.0417, tiny=1.04177e-05)
    assert leaks(error, "0417") == []
    error.__dict__["pin"] = "0417"
    assert leaks(error, "0417") == ["its attributes", "its pickle"]


class TalkativeError(TokenError):
    """Adds a parameter to the message."""

    code = wire = "coupon_spent"

    def __init__(self, message: str = "", **options: Any) -> None:
        super().__init__(f"{message} (coupon SPRING-2031)", **options)


def test_detects_an_error_class_that_shows_a_secret() -> None:
    found = faults(GOOD, errors={"coupon_spent": TalkativeError})
    assert any(
        fault.rule == "secret-values"
        and "of TalkativeError when the provider repeats" in fault.what
        for fault in found
    )


# --- other rules --------------------------------------------------------------------------------


def test_rejects_replay_safe_with_a_single_use_name() -> None:
    fault = the_fault(replace(GOOD, replay=Replay.SAFE, single_use=frozenset()))
    assert fault.rule == "replay"
    assert "replay=Replay.NEVER" in fault.remedy
    assert_grant_conforms(
        replace(GOOD, replay=Replay.SAFE, single_use=frozenset()), public={"coupon_code"}
    )


def test_requires_lists_to_be_repeatable() -> None:
    fault = the_fault(replace(GOOD, repeatable=frozenset()))
    assert (fault.rule, fault.remedy) == (
        "repeatable",
        'repeatable=frozenset({"resource"}), or make it one string',
    )


def test_requires_repeatable_parameters_to_accept_lists() -> None:
    fault = the_fault(replace(GOOD, repeatable=frozenset({"resource", "amount"})))
    assert "amount is in repeatable, but does not accept a list" in fault.what


def test_detects_a_grant_that_cannot_be_pickled() -> None:
    class Local(CouponSchema):
        """A class that pickle cannot import."""

    fault = the_fault(replace(GOOD, schema=Local()))
    assert fault.rule == "pickling"
    assert "it cannot be pickled: " in fault.what
    assert "at module level" in fault.remedy


class UndocumentedError(TokenError):  # noqa: D101 - that is what is tested
    code = wire = "coupon_lost"


class FormError(TokenError):
    """Loses its arguments when it is pickled."""

    code = wire = "coupon_spent"

    def __reduce__(self) -> tuple[Any, ...]:
        return (FormError, ())


@pytest.mark.parametrize(
    ("code", "kind", "reported"),
    [
        ("coupon_lost", UndocumentedError, "has no docstring"),
        ("coupon_gone", CouponSpentError, "is registered for coupon_gone, but its wire is"),
        ("coupon_spent", FormError, "changes when it is pickled"),
    ],
)
def test_detects_faulty_error_classes(code: str, kind: type[TokenError], reported: str) -> None:
    fault = the_fault(GOOD, errors={code: kind})
    assert fault.rule == "errors"
    assert reported in fault.what


class Undocumented(CouponSchema):  # noqa: D101 - that is what is tested
    pass


@dataclass(frozen=True, eq=False)
class UndocumentedGrant(Grant):  # noqa: D101 - that is what is tested
    pass


@pytest.mark.parametrize(
    ("grant", "reported"),
    [
        (replace(GOOD, summary=" "), "it has no summary"),
        (
            replace(GOOD, summary="a\nb"),
            "its summary is not a single line of at most 100 characters",
        ),
        (replace(GOOD, summary="a" * 101), "its summary is not a single line"),
        (replace(GOOD, schema=Undocumented()), "its class Undocumented has no docstring"),
        (
            UndocumentedGrant(
                GOOD.grant_type,
                GOOD.schema,
                secret=GOOD.secret,
                repeatable=GOOD.repeatable,
                summary=GOOD.summary,
            ),
            "its class UndocumentedGrant has no docstring",
        ),
    ],
)
def test_requires_a_summary_and_docstrings(grant: Grant, reported: str) -> None:
    fault = the_fault(grant)
    assert fault.rule == "docs"
    assert reported in fault.what


def test_every_rule_has_a_test() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in sorted(RULE_NAMES) if f'"{name}"' not in text] == []
