"""Conflicts between plugins are never resolved by loading order."""

from __future__ import annotations

import pytest

import grantway
from tests.core.registry.distributions import Site, coupon

TYPE = "urn:example:coupon"


#: Grant types and issuer grants of one plugin, with an observer and a middleware.
MANY = """
from grantway import Grant, GrantSchema, hookimpl

class Side:
    def decide(self, request, transaction):
        raise NotImplementedError

def audit(exchange):
    return (yield exchange)

@hookimpl
def grantway_register_grants():
    return [Grant(grant_type=name, schema=GrantSchema()) for name in {names}]

@hookimpl
def grantway_register_issuer_grants():
    return {{name: Side() for name in {names}}}

@hookimpl
def grantway_register_middleware():
    return [audit]
"""


def conflicts(registry: grantway.Registry) -> dict[str, tuple[str, ...]]:
    """Return the conflicts of the plugins of other distributions, which are all loaded."""
    found = [each for each in registry.plugins if each.distribution != "grantway"]
    assert {each.state for each in found} == {"loaded"}
    return {each.distribution: each.conflicts for each in found}


def grant(grant_type: str = TYPE, replaces: str = "") -> grantway.Grant:
    return grantway.Grant(
        grant_type=grant_type, schema=grantway.GrantSchema(), summary="mine", replaces=replaces
    )


@pytest.mark.parametrize("first", ["acme", "zeta"])
def test_uses_neither_of_two_conflicting_third_parties(site: Site, first: str) -> None:
    site.install(f"{first}-coupons", coupon(), version="1.2")
    site.install("midi-coupons", coupon(), version="2.0")
    registry = grantway.build_registry()
    assert {len(each) for each in conflicts(registry).values()} == {1}
    assert "refresh_token" in registry.grants
    with pytest.raises(grantway.GrantConflictError) as raised:
        registry.grant(TYPE)
    one, other = sorted([f"{first}-coupons 1.2", "midi-coupons 2.0"])
    loser, winner = other.split()[0], one.split()[0]
    assert str(raised.value) == (
        f"Nothing was sent. The grant {TYPE!r} is registered by {one} (coupon) and {other} "
        f"(coupon). Neither is used, because the order of loading never decides. To exclude "
        f"{loser}, set GRANTWAY_PLUGINS=-{loser} in the environment. A program can choose with "
        f"prefer={{{TYPE!r}: {loser!r}}}, and the author of a plugin with replaces={winner!r}."
    )
    with pytest.raises(grantway.GrantConflictError, match="is registered by"):
        grantway.build_registry(strict=True)


@pytest.mark.parametrize(
    ("chosen", "remedy"),
    [
        ("", "-zeta-coupons"),
        ("all", "-zeta-coupons"),
        ("-telemetry", "-telemetry,-zeta-coupons"),
        ("grantway, acme-coupons, zeta-coupons", "grantway,acme-coupons"),
        ("grantway,acme-coupons,zeta_coupons/coupon", "grantway,acme-coupons"),
    ],
)
def test_the_suggested_fix_works_and_keeps_the_selection(
    site: Site, monkeypatch: pytest.MonkeyPatch, chosen: str, remedy: str
) -> None:
    site.install("acme-coupons", coupon())
    site.install("zeta-coupons", coupon())
    site.install("telemetry", coupon("urn:example:other"))
    monkeypatch.setenv("GRANTWAY_PLUGINS", chosen)
    with pytest.raises(grantway.GrantConflictError) as raised:
        grantway.build_registry().grant(TYPE)
    assert f"set GRANTWAY_PLUGINS={remedy} in the environment." in str(raised.value)
    monkeypatch.setenv("GRANTWAY_PLUGINS", remedy)
    assert grantway.build_registry().owner(TYPE).distribution == "acme-coupons"


def test_grantways_own_grant_stays(site: Site) -> None:
    site.install("acme-refresh", coupon("refresh_token"))
    registry = grantway.build_registry()
    assert registry.owner("refresh_token").distribution == "grantway"
    ((reason,),) = conflicts(registry).values()
    assert reason.startswith(
        "The grant 'refresh_token' is registered by grantway 0.1.0 (refresh_token)"
    )
    assert "grantway's own is used." in reason


def test_a_grant_replaces_another_only_with_replaces(site: Site) -> None:
    site.install("acme-refresh", coupon("refresh_token", ", replaces='grantway'"))
    registry = grantway.build_registry(strict=True)
    assert registry.owner("refresh_token").distribution == "acme-refresh"
    assert "coupon" in registry.grants["refresh_token"].schema.fields
    # The other exports of the replaced plugin remain.
    assert "refresh_token" in registry.issuer_grants


def test_two_replacements_of_one_grant_conflict_and_the_original_stays(site: Site) -> None:
    for name in ("acme-refresh", "best-refresh"):
        site.install(name, coupon("refresh_token", ", replaces='grantway'"))
    registry = grantway.build_registry()
    assert {len(each) for each in conflicts(registry).values()} == {1}
    assert registry.owner("refresh_token").distribution == "grantway"


@pytest.mark.parametrize("chosen", ["acme-coupons", "best-coupons", "best-coupons/coupon"])
def test_the_application_chooses_by_name(site: Site, chosen: str) -> None:
    site.install("acme-coupons", coupon())
    site.install("best-coupons", coupon())
    registry = grantway.build_registry(prefer={TYPE: chosen}, strict=True)
    assert registry.owner(TYPE).distribution == chosen.split("/", maxsplit=1)[0]
    assert set(conflicts(registry).values()) == {()}


