"""Fixtures: an issuer, a resource that names it, and the logins of a program."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plugins.auth.sites import Issuer, Logins, Site


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def other() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def site(issuer: Issuer) -> Iterator[Site]:
    with Site(issuer) as site:
        yield site


@pytest.fixture
def logins() -> Logins:
    return Logins()
