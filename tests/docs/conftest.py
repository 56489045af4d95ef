"""The issuer that the examples use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.grantway_serve import grantway_serve


@pytest.fixture(scope="session")
def issuer() -> Iterator[str]:
    """Address of ``grantway serve``, run as described in the documentation."""
    with grantway_serve(
        "--approve", "auto", "--registration", "unrestricted", "--device-interval-seconds", "0"
    ) as url:
        yield url
