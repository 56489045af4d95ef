"""A plugin can name its grants and dialects, which are imported on first use."""

from __future__ import annotations

import sys

import pytest

import grantway
from tests.core.registry.distributions import Site, coupon

TYPE = "urn:example:coupon"
PLUGIN = """
from grantway import hookimpl

@hookimpl
def grantway_register_{kind}():
    return {{"{name}": {reference!r}}}
"""
LATER = """
from grantway import Dialect, Grant, GrantSchema, Replay, Text

class Schema(GrantSchema):
    coupon = Text(required=True, example='"SPRING-2031"')
    refresh_token = Text(example='"rt"')

GOOD = Grant(grant_type="urn:example:coupon", schema=Schema(), replay=Replay.NEVER)
UNSAFE = Grant(grant_type="urn:example:coupon", schema=Schema(), replay=Replay.SAFE)
OTHER = Grant(grant_type="urn:example:other", schema=Schema())
REPLACING = Grant(grant_type="urn:example:coupon", schema=Schema(), replaces="grantway")
COMMA = Dialect(name="comma")
"""


def install(
    site: Site,
    reference: object,
    *,
    kind: str = "grants",
    name: str = TYPE,
    later: str = LATER,
    distribution: str = "acme-coupons",
) -> None:
    (site.folder / "later_of_acme.py").write_text(later, "utf-8")
    site.install(distribution, PLUGIN.format(kind=kind, name=name, reference=reference))


def test_a_grant_is_imported_when_it_is_used(site: Site) -> None:
    install(site, "later_of_acme:GOOD")
    registry = grantway.build_registry()
    assert TYPE in registry.grants
    assert registry.owner(TYPE).distribution == "acme-coupons"
    assert "later_of_acme" not in sys.modules
    assert registry.grant(TYPE) is registry.grants[TYPE] is sys.modules["later_of_acme"].GOOD


def test_a_dialect_is_imported_when_it_is_used(site: Site) -> None:
    install(site, "later_of_acme:COMMA", kind="dialects", name="comma")
    registry = grantway.build_registry()
    assert "later_of_acme" not in sys.modules
    assert registry.dialects["comma"] is sys.modules["later_of_acme"].COMMA


@pytest.mark.parametrize(
    ("kind", "reference", "reason"),
    [
        ("grants", "no_such_module:GOOD", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("grants", "later_of_acme:NONE", "AttributeError: module 'later_of_acme' has no attribute"),
        ("grants", "later_of_acme:UNSAFE", f"GrantInvalidError: the grant {TYPE}: replay is"),
        ("grants", "later_of_acme:OTHER", "the grant registered as 'urn:example:coupon' is named"),
        ("grants", "later_of_acme:REPLACING", "register the grant itself, not a reference"),
        ("grants", "later_of_acme:COMMA", "returned a Dialect, not a grantway.Grant"),
        ("dialects", "later_of_acme:GOOD", f"the dialect {TYPE} is a Grant, not a Dialect"),
        ("dialects", "later_of_acme:COMMA", f"the dialect registered as {TYPE!r} is named 'comma'"),
    ],
)
def test_an_unusable_reference_is_an_error_of_the_plugin_on_first_use(
    site: Site, caplog: pytest.LogCaptureFixture, kind: str, reference: str, reason: str
) -> None:
    install(site, reference, kind=kind)
    registry = grantway.build_registry()
    table = registry.grants if kind == "grants" else registry.dialects
    for _ in range(2):
        with pytest.raises(grantway.PluginLoadError) as raised:
            table[TYPE]
        text = str(raised.value)
        assert text.startswith("The plugin coupon of acme-coupons 1.0 could not be loaded: ")
        assert reason in text
    assert TYPE not in table.usable()
    assert set(table) - {TYPE} == set(table.usable())
    (warning,) = caplog.records
    assert reason in warning.getMessage()
    with pytest.raises(grantway.PluginLoadError, match="The plugin coupon of acme-coupons"):
        grantway.build_registry(strict=True)
    with pytest.raises(grantway.PluginLoadError, match="The plugin coupon of acme-coupons"):
        registry.require(["acme-coupons"])
    registry.require(["grantway"])


def test_ctrl_c_during_the_import_ends_the_program(site: Site) -> None:
    install(site, "later_of_acme:GOOD", later="raise KeyboardInterrupt")
    registry = grantway.build_registry()
    with pytest.raises(KeyboardInterrupt):
        registry.grants.usable()


@pytest.mark.parametrize("kind", ["grants", "dialects"])
@pytest.mark.parametrize("entry", [None, 7, "", "later_of_acme", "later of acme:GOOD"])
def test_rejects_an_invalid_reference_at_start_up(site: Site, kind: str, entry: object) -> None:
    install(site, entry, kind=kind)
    with pytest.raises(grantway.PluginLoadError, match="is not a reference like"):
        grantway.build_registry(strict=True)


def test_references_conflict_without_being_imported(site: Site) -> None:
    install(site, "no_such_module:A")
    site.install("best-coupons", coupon())
    registry = grantway.build_registry()
    with pytest.raises(grantway.GrantConflictError, match=r"acme-coupons 1\.0 \(coupon\) and best"):
        registry.grant(TYPE)
    chosen = grantway.build_registry(prefer={TYPE: "best-coupons"})
    assert chosen.owner(TYPE).distribution == "best-coupons"


def test_every_reference_of_grantway_itself_can_be_imported() -> None:
    registry = grantway.build_registry(only=["grantway"], strict=True)
    for table in (registry.grants, registry.issuer_grants, registry.dialects):
        assert len(table) > 4
        assert {name: table[name] for name in table} == table.usable()
