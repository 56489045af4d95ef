"""Each installed plugin has a status, and a failed plugin does not affect others."""

from __future__ import annotations

import subprocess
import sys

import pytest
from packaging.specifiers import SpecifierSet

import grantway
from grantway import PluginStatus
from grantway._plugins.requirements import unmet_requirement
from tests.core.registry.distributions import Site, coupon

#: Grant types that grantway itself registers.
OWN = {
    "authorization_code",
    "client_credentials",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "urn:openid:params:grant-type:ciba",
}
MISSPELT = coupon().replace("grantway_register_grants", "grantway_register_grant")
UNMARKED = coupon().replace("@hookimpl\n", "")
BROKEN = {
    "import error": ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_lib"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "misspelt hook": (
        MISSPELT,
        (
            "PluginLoadError: it implements the unknown hook grantway_register_grant; "
            "did you mean grantway_register_grants?"
        ),
    ),
    "unmarked hook": (
        UNMARKED,
        (
            "PluginLoadError: grantway_register_grants is not marked as a hook; "
            "add @grantway.hookimpl or rename it"
        ),
    ),
    "no hook": (
        "x = 1",
        (
            "PluginLoadError: it implements no hook; use a module or object with functions "
            "marked with grantway.hookimpl"
        ),
    ),
    "hook raises": (
        coupon().replace("return [", "raise RuntimeError('no configuration')\n    return ["),
        "RuntimeError: no configuration",
    ),
    "unknown argument": (
        coupon().replace("register_grants()", "register_grants(host)"),
        "PluginLoadError: grantway_register_grants has an argument that this grantway does not",
    ),
    "forgets to return": (
        coupon().replace("return [", "[").replace("})]", "})"),
        "RegistryError: grantway_register_grants returned None, not a list",
    ),
}


def status(registry: grantway.Registry, distribution: str) -> PluginStatus:
    return next(each for each in registry.plugins if each.distribution == distribution)


def test_loads_a_third_party_plugin_with_the_standard_grants(site: Site) -> None:
    module = site.install("acme-coupons", coupon(), version="1.2")
    registry = grantway.build_registry(strict=True)
    assert set(registry.grants) == {*OWN, "urn:example:coupon"}
    assert status(registry, "acme-coupons") == PluginStatus(
        "coupon", "acme-coupons", "1.2", module, "loaded", ""
    )
    assert status(registry, "acme-coupons").owner == "acme-coupons 1.2"
    assert registry.owner("urn:example:coupon").path == "acme-coupons/coupon"
    assert registry.owner("refresh_token").distribution == "grantway"


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)
def test_names_a_failed_plugin_with_its_reason(site: Site, source: str, reason: str) -> None:
    site.install("acme-coupons", source)
    site.install("best-coupons", coupon("urn:example:best"))
    registry = grantway.build_registry()
    assert status(registry, "acme-coupons").state == "failed"
    assert status(registry, "acme-coupons").reason.startswith(reason)
    assert set(registry.grants) == {*OWN, "urn:example:best"}
    with pytest.raises(grantway.PluginLoadError) as raised:
        grantway.build_registry(strict=True)
    assert str(raised.value).startswith(
        f"The plugin coupon of acme-coupons 1.0 could not be loaded: {reason}"
    )


def test_a_partly_failed_distribution_registers_nothing(site: Site) -> None:
    half = (
        coupon()
        + """
@hookimpl
def grantway_register_errors():
    return {"coupon_spent": int}
"""
    )
    site.install("acme-coupons", half)
    registry = grantway.build_registry()
    assert set(registry.grants) == OWN
    assert status(registry, "acme-coupons").reason == (
        "RegistryError: the class for the error code 'coupon_spent' is not a TokenError"
    )


