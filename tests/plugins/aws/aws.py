"""The two clients that one test body runs against: the stock one, and the drop-in."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from grantway_plugins import aws
from tests.waiting import PATIENCE

#: Parameters that pass; the server's script decides what comes of them.
CALL: dict[str, Any] = {
    "clientId": "client-1",
    "clientSecret": "cs-very-secret-0123456789",
    "grantType": "refresh_token",
    "refreshToken": "rt-very-secret-0123456789",
}


def stock(endpoint_url: str) -> Any:
    """boto3's client. It sends twice at most: the bodies here are about answers."""
    return boto3.client(
        "sso-oidc",
        region_name="us-east-1",
        endpoint_url=endpoint_url,
        config=Config(retries={"total_max_attempts": 2}, read_timeout=PATIENCE),
    )


def ours(endpoint_url: str) -> Any:
    """The drop-in."""
    return aws.client(region_name="us-east-1", endpoint_url=endpoint_url, timeout=PATIENCE)