def test_prefer_takes_precedence_over_replaces(site: Site) -> None:
    site.install("acme-refresh", coupon("refresh_token", ", replaces='grantway'"))
    registry = grantway.build_registry(prefer={"refresh_token": "grantway"}, strict=True)
    assert registry.owner("refresh_token").distribution == "grantway"


def test_a_preference_for_an_unknown_plugin_is_an_error(site: Site) -> None:
    site.install("acme-coupons", coupon())
    with pytest.raises(grantway.RegistryError) as raised:
        grantway.build_registry(prefer={TYPE: "best-coupons"})
    assert str(raised.value) == (
        f"prefer: 'best-coupons' does not register the grant {TYPE!r}; registered by: "
        "acme-coupons/coupon."
    )


def test_a_plugin_that_loses_a_name_keeps_the_rest(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.install("acme-many", MANY.format(names=[TYPE, "urn:example:other", "refresh_token"]))
    site.install("best-coupons", coupon())
    registry = grantway.build_registry()
    grantway.build_registry()
    found = conflicts(registry)
    assert [len(found["acme-many"]), len(found["best-coupons"])] == [2, 1]
    assert registry.owner("urn:example:other").distribution == "acme-many"
    assert registry.owner("refresh_token").distribution == "grantway"
    assert TYPE not in registry.grants
    assert [each.__name__ for each in registry.middleware] == ["audit"]
    messages = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(messages) == 2  # each plugin once, although the registry was built twice
    assert messages[0].startswith(
        "The plugin coupon of acme-many 1.0 is loaded only in part: The grant "
    )
    for required in ("acme-many", "best-coupons"):
        with pytest.raises(
            grantway.PluginLoadError,
            match=rf"^The required plugin coupon of {required} 1\.0 is loaded only in part: The",
        ):
            registry.require([required])


def test_an_unusable_store_says_that_it_is_contested(site: Site) -> None:
    source = "from grantway import hookimpl\n@hookimpl\ndef grantway_register_stores():\n"
    for name in ("acme-stores", "best-stores"):
        site.install(name, f"{source}    return {{'vault': dict}}\n")
    with pytest.raises(grantway.ConfigurationError, match="registered by acme-stores") as error:
        grantway.build_registry().store("vault")
    assert error.value.errors == {"store": ["must be the name of a registered store"]}


def test_a_plugin_that_loses_a_grant_loses_its_issuer_grant(site: Site) -> None:
    site.install("acme-many", MANY.format(names=[TYPE, "urn:example:other"]))
    site.install("best-coupons", coupon())
    assert TYPE not in (registry := grantway.build_registry()).issuer_grants
    assert "urn:example:other" in registry.issuer_grants
    chosen = grantway.build_registry(prefer={TYPE: "acme-many"})
    assert TYPE in chosen.issuer_grants


def test_plugins_may_conflict_over_the_issuer_grant_only(site: Site) -> None:
    site.install("acme-many", MANY.format(names=[TYPE]))
    side = MANY.format(names=[TYPE]).replace("register_grants", "register_nothing")
    site.install("best-side", side.replace("@hookimpl\ndef grantway_register_nothing", "def _none"))
    registry = grantway.build_registry()
    assert registry.owner(TYPE).distribution == "acme-many"
    assert TYPE not in registry.issuer_grants


def test_a_conflict_with_the_application_raises_immediately(site: Site) -> None:
    site.install("acme-coupons", coupon(), version="3.1")
    with pytest.raises(grantway.GrantConflictError, match=r"acme-coupons 3\.1 \(coupon\) and appl"):
        grantway.build_registry({"mine": grant()})
    registry = grantway.build_registry({"mine": grant(replaces="acme-coupons")})
    assert registry.grants[TYPE].summary == "mine"


@pytest.mark.parametrize("brings", ["grants", "dialects", "errors"])
def test_every_kind_of_name_has_one_owner(brings: str) -> None:
    class One:
        @grantway.hookimpl
        def grantway_register_grants(self) -> list[grantway.Grant]:
            return [grant()] if brings == "grants" else []

        @grantway.hookimpl
        def grantway_register_dialects(self) -> list[grantway.Dialect]:
            return [grantway.Dialect(name="comma")] if brings == "dialects" else []

        @grantway.hookimpl
        def grantway_register_errors(self) -> dict[str, type[grantway.TokenError]]:
            spent = {"coupon_spent": grantway.UnknownTokenError}
            return spent if brings == "errors" else {}

    with pytest.raises(grantway.GrantConflictError, match="application"):
        grantway.build_registry({"one": One(), "two": One()}, entry_points=False)


def test_a_plugin_cannot_replace_the_built_in_dialect() -> None:
    class Plugin:
        @grantway.hookimpl
        def grantway_register_dialects(self) -> list[grantway.Dialect]:
            return [grantway.Dialect(name="rfc6749")]

    with pytest.raises(grantway.GrantConflictError) as raised:
        grantway.build_registry({"mine": Plugin()}, entry_points=False)
    assert str(raised.value) == (
        "The dialect 'rfc6749' is registered by grantway and application (mine). grantway's own "
        "is used. To fix it, give one of them another name."
    )