def test_a_plugin_for_other_hooks_is_incompatible(site: Site) -> None:
    site.install("acme-coupons", coupon(), group="grantway.v2")
    registry = grantway.build_registry()
    assert status(registry, "acme-coupons").state == "incompatible"
    assert status(registry, "acme-coupons").reason == (
        "it is for grantway.v2, but this grantway loads grantway.v1; install a version of "
        "acme-coupons for grantway.v1, or a grantway that loads grantway.v2"
    )
    assert "acme_coupons" not in sys.modules
    with pytest.raises(grantway.PluginIncompatibleError, match=r"it is for grantway\.v2"):
        grantway.build_registry(strict=True)


def test_a_distribution_may_support_several_hook_versions(site: Site) -> None:
    points = "[grantway.v1]\ncoupon = acme_coupons\n[grantway.v2]\ncoupon = acme_coupons:later\n"
    site.install("acme-coupons", coupon(), entry_points=points)
    registry = grantway.build_registry(strict=True)
    assert status(registry, "acme-coupons").state == "loaded"
    assert len([each for each in registry.plugins if each.distribution == "acme-coupons"]) == 1


@pytest.mark.parametrize(
    ("requires", "shown"),
    [
        ("grantway>=9.1", "grantway>=9.1"),
        ("Grantway[issuer] (>=9)", "grantway>=9"),
        ("grantway<0.1", "grantway<0.1"),
        ("grantway!=0.1.0", "grantway!=0.1.0"),
        ("grantway>=0.1,<0.1.0", "grantway<0.1.0,>=0.1"),
        ("grantway~=0.2; python_version >= '3'", "grantway~=0.2"),
        ("grantway === 0.1.0.dev1", "grantway===0.1.0.dev1"),
        ("grantway>=0.2rc1", "grantway>=0.2rc1"),
    ],
)
def test_a_plugin_that_requires_another_grantway_is_not_imported(
    site: Site, requires: str, shown: str
) -> None:
    site.install("acme-coupons", "raise SystemExit('imported')", requires=requires)
    found = status(grantway.build_registry(), "acme-coupons")
    assert found.state == "incompatible"
    # The order of the clauses is that of `packaging`.
    assert found.reason.replace(shown, "grantway>=9").lower() == (
        "it requires grantway>=9, but this is grantway 0.1.0; upgrade with pip install "
        "'grantway>=9', or install a version of acme-coupons that supports grantway 0.1.0"
    )
    assert "acme_coupons" not in sys.modules
    with pytest.raises(grantway.PluginIncompatibleError, match="it requires "):
        grantway.build_registry(strict=True)


@pytest.mark.parametrize(
    "requires",
    [
        "grantway",
        "grantway[issuer]",
        "grantway>=0.1",
        "grantway >= 0.1.0, < 1",
        "grantway (>=0.0.9)",
        "grantway>=0.1.0.dev3",
        "grantway==0.1.*",
        "grantway>=9; extra == 'test'",
        "grantway>=9; python_version < '3'",
        "grantway-coupons>=9",
        "grantway.coupons>=9",
        "grantway >=> 9",
        "requests>=99",
    ],
)
def test_loads_a_plugin_whose_requirement_is_met(site: Site, requires: str) -> None:
    site.install("acme-coupons", coupon(), requires=requires)
    assert status(grantway.build_registry(strict=True), "acme-coupons").state == "loaded"


@pytest.mark.parametrize("version", ["1.2", "1.2.0", "1.10", "2.0rc1", "1.2.dev4", "1.2+local"])
@pytest.mark.parametrize("limit", ["1.2", "1.2.0.0", "1.3", "1.20", "1", "2"])
@pytest.mark.parametrize("operator", [">=", "<", "==", "~=", ">"])
def test_checks_versions_as_packaging_does(version: str, limit: str, operator: str) -> None:
    if (operator, limit) == ("~=", "1") or (operator, limit) == ("~=", "2"):
        limit += ".0"
    expected = SpecifierSet(f"{operator}{limit}").contains(version, prereleases=True)
    assert (not unmet_requirement([f"grantway{operator}{limit}"], version)) is expected


