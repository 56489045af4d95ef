"""A plugin can name its issuer grant, and only an issuer imports it."""

from __future__ import annotations

import sys

import pytest

import grantway
from tests.core.registry.distributions import Site, coupon

TYPE = "urn:example:coupon"
HOOK = """
@hookimpl
def grantway_register_issuer_grants():
    return {{"{grant_type}": {reference!r}}}
"""
SIDE = """
class Coupons:
    def decide(self, request, transaction):
        raise NotImplementedError

class Late:
    async def decide(self, request, transaction):
        raise NotImplementedError

COUPONS, LATE, OTHER, TEXT = Coupons(), Late(), object(), "issuer_of_acme:COUPONS"
"""


def install(
    site: Site, reference: str, side: str = SIDE, distribution: str = "acme-coupons"
) -> None:
    (site.folder / "issuer_of_acme.py").write_text(side, "utf-8")
    site.install(distribution, coupon() + HOOK.format(grant_type=TYPE, reference=reference))


def test_a_reference_is_imported_when_it_is_looked_up(site: Site) -> None:
    install(site, "issuer_of_acme:COUPONS")
    registry = grantway.build_registry(strict=True)
    assert TYPE in registry.issuer_grants
    assert TYPE in list(registry.issuer_grants)
    assert len(registry.issuer_grants) > 1
    assert "issuer_of_acme" not in sys.modules
    assert callable(registry.issuer_grants[TYPE].decide)
    assert registry.issuer_grants[TYPE] is sys.modules["issuer_of_acme"].COUPONS


def test_blocking_a_plugin_removes_its_grant_and_its_reference(site: Site) -> None:
    install(site, "issuer_of_acme:COUPONS")
    registry = grantway.build_registry(block=["acme-coupons"])
    assert TYPE not in registry.grants
    assert TYPE not in registry.issuer_grants


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("no_such_module:COUPONS", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("issuer_of_acme:NONE", "AttributeError: module 'issuer_of_acme' has no attribute 'NONE'"),
        ("issuer_of_acme:OTHER", f"the issuer grant {TYPE} has no decide(request, transaction)"),
        ("issuer_of_acme:Coupons", f"the issuer grant {TYPE} is a type; use an object with"),
        ("issuer_of_acme:TEXT", f"the issuer grant {TYPE} is a str; use an object with decide"),
        ("issuer_of_acme:LATE", f"decide of the issuer grant {TYPE} is asynchronous (async def)"),
    ],
)
def test_an_unusable_reference_is_an_error_of_the_plugin_on_lookup(
    site: Site, reference: str, reason: str
) -> None:
    install(site, reference)
    registry = grantway.build_registry(strict=True)
    with pytest.raises(grantway.PluginLoadError) as raised:
        registry.issuer_grants[TYPE]
    assert "The plugin coupon of acme-coupons 1.0 could not be loaded: " in str(raised.value)
    assert reason in str(raised.value)
    assert raised.value.__cause__ is not None


def test_ctrl_c_during_the_import_ends_the_program(site: Site) -> None:
    install(site, "issuer_of_acme:COUPONS", side="raise KeyboardInterrupt")
    registry = grantway.build_registry(strict=True)
    with pytest.raises(KeyboardInterrupt):
        registry.issuer_grants[TYPE]


@pytest.mark.parametrize("text", ["", "issuer_of_acme", "issuer_of_acme.COUPONS", "a:b:c", "a b:c"])
def test_rejects_a_text_that_is_no_reference_at_start_up(site: Site, text: str) -> None:
    install(site, text)
    with pytest.raises(grantway.PluginLoadError, match="use an object with decide"):
        grantway.build_registry(strict=True)


def test_references_conflict_without_being_imported(site: Site) -> None:
    install(site, "no_such_module:A")
    install(site, "no_such_module:B", distribution="best-coupons")
    registry = grantway.build_registry()
    assert TYPE not in registry.issuer_grants
    lost = {each.distribution: each.conflicts for each in registry.plugins if each.conflicts}
    assert "is registered by acme-coupons 1.0" in lost["best-coupons"][0]


def test_an_unknown_grant_type_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        grantway.build_registry(entry_points=False).issuer_grants[TYPE]
