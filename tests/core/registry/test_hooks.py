"""The hook contract: every hook is tested, and hooks can gain arguments and be deprecated."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pluggy
import pytest

import grantway
from grantway import hookspecs
from grantway._plugins.exports import PluginExports
from grantway._plugins.kinds import GRANT
from grantway._requests.exchange import Exchange
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from grantway._types.grant import IssuerGrant
from grantway._types.plugin_status import PluginStatus
from grantway._wire.provider_response import ProviderResponse
from grantway_plugins.issuer import Denial

if TYPE_CHECKING:
    from grantway._requests.middleware import Middleware

TESTS = Path(__file__).parents[2]
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("grantway_"))


def implemented() -> Iterator[str]:
    """Yield the hooks that tests implement."""
    for file in TESTS.rglob("test_*.py"):
        if "node_modules" in file.parts:
            continue
        text = file.read_text(encoding="utf-8")
        if "hookimpl" in text and any(f"def {hook}(" in text for hook in HOOKS):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef) and node.name in HOOKS:
                    yield node.name


def test_every_hook_is_implemented_by_a_test() -> None:
    untested = set(HOOKS) - set(implemented())
    assert not untested, f"no test implements {sorted(untested)}"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_specification_is_typed(hook: str) -> None:
    function = getattr(hookspecs, hook)
    assert hasattr(function, "grantway_spec")
    assert "return" in function.__annotations__


@pytest.mark.parametrize("hook", [name for name in HOOKS if name != "grantway_register_settings"])
def test_every_hook_may_receive_the_settings_of_its_plugin(hook: str) -> None:
    assert "settings" in inspect.signature(getattr(hookspecs, hook)).parameters


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_in_a_hooks_docstring_runs(hook: str) -> None:
    text = inspect.getdoc(getattr(hookspecs, hook)) or ""
    lines = text.split("::\n", 1)[1].splitlines()
    example = list(itertools.takewhile(lambda line: line[:1] in ("", " "), lines))
    names: dict[str, Any] = {name: getattr(grantway, name) for name in grantway.__all__}
    names |= {"grantway": grantway, "CouponSchema": grantway.GrantSchema, "Denial": Denial}
    names |= {"dataclass": dataclass, "field": field}
    exec(textwrap.dedent("\n".join(example)), names)
    plugin = SimpleNamespace(**{hook: names[hook]})
    (status,) = grantway.build_registry(
        {"example": plugin}, entry_points=False, strict=True
    ).plugins
    assert status.state == "loaded"


@pytest.mark.parametrize("hook", [name for name in HOOKS if "_register_" in name])
def test_hook_specifications_do_nothing(hook: str) -> None:
    with pytest.raises(NotImplementedError):
        getattr(hookspecs, hook)(*inspect.signature(getattr(hookspecs, hook)).parameters)


def manager(specification: Any) -> pluggy.PluginManager:
    """Return a manager that knows a later version of a hook."""
    later = ModuleType("later")
    setattr(later, specification.__name__, specification)
    made = pluggy.PluginManager("grantway")
    made.add_hookspecs(later)
    return made


def grant(summary: str) -> grantway.Grant:
    return grantway.Grant(
        grant_type="urn:example:x", schema=grantway.GrantSchema(), summary=summary
    )


class Grants:
    """An object with hooks of all types."""

    @grantway.hookimpl
    def method(self) -> list[grantway.Grant]:
        return [grant("x")]

    @classmethod
    @grantway.hookimpl
    def of_class(cls) -> list[grantway.Grant]:
        return [grant("x")]

    @staticmethod
    @grantway.hookimpl
    def function() -> list[grantway.Grant]:
        return [grant("x")]


@pytest.mark.parametrize("hook", [Grants().method, Grants.of_class, Grants.function])
def test_the_hooks_of_a_module_may_be_methods(hook: object) -> None:
    module = ModuleType("acme_coupons")
    vars(module).update(grantway_register_grants=hook, Text=grantway.Text, other=implemented)
    registry = grantway.build_registry({"x": module}, entry_points=False, strict=True)
    assert list(registry.grants) == ["urn:example:x"]


def test_a_new_argument_does_not_break_a_plugin() -> None:
    @hookspecs.hookspec
    def grantway_register_grants(host: str) -> None:
        """Register the grants of a host."""

    @grantway.hookimpl(specname="grantway_register_grants")
    def old() -> list[grantway.Grant]:
        return [grant("old")]

    @grantway.hookimpl(specname="grantway_register_grants")
    def new(host: str) -> list[grantway.Grant]:
        return [grant(f"for {host}")]

    @grantway.hookimpl(specname="grantway_register_grants")
    def both(host: str = "any") -> list[grantway.Grant]:
        return [grant(f"with {host}")]

    for function, summary in (
        (old, "old"),
        (new, "for login.example.com"),
        (both, "with login.example.com"),
    ):
        exports = PluginExports.read(
            PluginStatus("x"),
            SimpleNamespace(hook=function),
            manager=manager(grantway_register_grants),
            arguments={"host": "login.example.com"},
        )
        assert [each.summary for each in exports.values[GRANT].values()] == [summary]


def test_an_optional_argument_keeps_its_default_in_older_versions() -> None:
    class Plugin:
        @grantway.hookimpl
        def grantway_register_grants(self, host: str = "any") -> list[grantway.Grant]:
            return [grant(f"with {host}")]

    registry = grantway.build_registry({"x": Plugin()}, entry_points=False, strict=True)
    assert registry.grants["urn:example:x"].summary == "with any"


def test_a_required_argument_of_a_later_version_is_named() -> None:
    class Plugin:
        @grantway.hookimpl
        def grantway_register_grants(self, host: str) -> list[grantway.Grant]:
            raise NotImplementedError

    registry = grantway.build_registry({"x": Plugin()}, entry_points=False)
    assert registry.plugins[0].state == "failed"
    assert registry.plugins[0].reason == (
        "PluginLoadError: grantway_register_grants has an argument that this grantway does not "
        "pass: 'host'; give it a default value, or require a later version of grantway"
    )


def test_an_optional_hook_of_a_later_version_is_ignored() -> None:
    class Plugin:
        @grantway.hookimpl
        def grantway_register_grants(self) -> list[grantway.Grant]:
            return [grant("x")]

        @grantway.hookimpl(optionalhook=True)
        def grantway_register_offers(self, host: str) -> list[str]:
            raise NotImplementedError

        @grantway.hookimpl(optionalhook=True, specname="grantway_register_pages")
        def pages(self) -> list[str]:
            raise NotImplementedError

    registry = grantway.build_registry({"x": Plugin()}, entry_points=False, strict=True)
    assert list(registry.grants) == ["urn:example:x"]


def test_a_deprecated_hook_warns_and_is_used() -> None:
    @hookspecs.hookspec(warn_on_impl=DeprecationWarning("use grantway_register_things"))
    def grantway_register_grants() -> None:
        """Register grants with the deprecated hook."""

    @grantway.hookimpl(specname="grantway_register_grants")
    def old() -> list[grantway.Grant]:
        return [grant("old")]

    with pytest.warns(DeprecationWarning, match="use grantway_register_things"):
        exports = PluginExports.read(
            PluginStatus("x"),
            SimpleNamespace(hook=old),
            manager=manager(grantway_register_grants),
        )
    assert [each.summary for each in exports.values[GRANT].values()] == ["old"]


class Transport:
    """A transport that always returns a token."""

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        body = b'{"access_token": "t", "token_type": "Bearer"}'
        return HttpResponse(200, {"content-type": "application/json"}, body)

    def close(self) -> None:
        pass


def client(plugin: object) -> grantway.Client:
    return grantway.Client(
        grantway.Provider(token_endpoint="https://login.example.com/token"),
        client_id="me",
        registry=grantway.build_registry({"watch": plugin}, entry_points=False, strict=True),
        transport=Transport(),
    )


def test_middleware_runs_around_every_call() -> None:
    order: list[str] = []

    def outer(exchange: Exchange) -> ProviderResponse:
        order.append(f"outer {exchange.step}")
        return (yield exchange)

    def inner(exchange: Exchange) -> ProviderResponse:
        order.append("inner")
        response = yield exchange
        order.append(f"answer {response.status}")
        return response

    class Plugin:
        @grantway.hookimpl
        def grantway_register_grants(self) -> list[grantway.Grant]:
            return [grant("x")]

        @grantway.hookimpl
        def grantway_register_middleware(self) -> list[Middleware]:
            return [outer, inner]

    assert client(Plugin()).create_token(grant_type="urn:example:x")
    assert order == ["outer token", "inner", "answer 200"]


def test_the_issuer_grants_are_immutable() -> None:
    class Side:
        def decide(self, request: Any, transaction: Any) -> Any:
            raise NotImplementedError

    side = Side()

    class Plugin:
        @grantway.hookimpl
        def grantway_register_issuer_grants(self) -> dict[str, IssuerGrant]:
            return {"urn:example:x": side}

    registry = grantway.build_registry({"mine": Plugin()}, entry_points=False, strict=True)
    assert registry.issuer_grants == {"urn:example:x": side}
    with pytest.raises(TypeError):
        registry.issuer_grants["urn:example:y"] = side  # type: ignore[index]


def test_names_an_observer_that_raises_and_returns_the_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Plugin:
        @grantway.hookimpl
        def grantway_observe(self, event: grantway.Event) -> None:
            raise RuntimeError("full disk")

        @grantway.hookimpl
        def grantway_register_grants(self) -> list[grantway.Grant]:
            return [grant("x")]

    asking = client(Plugin())
    assert asking.create_token(grant_type="urn:example:x").access_token
    assert asking.dispatcher().observe.failures == {"application/watch": 3}
    assert "application/watch" in caplog.text