def test_usual_requirements_are_checked_without_importing_packaging() -> None:
    usual = ["grantway", "grantway>=0.1", "grantway[a,b]>=0.1,<1", "grantway>=0.1; extra == 'test'"]
    code = (
        "import sys; from grantway._plugins.requirements import unmet_requirement; "
        f"print(repr(unmet_requirement({usual})), 'packaging' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "'' False\n"


def test_one_name_in_two_distributions_is_two_plugins(site: Site) -> None:
    site.install("acme-coupons", coupon("urn:example:acme"))
    site.install("best-coupons", coupon("urn:example:best"), version="2.0")
    registry = grantway.build_registry(strict=True)
    assert {"urn:example:acme", "urn:example:best"} <= set(registry.grants)
    assert status(registry, "acme-coupons").reason == (
        "best-coupons 2.0 also has a plugin named coupon; this one is acme-coupons/coupon"
    )


def test_a_note_about_namesakes_stays_short(site: Site) -> None:
    for number in range(6):
        site.install(f"acme-{number}", coupon(f"urn:example:{number}"))
    assert status(grantway.build_registry(strict=True), "acme-5").reason == (
        "acme-0 1.0 and acme-1 1.0 and acme-2 1.0 and 2 more also have a plugin named coupon; "
        "this one is acme-5/coupon"
    )


def test_rejects_a_duplicate_name_in_one_distribution(site: Site) -> None:
    points = "[grantway.v1]\ncoupon = acme_coupons\ncoupon = acme_coupons:other\n"
    site.install("acme-coupons", coupon(), entry_points=points)
    registry = grantway.build_registry()
    assert status(registry, "acme-coupons").state == "failed"
    assert status(registry, "acme-coupons").reason == (
        "acme-coupons 1.0 has duplicate entry points coupon in grantway.v1: acme_coupons and "
        "acme_coupons:other; rename one of them"
    )
    assert "acme_coupons" not in sys.modules


def test_loads_a_duplicate_distribution_once(site: Site) -> None:
    points = "[grantway.v1]\ncoupon = acme_coupons\ncoupon = acme_coupons\n"
    site.install("acme-coupons", coupon(), entry_points=points)
    registry = grantway.build_registry(strict=True)
    assert status(registry, "acme-coupons").reason == ""


@pytest.mark.parametrize("damage", [b"[grantway.v1]\ncoupon\n", b"[grantway.v1]\n\xff\xfe = a\n"])
def test_unreadable_metadata_affects_only_its_plugins(site: Site, damage: bytes) -> None:
    site.install("acme-coupons", coupon())
    next(site.folder.glob("*.dist-info/entry_points.txt")).write_bytes(damage)
    registry = grantway.build_registry()
    assert set(registry.grants) == OWN


def test_a_distribution_without_metadata_still_has_a_state(site: Site) -> None:
    site.install("acme-coupons", "import no_such_library")
    next(site.folder.glob("*.dist-info/METADATA")).unlink()
    registry = grantway.build_registry()
    failed = [each for each in registry.plugins if each.state == "failed"]
    assert [each.source for each in failed] == ["acme_coupons"]


def test_an_unknown_grant_type_lists_the_plugins_that_are_not_loaded(site: Site) -> None:
    site.install("acme-coupons", "import no_such_library")
    with pytest.raises(grantway.UnknownGrantTypeError) as raised:
        grantway.build_registry().grant("urn:example:coupon")
    assert "Plugins that are not loaded: acme-coupons/coupon (failed)." in str(raised.value)


def test_accepts_plugin_objects_and_grants_from_the_program_but_no_class() -> None:
    class Plugin:
        @grantway.hookimpl
        def grantway_register_errors(self) -> dict[str, type[grantway.TokenError]]:
            return {"coupon_spent": grantway.UnknownTokenError}

    registry = grantway.build_registry({"errors": Plugin()}, entry_points=False, strict=True)
    assert set(registry.errors) == {"coupon_spent"}
    with pytest.raises(grantway.PluginLoadError, match=r"it is a class; use an instance, Plugin"):
        grantway.build_registry({"errors": Plugin}, entry_points=False, strict=True)
