"""Parameters with another name on the wire (``data_key``), or with the name of an argument."""

from __future__ import annotations

import inspect
import json
import pickle
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from marshmallow import ValidationError, fields, validates_schema

import grantway
from grantway import (
    Client,
    Grant,
    GrantInvalidError,
    GrantSchema,
    Provider,
    Replay,
    RequestInvalidError,
    RequestShape,
    Text,
    Token,
)
from grantway._plugins.grant_rules import check_grant
from grantway.testing import NonconformingGrantError, Register, assert_grant_conforms
from grantway_plugins.issuer import Denial, GrantRequest, Issue
from grantway_plugins.testing._live_issuer import LiveIssuer
from tests import faults
from tests.faults import FaultServer

TYPE = "urn:ietf:params:oauth:grant-type:pre-authorized_code"
WIRE = "pre-authorized_code"
SECRET = "oaKazRN8I0IbtZ0C7JuMn5"


class PreAuthorized(GrantSchema):
    """Parameters of the pre-authorized code grant (OpenID4VCI 1.0 section 6.1)."""

    code = Text(required=True, example='"oaKazRN8"', data_key=WIRE)
    tx_code = Text(example='"493536"')

    @validates_schema
    def check_different(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject the same value for both parameters."""
        if data.get("code") == data.get("tx_code"):
            raise ValidationError({"code": ["must differ from tx_code"]})


GRANT = Grant(
    TYPE,
    PreAuthorized(),
    secret=frozenset({"code", "tx_code"}),
    single_use=frozenset({"code"}),
    summary="A token for a pre-authorized code",
)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(faults.respond(), faults.respond()) as server:
        yield server


def client(server: FaultServer, *grants: Grant, **more: Any) -> Client:
    registry = grantway.build_registry(only=["grantway"])
    dialect = more.pop("dialect", "rfc6749")
    provider = Provider(server.token_endpoint, dialect=dialect)
    return Client(provider, client_id="c", registry=registry, grants=grants, **more)


@pytest.mark.parametrize("name", [WIRE, "code"])
def test_sends_a_parameter_by_its_data_key(server: FaultServer, name: str) -> None:
    with client(server, GRANT) as asking:
        asking.create_token(grant_type=TYPE, **{name: SECRET}, tx_code="493536")
    form = server.requests[0].form
    assert form == {
        "grant_type": [TYPE],
        WIRE: [SECRET],
        "tx_code": ["493536"],
        "client_id": ["c"],
    }


@pytest.mark.parametrize("name", [WIRE, "code"])
def test_a_credential_sends_a_parameter_by_its_data_key(server: FaultServer, name: str) -> None:
    with client(server, GRANT) as asking:
        first = asking.credential(grant_type=TYPE, **{name: SECRET})
        assert first.key == asking.credential(grant_type=TYPE, **{WIRE: SECRET}).key
        assert not first.fresh
        first.token()
    assert server.requests[0].form[WIRE] == [SECRET]


class Item(GrantSchema):
    """A nested parameter."""

    kind = Text(required=True, example='"account"', data_key="type")


class Detailed(GrantSchema):
    """Parameters with rich authorization details (RFC 9396)."""

    details = fields.List(fields.Nested(Item), data_key="authorization_details")
    main = fields.Nested(Item)
    alias = Text(example='"x"', attribute="internal")


def test_sends_nested_parameters_by_their_wire_names(server: FaultServer) -> None:
    json_dialect = grantway.Dialect("json", request=RequestShape(encoding="json"))
    grant = Grant("urn:example:detailed", Detailed(), secret=frozenset({"alias"}))
    with client(server, grant, dialect=json_dialect) as asking:
        asking.create_token(
            grant_type="urn:example:detailed",
            authorization_details=[{"type": "account"}],
            main={"type": "payment"},
            alias=SECRET,
        )
    sent = json.loads(server.requests[0].body)
    assert sent["authorization_details"] == [{"type": "account"}]
    assert sent["main"] == {"type": "payment"}
    assert sent["alias"] == SECRET
    assert "internal" not in sent


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {WIRE: "is required"}),
        ({WIRE: ""}, {WIRE: "must not be empty"}),
        ({"code": ""}, {WIRE: "must not be empty"}),
        ({"code": SECRET, WIRE: SECRET}, {WIRE: "is given twice, as code too"}),
        ({WIRE: SECRET, "tx_code": SECRET}, {WIRE: "must differ from tx_code"}),
        ({WIRE: SECRET, "pre_authorized_code": SECRET}, {"pre_authorized_code": "is not a param"}),
    ],
)
def test_errors_use_the_wire_name(given: Any, expected: dict[str, str]) -> None:
    with pytest.raises(RequestInvalidError) as raised:
        GRANT.load(given)
    assert raised.value.errors.keys() == expected.keys()
    for name, rule in expected.items():
        assert raised.value.errors[name][0].startswith(rule)
    assert SECRET not in str(raised.value)
    if WIRE in expected:
        # A keyword argument cannot contain a hyphen, so the error also names the Python field.
        assert f"{WIRE} (code in Python)" in str(raised.value)


@pytest.mark.parametrize("secret", ["code", WIRE])
def test_masks_a_secret_with_a_data_key_that_the_provider_repeats(secret: str) -> None:
    grant = Grant(TYPE, PreAuthorized(), secret=frozenset({secret}))
    echo = {"error": "invalid_grant", "error_description": f"{SECRET} is spent"}
    with (
        FaultServer(faults.respond(400, echo)) as server,
        client(server, grant) as asking,
        pytest.raises(grantway.InvalidGrantException) as raised,
    ):
        asking.create_token(grant_type=TYPE, **{WIRE: SECRET})
    shown = [str(raised.value), repr(vars(raised.value)), *traceback.format_exception(raised.value)]
    assert not any(SECRET in each for each in shown)


def test_process_token_receives_the_loaded_parameters(server: FaultServer) -> None:
    seen: list[Mapping[str, Any]] = []

    class RecordingGrant(Grant):
        """Records the parameters that process_token receives."""

        def process_token(self, params: Mapping[str, Any], token: Token) -> Token:
            seen.append(params)
            return token

    with client(server, RecordingGrant(TYPE, PreAuthorized())) as asking:
        asking.create_token(grant_type=TYPE, **{WIRE: SECRET})
    assert seen[0]["code"] == SECRET


@pytest.mark.parametrize("name", ["code", WIRE])
def test_extra_cannot_replace_a_parameter_with_a_data_key(server: FaultServer, name: str) -> None:
    with client(server, GRANT) as asking, pytest.raises(RequestInvalidError, match=f"extra.{name}"):
        asking.create_token(grant_type=TYPE, **{WIRE: SECRET}, extra={name: "other"})


class PreAuthorizedIssuer:
    """Issuer grant that accepts one code."""

    def decide(self, request: GrantRequest, transaction: Any) -> Issue | Denial:
        if request.params["code"] != SECRET:
            return Denial("invalid_grant", "The code is unknown")
        return request.issue(subject="holder")


def test_the_issuer_loads_the_parameter_with_the_same_schema(
    grantway_register: Register, grantway_issuer: LiveIssuer
) -> None:
    grantway_register(GRANT, issuer=PreAuthorizedIssuer())
    asking = grantway_issuer.client()
    assert asking.create_token(grant_type=TYPE, **{WIRE: SECRET}).access_token
    with pytest.raises(grantway.InvalidGrantException):
        asking.create_token(grant_type=TYPE, **{WIRE: "another"})


def test_a_grant_with_data_keys_conforms_and_can_be_pickled() -> None:
    assert_grant_conforms(GRANT)
    assert_grant_conforms(GRANT, example={"code": "x", "tx_code": "y"})
    twin = pickle.loads(pickle.dumps(GRANT))
    assert twin.load({WIRE: "x"}) == {"code": "x"}


# --- Reserved names -----------------------------------------------------------------------------

#: Names of the arguments of calls, which no parameter can have.
TAKEN = sorted(
    {
        name
        for call in (Client.create_token, Client.credential, Client.credential_pool)
        for name, each in inspect.signature(call).parameters.items()
        if each.kind is not each.VAR_KEYWORD
    }
)


def named(name: str, **options: Any) -> Grant:
    schema = GrantSchema.from_dict({name: Text(required=True, example='"x"', **options)})
    return Grant("urn:example:named", schema(), summary="A test")


def test_arguments_include_timeout_and_cancel() -> None:
    assert {
        *("timeout", "extra", "cancel", "attempts", "subject", "key", "store", "refresh"),
        *("on_token", "freshness", "entries", "grant_type", "self"),
    } <= set(TAKEN)


@pytest.mark.parametrize("name", TAKEN)
def test_rejects_a_field_named_like_an_argument_and_suggests_a_fix(name: str) -> None:
    with pytest.raises(GrantInvalidError) as refused:
        check_grant(named(name))
    if name != "grant_type":
        assert f'{name}_value = Text(..., data_key="{name}")' in str(refused.value)
    with pytest.raises(NonconformingGrantError, match="registration"):
        assert_grant_conforms(named(name))


@pytest.mark.parametrize("name", [each for each in TAKEN if each != "grant_type"])
def test_the_suggested_fix_works(server: FaultServer, name: str) -> None:
    grant = named(f"{name}_value", data_key=name)
    check_grant(grant)
    with client(server, grant) as asking:
        asking.create_token(grant_type="urn:example:named", **{f"{name}_value": "alice"})
        asking.credential(grant_type="urn:example:named", **{f"{name}_value": "alice"}).token()
    assert [each.form[name] for each in server.requests] == [["alice"], ["alice"]]


class Asynchronous(GrantSchema):
    """A schema with an asynchronous rule, which marshmallow would not await."""

    coupon = Text(example='"x"')

    @validates_schema
    async def report(self, data: Any, **_: Any) -> None:
        """Accept every value asynchronously."""


async def late(value: Any) -> None:
    """Accept every value asynchronously."""


class Late(Grant):
    """A grant with an asynchronous process_token."""

    async def process_token(self, params: Any, token: Token) -> Token:  # type: ignore[override]
        return token


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        (named("secret", data_key="client_id"), "has client_id, which grantway sets"),
        (named("code", data_key=""), "data_key='' of its field.code is empty"),
        (named("code", data_key="a b"), "has a space"),
        (named("code", attribute="a.b"), "attribute='a.b' of its field.code has a dot"),
        # A field sent as ``code`` is single-use whatever its Python name (RFC 6749 section 4.1.2).
        (
            Grant("urn:x", named("grant_code", data_key="code").schema, replay=Replay.SAFE),
            "its field code is single-use",
        ),
        (Grant("urn:x", Asynchronous()), "report of its schema is asynchronous"),
        (named("coupon", validate=late), "a validator of its field.coupon is asynchronous"),
        (Late("urn:x", GrantSchema()), "process_token of the grant is asynchronous"),
    ],
)
def test_rejects_an_invalid_schema(grant: Grant, expected: str) -> None:
    with pytest.raises(GrantInvalidError) as refused:
        check_grant(grant)
    assert expected in str(refused.value)
    with pytest.raises(NonconformingGrantError):
        assert_grant_conforms(grant)
