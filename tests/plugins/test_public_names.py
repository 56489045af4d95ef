"""A package that loads its names late still tells them, as to a shell that completes them."""

from __future__ import annotations

from importlib import import_module

import pytest

LAZY = ["auth", "client_auth", "gateway", "gateway.upstream", "issuer", "profiles", "sso_oidc"]


@pytest.mark.parametrize("name", LAZY)
def test_every_public_name_is_told_and_can_be_loaded(name: str) -> None:
    package = import_module(f"grantway_plugins.{name}")
    assert set(package.__all__) <= set(dir(package))
    assert all(getattr(package, each) is not None for each in package.__all__)
