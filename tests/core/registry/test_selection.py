"""The application selects which installed plugins are loaded; others are not imported."""

from __future__ import annotations

import sys

import pytest

import grantway
from tests.core.registry.distributions import Site, coupon


@pytest.fixture
def two(site: Site) -> Site:
    site.install("acme-coupons", coupon("urn:example:acme"), name="acme")
    site.install("best-coupons", coupon("urn:example:best"), name="best")
    return site


def states(registry: grantway.Registry) -> dict[str, str]:
    return {each.name: each.state for each in registry.plugins if each.distribution != "grantway"}


CHOICES = {
    "": {"acme": "loaded", "best": "loaded"},
    "all": {"acme": "loaded", "best": "loaded"},
    "none": {"acme": "blocked", "best": "blocked"},
    "acme": {"acme": "loaded", "best": "blocked"},
    "acme-coupons, grantway": {"acme": "loaded", "best": "blocked"},
    "Acme_Coupons": {"acme": "loaded", "best": "blocked"},
    "acme-coupons/acme,best": {"acme": "loaded", "best": "loaded"},
    "-acme": {"acme": "blocked", "best": "loaded"},
    "-acme-coupons,-best": {"acme": "blocked", "best": "blocked"},
}


@pytest.mark.parametrize(("text", "expected"), CHOICES.items())
def test_the_environment_selects_plugins(
    two: Site, monkeypatch: pytest.MonkeyPatch, text: str, expected: dict[str, str]
) -> None:
    monkeypatch.setenv("GRANTWAY_PLUGINS", text)
    assert states(grantway.build_registry(strict=True)) == expected
    for module, name in (("acme_coupons", "acme"), ("best_coupons", "best")):
        assert (module in sys.modules) is (expected[name] == "loaded")


def test_an_allow_list_applies_to_grantways_own_plugins(
    two: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRANTWAY_PLUGINS", "acme")
    assert set(grantway.build_registry().grants) == {"urn:example:acme"}
    monkeypatch.setenv("GRANTWAY_PLUGINS", "acme,refresh_token")
    assert set(grantway.build_registry().grants) == {"urn:example:acme", "refresh_token"}


def test_the_reason_names_the_setting_that_blocks(
    two: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reason(**arguments: list[str]) -> str:
        found = grantway.build_registry(
            only=arguments.get("only"), block=arguments.get("block", [])
        )
        return next(each.reason for each in found.plugins if each.name == "acme")

    assert reason(block=["acme"]) == "blocked by block"
    assert reason(only=["best"]) == "not listed in only"
    monkeypatch.setenv("GRANTWAY_PLUGINS", "-acme")
    assert reason() == "blocked by GRANTWAY_PLUGINS"
    monkeypatch.setenv("GRANTWAY_PLUGINS", "none")
    assert reason() == "not listed in GRANTWAY_PLUGINS"


def test_arguments_take_precedence_over_the_environment(
    two: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRANTWAY_PLUGINS", "none")
    assert states(grantway.build_registry(block=["best"])) == {"acme": "loaded", "best": "blocked"}
    monkeypatch.setenv("GRANTWAY_PLUGINS", "all")
    assert grantway.build_registry(entry_points=False).plugins == ()


@pytest.mark.parametrize("text", ["acm", "-acm", "acme,acm"])
def test_an_unknown_name_lists_the_installed_plugins(
    two: Site, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("GRANTWAY_PLUGINS", text)
    with pytest.raises(grantway.RegistryError) as raised:
        grantway.build_registry()
    message = str(raised.value)
    assert message.startswith(
        "GRANTWAY_PLUGINS: no installed plugin or distribution is named 'acm'. Installed: "
        "acme-coupons/acme, best-coupons/best, grantway/authorization_code, "
    )


def test_mixing_both_syntaxes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRANTWAY_PLUGINS", "refresh_token,-dialects")
    with pytest.raises(grantway.RegistryError, match="with and without a minus are mixed"):
        grantway.build_registry()
    with pytest.raises(grantway.RegistryError, match="only= and block= are both set"):
        grantway.build_registry(only=["a"], block=["b"])
    with pytest.raises(
        grantway.RegistryError, match=r'only: must be a list of names, like \["a"\]'
    ):
        grantway.build_registry(only="a")
