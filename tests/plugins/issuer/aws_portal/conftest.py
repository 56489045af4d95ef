"""An issuer with a portal, and boto3's client for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.issuer._aws_portal.accounts_file import read_accounts
from tests.aws_sessions import boto3_session
from tests.plugins.issuer.conftest import Caller, Clock

ACCOUNTS = """
[accounts.123456789012]
name = "Sandbox"
email = "sandbox@example.com"

[accounts.123456789012.roles.Developer]
access_key_id = "AKIAIOSFODNN7EXAMPLE"
secret_access_key = "dummy-secret"
session_token = "dummy-session"

[accounts.123456789012.roles.ReadOnly]
access_key_id = "AKIAI44QH8DHBEXAMPLE"
secret_access_key = "other-secret"
session_token = "other-session"
seconds = 900

[accounts.210987654321.roles.Developer]
access_key_id = "AKIAIOSFODNN7EXAMPL2"
secret_access_key = "third-secret"
session_token = "third-session"
"""


@pytest.fixture
def accounts_file(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.toml"
    path.write_text(ACCOUNTS)
    return path


@pytest.fixture
def portal(accounts_file: Path, clock: Clock) -> Iterator[IssuerServer]:
    settings = IssuerSettings(aws_accounts=read_accounts(accounts_file))
    with IssuerServer(settings, clock=clock) as server:
        yield server


@pytest.fixture
def tool(portal: IssuerServer) -> Iterator[Caller]:
    """A client that may request access to accounts and another scope."""
    with Caller(portal.url) as caller:
        caller.register_aws(scopes=["sso:account:access", "b"])
        yield caller


@pytest.fixture
def sso(portal: IssuerServer) -> Iterator[Any]:
    session = boto3_session(region_name="us-east-1")
    once = Config(retries={"total_max_attempts": 1})
    with closing(session.client("sso", endpoint_url=portal.url, config=once)) as client:
        yield client
