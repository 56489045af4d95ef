"""Tests of the installation of npm packages with concurrent and killed runs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.interop import node_packages
from tests.waiting import PATIENCE


class Npm:
    """A fake of ``npm ci``, which takes minutes without a cache."""

    def __init__(self) -> None:
        self.calls = 0
        self.called, self.proceed = threading.Event(), threading.Event()

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        modules = folder / "node_modules"
        modules.mkdir()
        (modules / "half").touch()
        self.called.set()
        assert self.proceed.wait(PATIENCE)
        (modules / "half").rename(modules / f"whole-{self.calls}")


@pytest.fixture
def npm(monkeypatch: pytest.MonkeyPatch) -> Npm:
    fake = Npm()
    monkeypatch.setattr(node_packages, "_npm_ci", fake)
    return fake


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        (tmp_path / name).write_text("first")
    return tmp_path


def installed(folder: Path) -> list[str]:
    return sorted(each.name for each in (folder / "node_modules").iterdir() if each.name[0] != ".")


def test_two_concurrent_runs_install_once(npm: Npm, folder: Path) -> None:
    with ThreadPoolExecutor(2) as runs:
        both = [runs.submit(node_packages.install, folder) for _ in range(2)]
        assert npm.called.wait(PATIENCE)
        assert not (folder / "node_modules").exists()
        npm.proceed.set()
        for each in both:
            each.result(PATIENCE)
    assert (npm.calls, installed(folder)) == (1, ["whole-1"])
    assert not (folder / ".npm-ci").exists()


def test_a_changed_lock_file_replaces_the_installation(npm: Npm, folder: Path) -> None:
    npm.proceed.set()
    node_packages.install(folder)
    node_packages.install(folder)
    assert npm.calls == 1
    (folder / "package-lock.json").write_text("second")
    node_packages.install(folder)
    assert (npm.calls, installed(folder)) == (2, ["whole-2"])


def test_recovers_from_a_killed_run(npm: Npm, folder: Path) -> None:
    (folder / ".npm-ci" / "node_modules").mkdir(parents=True)
    (folder / ".npm-ci" / "node_modules" / "half").touch()
    (folder / "node_modules").mkdir()  # created manually, with unknown contents
    npm.proceed.set()
    node_packages.install(folder)
    assert installed(folder) == ["whole-1"]
