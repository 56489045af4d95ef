"""Plugins are found as ``importlib.metadata`` finds them, and every change is noticed at once."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import grantway
from grantway._plugins.entry_points import (
    EntryPoint,
    about,
    distributions,
    load_object,
    parse,
)
from grantway._types.plugin_status import normal
from tests.core.registry.distributions import Site, coupon
from tests.distribution.environment import uv, wheel

POINTS = "[grantway.v1]\ncoupon = {0}\n"


def versions(distribution: str) -> list[tuple[str, str, str]]:
    """Return the name, version and source of the installed plugins of a distribution."""
    registry = grantway.build_registry(only=["grantway", distribution])
    return [
        (each.name, each.version, each.source)
        for each in registry.plugins
        if each.distribution == distribution
    ]


def is_installed(distribution: str) -> bool:
    return any(each.distribution == distribution for each in grantway.build_registry().plugins)


def test_finds_the_same_distributions_and_entry_points_as_importlib() -> None:
    ours = {
        normal(about(each).name): (
            *about(each)[:2],
            parse(each.read_text("entry_points.txt") or ""),
        )
        for each in distributions()
    }
    theirs = {}
    for each in metadata.distributions():
        points = [EntryPoint(one.group, one.name, one.value) for one in each.entry_points]
        theirs.setdefault(normal(each.name), (each.name, each.version, points))
    assert len(ours) > 50
    assert ours == theirs


def test_notices_installations_upgrades_and_removals_with_an_installer(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    wheels = tmp_path_factory.mktemp("wheels")
    options = ("--python", sys.executable, "--target", site.folder, "--no-index", "--no-deps")

    def install(version: str, entry_points: str) -> None:
        made = wheel(wheels, "acme-coupons", coupon(), entry_points, version=version)
        uv("pip", "install", *options, "--reinstall", made)

    assert not is_installed("acme-coupons")
    install("1.0", POINTS.format("acme_coupons"))
    assert versions("acme-coupons") == [("coupon", "1.0", "acme_coupons")]
    install("2.0", POINTS.format("acme_coupons"))
    assert versions("acme-coupons") == [("coupon", "2.0", "acme_coupons")]
    install("2.0", "[grantway.v1]\ncoupon_two = acme_coupons\n")
    assert versions("acme-coupons") == [("coupon_two", "2.0", "acme_coupons")]
    uv("pip", "uninstall", "--python", sys.executable, "--target", site.folder, "acme-coupons")
    assert not is_installed("acme-coupons")


def test_notices_a_change_that_keeps_size_and_times(site: Site) -> None:
    site.install("acme-coupons", coupon(), name="coupon_1")
    (info,) = site.folder.glob("*.dist-info")
    points = info / "entry_points.txt"
    before = [path.stat() for path in (points, info, site.folder)]
    assert versions("acme-coupons")[0][0] == "coupon_1"
    points.write_text(points.read_text("utf-8").replace("coupon_1", "coupon_2"), "utf-8")
    for path, was in zip((points, info, site.folder), before, strict=True):
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert versions("acme-coupons")[0][0] == "coupon_2"


def test_the_first_folder_on_the_path_hides_later_ones(
    site: Site, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("acme-coupons", coupon())
    earlier = Site(tmp_path_factory.mktemp("earlier"))
    earlier.install("acme-coupons", coupon(), version="2.0")
    monkeypatch.syspath_prepend(str(earlier.folder))
    assert versions("acme-coupons") == [("coupon", "2.0", "acme_coupons")]
    # Imports would find the module of the earlier folder, so a later plugin must not be loaded.
    (earlier.folder / "acme_coupons-2.0.dist-info" / "entry_points.txt").unlink()
    assert not is_installed("acme-coupons")


def _as_zip(site: Site) -> Path:
    made = site.folder.with_suffix(".zip")
    with zipfile.ZipFile(made, "w") as archive:
        for file in site.folder.rglob("*"):
            archive.write(file, file.relative_to(site.folder))
    return made


def _as_egg(site: Site) -> Path:
    egg = site.folder.with_name("acme_coupons-1.0.egg")
    shutil.copytree(site.folder, egg)
    (egg / "acme_coupons-1.0.dist-info").rename(egg / "EGG-INFO")
    (egg / "EGG-INFO" / "METADATA").rename(egg / "EGG-INFO" / "PKG-INFO")
    return egg


def _as_egg_info(site: Site) -> Path:
    info = site.folder / "acme_coupons-1.0.dist-info"
    (info / "METADATA").rename(info / "PKG-INFO")
    info.rename(info.with_suffix(".egg-info"))
    return site.folder


@pytest.mark.parametrize("moved", [_as_zip, _as_egg, _as_egg_info])
def test_finds_plugins_in_zip_files_and_eggs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: Any
) -> None:
    site = Site(tmp_path / "site")
    site.folder.mkdir()
    site.install("acme-coupons", coupon())
    monkeypatch.syspath_prepend(str(moved(site)))
    assert versions("acme-coupons") == [("coupon", "1.0", "acme_coupons")]


def test_finds_plugins_of_import_hooks(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("acme-coupons", coupon())
    folder = str(site.folder)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != folder])

    class Hook:
        def find_spec(self, *_: object) -> None:
            return None

        def find_distributions(self, context: Any) -> Iterable[metadata.Distribution]:
            return map(metadata.PathDistribution, site.folder.glob("*.dist-info"))

    assert not is_installed("acme-coupons")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Hook()])
    assert [each[:2] for each in versions("acme-coupons")] == [("coupon", "1.0")]


def test_ignores_folders_that_cannot_be_read(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site.install("acme-coupons", coupon())
    (tmp_path / "nothing.txt").write_text("no zip file")
    for path in ("", "/no/such/folder", str(tmp_path / "nothing.txt")):
        monkeypatch.syspath_prepend(path)
    assert versions("acme-coupons") == [("coupon", "1.0", "acme_coupons")]


@pytest.mark.parametrize(
    ("value", "loaded"),
    [
        ("os", os),
        ("os.path", os.path),
        ("os.path:join", os.path.join),
        ("pathlib : Path.home [extra]", Path.home),
    ],
)
def test_loads_a_module_or_object(value: str, loaded: object) -> None:
    assert load_object(value) == loaded


@pytest.mark.parametrize("value", ["", "os path", ":join", "os:", "os:path:join"])
def test_rejects_another_format(value: str) -> None:
    with pytest.raises(ValueError, match="is not module or module:object"):
        load_object(value)


def test_parses_sections_comments_and_spaces() -> None:
    text = "\n# x = y\n[a]\n  one=1\n two = 2 = 3 \n\n[b.c]\nthree = t:u\n"
    assert parse(text) == [
        EntryPoint("a", "one", "1"),
        EntryPoint("a", "two", "2 = 3"),
        EntryPoint("b.c", "three", "t:u"),
    ]
