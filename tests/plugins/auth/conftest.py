"""Fixtures: an issuer, a registered application, and a resource that accepts its tokens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from tests.plugins.auth.resource import Application, Resource


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with IssuerServer(IssuerSettings(registration="unrestricted")) as server:
        yield server.url


@pytest.fixture
def application(issuer: str) -> Iterator[Application]:
    with Application(issuer) as application:
        yield application


@pytest.fixture
def resource(application: Application) -> Iterator[Resource]:
    with Resource(application.active) as resource:
        yield resource
