"""A failing plugin fails alone, and the log and the errors report it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import grantway
from grantway import hookimpl
from tests.core.registry.distributions import Site, coupon

RAISED: tuple[type[BaseException], ...] = (
    SystemExit,
    GeneratorExit,
    MemoryError,
    pytest.skip.Exception,
)


class PanicError(BaseException):
    """An exception like those of Rust extensions."""


class Panics:
    """A plugin whose hook raises."""

    def __init__(self, kind: type[BaseException] = PanicError, message: str = "rust") -> None:
        self.kind = kind
        self.message = message

    @hookimpl
    def grantway_register_grants(self) -> list[Any]:
        raise self.kind(self.message)


class HalfWay:
    """A plugin whose hook raises while its list is iterated."""

    @hookimpl
    def grantway_register_grants(self) -> Iterator[Any]:
        yield None
        raise PanicError("half way")


def state(registry: grantway.Registry, name: str) -> tuple[str, str]:
    return next((each.state, each.reason) for each in registry.plugins if each.name == name)


def warnings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.levelno >= logging.WARNING]


class UnreadableError(Exception):
    """An error whose message cannot be read."""

    def __str__(self) -> str:
        raise PanicError("message")


class NoAttributes:
    """An object that raises on every attribute access."""

    def __getattr__(self, name: str) -> Any:
        raise PanicError(name)


@pytest.mark.parametrize(
    "plugin", [Panics(UnreadableError), NoAttributes()], ids=["message", "attributes"]
)
def test_a_plugin_without_readable_attributes_fails_alone(plugin: object) -> None:
    registry = grantway.build_registry({"audit": plugin}, only=["grantway"])
    assert [each.state for each in registry.plugins if each.name == "audit"] == ["failed"]
    assert "refresh_token" in registry.grants
    with pytest.raises(grantway.PluginLoadError, match="audit"):
        grantway.register_plugin("audit", plugin)


@pytest.mark.parametrize("kind", [PanicError, *RAISED])
def test_an_exception_of_a_hook_fails_only_that_plugin(kind: type[BaseException]) -> None:
    registry = grantway.build_registry({"audit": Panics(kind)}, only=["grantway"])
    assert state(registry, "audit") == ("failed", f"{kind.__name__}: rust")
    assert "client_credentials" in registry.grants


def test_an_exception_of_an_import_or_generator_fails_only_that_plugin(site: Site) -> None:
    site.install("acme-coupons", "class Panic(BaseException): pass\nraise Panic('rust')")
    registry = grantway.build_registry({"half": HalfWay()})
    assert state(registry, "coupon") == ("failed", "Panic: rust")
    assert state(registry, "half") == ("failed", "PanicError: half way")


def test_an_exception_with_an_unreadable_message_is_a_failure() -> None:
    class UnreadableError(Exception):
        def __str__(self) -> str:
            raise KeyError("message")

    registry = grantway.build_registry({"audit": Panics(UnreadableError)}, only=["grantway"])
    assert state(registry, "audit")[1] == "UnreadableError (its message cannot be read)"


def test_ctrl_c_ends_the_program() -> None:
    with pytest.raises(KeyboardInterrupt):
        grantway.build_registry({"audit": Panics(KeyboardInterrupt)}, only=["grantway"])


def test_register_plugin_raises_with_the_name_of_the_plugin() -> None:
    with pytest.raises(grantway.PluginLoadError, match=r"audit of application .*PanicError") as it:
        grantway.register_plugin("audit", Panics())
    assert isinstance(it.value.__cause__, PanicError)


@pytest.mark.parametrize("kind", [PanicError, KeyError, SystemExit])
def test_strict_raises_from_the_exception_of_the_plugin(kind: type[BaseException]) -> None:
    with pytest.raises(grantway.PluginLoadError) as raised:
        grantway.build_registry({"audit": Panics(kind)}, only=["grantway"], strict=True)
    assert isinstance(raised.value.__cause__, kind)
    assert "raise self.kind(self.message)" in "".join(traceback.format_exception(raised.value))


def test_a_failed_plugin_is_one_warning_with_a_traceback(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.install("acme-coupons", "import no_such_library", version="1.2")
    grantway.build_registry({"audit": Panics()})
    found = {each.getMessage(): each for each in warnings(caplog)}
    assert len(warnings(caplog)) == len(found) == 2
    assert {each.name for each in found.values()} == {"grantway"}
    text = caplog.text
    assert "The plugin coupon of acme-coupons 1.2 could not be loaded" in text
    assert "ModuleNotFoundError: No module named 'no_such_library'" in text
    assert "The plugin audit of application could not be loaded" in text
    assert text.count("Traceback (most recent call last)") == 2


def test_warns_of_failed_plugins_without_an_exception(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.install("acme-coupons", coupon())
    site.install("best-coupons", coupon())
    site.install("late-coupons", coupon(), group="grantway.v2")
    grantway.build_registry()
    assert sorted(each.getMessage().split(" 1.0 ")[0] for each in warnings(caplog)) == [
        "The plugin coupon of acme-coupons",
        "The plugin coupon of best-coupons",
        "The plugin coupon of late-coupons",
    ]


def test_logs_each_failure_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.install("acme-coupons", "import no_such_library")
    grantway.default_registry()
    grantway.reload()
    grantway.reload()
    assert len(warnings(caplog)) == 1
    site.install("acme-coupons", "import another_library")
    grantway.reload()
    assert len(warnings(caplog)) == 2


def test_does_not_warn_of_loaded_or_blocked_plugins(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.install("acme-coupons", coupon())
    site.install("best-coupons", "import no_such_library")
    grantway.build_registry(block=["best-coupons"])
    assert not warnings(caplog)


# --- Required plugins ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["coupon", "acme-coupons", "Acme_Coupons", "acme-coupons/coupon"])
def test_names_a_failed_required_plugin_with_its_reason(site: Site, name: str) -> None:
    site.install("acme-coupons", "import no_such_library", version="1.2")
    expected = (
        r"required plugin coupon of acme-coupons 1\.2 could not be loaded: ModuleNotFoundError"
    )
    with pytest.raises(grantway.PluginLoadError, match=expected) as raised:
        grantway.build_registry(require=[name])
    assert isinstance(raised.value.__cause__, ModuleNotFoundError)
    with pytest.raises(grantway.PluginLoadError, match=expected):
        grantway.default_registry().require([name])


def _blocked(site: Site) -> grantway.Registry:
    site.install("acme-coupons", coupon())
    return grantway.build_registry(block=["acme-coupons"])


def _conflicting(site: Site) -> grantway.Registry:
    site.install("acme-coupons", coupon())
    site.install("best-coupons", coupon())
    return grantway.build_registry()


def _incompatible(site: Site) -> grantway.Registry:
    site.install("acme-coupons", coupon(), group="grantway.v2")
    return grantway.build_registry()


@pytest.mark.parametrize(
    ("make", "error", "expected"),
    [
        (_blocked, grantway.PluginLoadError, "was not loaded: blocked by block"),
        (_conflicting, grantway.PluginLoadError, "is registered by acme-coupons 1.0"),
        (_incompatible, grantway.PluginIncompatibleError, "it is for grantway.v2"),
    ],
)
def test_names_an_unloaded_required_plugin_with_its_reason(
    site: Site, make: Callable[[Site], grantway.Registry], error: type[Exception], expected: str
) -> None:
    registry = make(site)
    with pytest.raises(error) as raised:
        registry.require(["acme-coupons"])
    assert expected in str(raised.value)


def test_returns_a_loaded_required_plugin_and_rejects_an_unknown_one(site: Site) -> None:
    site.install("acme-coupons", coupon())
    grantway.build_registry(require=["acme-coupons", "grantway"])
    with pytest.raises(grantway.RegistryError, match="required plugin 'acme-audit' is not install"):
        grantway.build_registry(require=["acme-audit"])
    with pytest.raises(grantway.RegistryError, match=r'require: must be a list .* \["acme"\]'):
        grantway.build_registry(require="acme")


def test_a_reload_that_lacks_a_required_plugin_keeps_the_old_registry(site: Site) -> None:
    site.install("acme-coupons", coupon())
    before = grantway.reload(require=["acme-coupons"])
    site.uninstall("acme-coupons")
    with pytest.raises(grantway.RegistryError, match="'acme-coupons' is not installed"):
        grantway.reload(require=["acme-coupons"])
    assert grantway.default_registry() is before
