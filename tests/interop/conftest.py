"""Fixtures for third-party programs, which start once per test session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.aws_js import AwsJsClient
from tests.interop.oidc_provider import OidcProvider


@pytest.fixture(scope="session")
def oidc_provider() -> Iterator[OidcProvider]:
    """The npm package oidc-provider with default lifetimes."""
    with OidcProvider() as provider:
        yield provider


@pytest.fixture(scope="session")
def aws_js() -> Iterator[AwsJsClient]:
    """The AWS SDK for JavaScript. Each call specifies the endpoint."""
    with AwsJsClient() as client:
        yield client
