"""Fixtures: an issuer, a registered application, and a resource that accepts its tokens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grantway_plugins.testing import LiveIssuer
from tests.plugins.auth.resource import Application, Resource


@pytest.fixture
def application(grantway_issuer: LiveIssuer) -> Iterator[Application]:
    with Application(grantway_issuer.url) as application:
        yield application


@pytest.fixture
def resource(application: Application) -> Iterator[Resource]:
    with Resource(application.active) as resource:
        yield resource
