"""The clients that tests compare: boto3's and the drop-in."""

from __future__ import annotations

from typing import Any

from botocore.config import Config

from grantway_plugins import aws
from tests.aws_sessions import boto3_session
from tests.waiting import PATIENCE

#: Valid parameters of ``create_token``.
CALL: dict[str, Any] = {
    "clientId": "client-1",
    "clientSecret": "cs-very-secret-0123456789",
    "grantType": "refresh_token",
    "refreshToken": "rt-very-secret-0123456789",
}


def stock(endpoint_url: str) -> Any:
    """Return boto3's client, with at most one retry."""
    return boto3_session().client(
        "sso-oidc",
        region_name="us-east-1",
        endpoint_url=endpoint_url,
        config=Config(retries={"total_max_attempts": 2}, read_timeout=PATIENCE),
    )


def ours(endpoint_url: str) -> Any:
    """Return the drop-in client."""
    return aws.client(region_name="us-east-1", endpoint_url=endpoint_url, timeout=PATIENCE)
