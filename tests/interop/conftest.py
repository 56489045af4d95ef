"""Programs that are not ours, started once a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.aws_js import AwsJsClient
from tests.interop.oidc_provider import OidcProvider


@pytest.fixture(scope="session")
def oidc_provider() -> Iterator[OidcProvider]:
    """The npm package oidc-provider; tests that need other lifetimes start one of their own."""
    with OidcProvider() as provider:
        yield provider


@pytest.fixture(scope="session")
def aws_js() -> Iterator[AwsJsClient]:
    """The AWS SDK for JavaScript; each call names its endpoint."""
    with AwsJsClient() as client:
        yield client
