"""Errors of a request to the wrong region name the right one."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from botocore.credentials import Credentials

import grantway
from grantway_plugins import aws
from grantway_plugins.aws import AwsIam
from grantway_plugins.aws._region_error import InvalidRequestRegionException
from tests import faults
from tests.faults import FaultServer

BODY = {
    "error": "invalid_request",
    "error_description": "The instance is in another region.",
    "endpoint": "https://oidc.eu-west-1.amazonaws.com",
    "region": "eu-west-1",
}
ANSWER = faults.respond(400, BODY, {"x-amzn-ErrorType": "InvalidRequestRegionException"})


def assert_names_region(error: Any) -> None:
    assert isinstance(error, grantway.InvalidRequestException)
    assert (error.endpoint, error.region) == (BODY["endpoint"], BODY["region"])
    assert error.error == "invalid_request"
    assert error.response["Error"]["Code"] == "InvalidRequestRegionException"
    assert error.response.items() >= BODY.items()


def test_grantways_client_names_the_region() -> None:
    with FaultServer(ANSWER) as server:
        client = grantway.Client(
            grantway.Provider(token_endpoint=f"{server.url}/token", dialect="aws-sso-oidc"),
            client_id="arn",
            auth=AwsIam("arn", "us-east-1", credentials=lambda: Credentials("AKIA", "s")),
        )
        with client, pytest.raises(InvalidRequestRegionException) as caught:
            client.create_token(grant_type="refresh_token", refresh_token="rt-1")
    assert_names_region(caught.value)
    assert_names_region(pickle.loads(pickle.dumps(caught.value)))


def test_the_drop_in_client_names_the_region() -> None:
    with FaultServer(ANSWER) as server:
        client = aws.client(
            "us-east-1", server.url, aws_access_key_id="AKIA", aws_secret_access_key="s"
        )
        with client, pytest.raises(client.exceptions.InvalidRequestRegionException) as caught:
            client.create_token_with_iam(
                clientId="arn", grantType="refresh_token", refreshToken="rt-1"
            )
    assert_names_region(caught.value)


def test_a_response_without_the_members_has_none() -> None:
    error = InvalidRequestRegionException("elsewhere")
    assert (error.endpoint, error.region) == (None, None)
    assert "region" not in error.response
