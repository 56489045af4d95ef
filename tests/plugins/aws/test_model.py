"""The drop-in client has the operations of botocore's service model."""

from __future__ import annotations

import inspect
import pydoc
import typing
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from marshmallow import fields

import grantway
from grantway._exceptions import TOKEN_ERRORS, UnknownTokenError
from grantway_plugins import aws as sso_oidc
from grantway_plugins.aws import _iam as aws_iam
from grantway_plugins.aws._dialect import AWS_SSO_OIDC, REQUEST_NAMES, RESPONSE_NAMES
from grantway_plugins.aws._drop_in import model
from grantway_plugins.aws._drop_in.exceptions import MODELED
from grantway_plugins.aws._region_error import InvalidRequestRegionException
from tests import faults
from tests.faults import FaultServer
from tests.plugins.aws.aws import ours

SERVICE = ServiceModel(
    Loader().load_service_model("sso-oidc", "service-2"), service_name="sso-oidc"
)
OURS = {operation.name: operation for operation in model.OPERATIONS}
#: Valid parameters of each operation.
PARAMS: dict[str, dict[str, Any]] = {
    "CreateToken": {"clientId": "c", "clientSecret": "s", "grantType": "refresh_token"},
    "CreateTokenWithIAM": {"clientId": "c", "grantType": "refresh_token"},
    "RegisterClient": {"clientName": "n", "clientType": "public"},
    "StartDeviceAuthorization": {"clientId": "c", "clientSecret": "s", "startUrl": "https://x"},
}


def test_has_the_same_operations() -> None:
    assert sorted(OURS) == SERVICE.operation_names
    assert Loader().determine_latest_version("sso-oidc", "service-2") == model.API_VERSION
    with sso_oidc.client("eu-west-1") as client:
        assert set(client.meta.method_to_api_mapping.values()) == set(OURS)


@pytest.mark.parametrize("name", SERVICE.operation_names)
def test_an_operation_has_the_same_shapes(name: str) -> None:
    theirs, operation = SERVICE.operation_model(name), OURS[name]
    assert theirs.http == {"method": "POST", "requestUri": operation.path}
    kinds = {
        field.data_key: "list" if isinstance(field, fields.List) else "string"
        for field in operation.parameters.fields.values()
    }
    assert kinds == {key: one.type_name for key, one in theirs.input_shape.members.items()}
    required = {f.data_key for f in operation.parameters.fields.values() if f.required}
    assert required == set(theirs.input_shape.required_members)
    received = {RESPONSE_NAMES.get(member, member) for member in operation.response}
    assert received == set(theirs.output_shape.members)
    assert set(operation.errors) == {shape.name for shape in theirs.error_shapes}


@pytest.mark.parametrize("name", SERVICE.operation_names)
def test_the_types_have_the_same_members(name: str) -> None:
    theirs = SERVICE.operation_model(name)
    request, response = getattr(model, f"{name}Request"), getattr(model, f"{name}Response")
    assert set(request.__annotations__) == set(theirs.input_shape.members)
    assert request.__required_keys__ == set(theirs.input_shape.required_members)
    members = set(typing.get_type_hints(response))
    assert members == {*theirs.output_shape.members, "ResponseMetadata"}


@pytest.mark.parametrize("name", SERVICE.operation_names)
def test_sensitive_members_are_secret(name: str) -> None:
    members = SERVICE.operation_model(name).input_shape.members
    rfc = {aws: name for name, aws in REQUEST_NAMES.items()}
    sensitive = {
        rfc.get(key, key) for key, shape in members.items() if shape.metadata.get("sensitive")
    }
    assert sensitive <= model.SECRET


def test_has_the_same_exceptions() -> None:
    shapes = {shape.name for shape in SERVICE.error_shapes}
    assert set(MODELED) == shapes
    with sso_oidc.client("eu-west-1") as client:
        assert shapes <= set(dir(client.exceptions))
        for shape in shapes:
            assert client.exceptions.from_code(shape) is getattr(client.exceptions, shape)
        assert client.exceptions.from_code("NoSuchThing") is client.exceptions.ClientError


@pytest.mark.parametrize("shape", SERVICE.error_shapes, ids=lambda shape: shape.name)
def test_an_exception_has_its_status_and_members(shape: Any) -> None:
    status = shape.metadata["error"]["httpStatusCode"]
    body = {member: f"the {member}" for member in shape.members}
    wire = "invalid_request" if shape.name == "InvalidRequestRegionException" else ""
    body["error"] = wire or AWS_SSO_OIDC.error.codes[shape.name]
    with FaultServer(faults.respond(status, body, {"x-amzn-ErrorType": shape.name})) as server:
        client = ours(server.url)
        with pytest.raises(getattr(client.exceptions, shape.name)) as caught:
            client.register_client(clientName="n", clientType="public")
        client.close()
    response = caught.value.response
    assert response["Error"]["Code"] == shape.name
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert {member: response.get(member) for member in shape.members} == body


def test_the_dialect_knows_every_exception() -> None:
    assert {kind.__name__: kind.wire for kind in TOKEN_ERRORS}.items() <= dict(
        AWS_SSO_OIDC.error.codes
    ).items()
    assert not issubclass(InvalidRequestRegionException, UnknownTokenError)
    assert (
        grantway.default_registry().errors["InvalidRequestRegionException"]
        is InvalidRequestRegionException
    )


def test_has_the_signing_name_of_the_model() -> None:
    assert SERVICE.signing_name == aws_iam.SIGNING_NAME


@pytest.mark.parametrize("name", SERVICE.operation_names)
def test_help_lists_every_parameter_and_exception(name: str) -> None:
    theirs, operation = SERVICE.operation_model(name), OURS[name]
    with sso_oidc.client("eu-west-1") as client:
        method = getattr(client, operation.method)
        text = pydoc.render_doc(method, renderer=pydoc.plaintext)
        assert f"Unpack[{name}Request]" in text
        assert str(inspect.signature(method, eval_str=True).return_annotation).endswith(
            f"{name}Response'>"
        )
        assert typing.get_type_hints(method)
    for member in theirs.input_shape.members:
        required = ": Required." if member in theirs.input_shape.required_members else ":"
        kind = "list[str]" if theirs.input_shape.members[member].type_name == "list" else "str"
        assert f"{member} ({kind}){required}" in text
    if name != "CreateTokenWithIAM":  # lists only its own members
        assert all(f"{shape.name}:" in text for shape in theirs.error_shapes)
