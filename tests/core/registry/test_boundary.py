"""The exports of plugins are checked at registration."""

from __future__ import annotations

import functools
import itertools
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import grantway
from grantway import Grant, GrantSchema, Text, TokenError, hookimpl
from grantway._types.plugin_status import PluginStatus


class CouponSchema(GrantSchema):
    """A coupon."""

    coupon = Text(required=True, example='"SPRING-2031"')


def reason(plugin: object) -> str:
    """Return why a plugin is not loaded, after checking the warning and the error."""
    registry = grantway.build_registry({"acme": plugin}, only=["grantway"])
    status = next(each for each in registry.plugins if each.name == "acme")
    assert status.state == "failed"
    assert "client_credentials" in registry.grants
    with pytest.raises(grantway.PluginLoadError, match="The plugin acme of application"):
        grantway.build_registry({"acme": plugin}, only=["grantway"], strict=True)
    return status.reason


def plugin_returning(hook: str, returned: Any) -> object:
    """Return a plugin whose hook returns the given value."""

    def function() -> Any:
        return returned() if inspectable(returned) else returned

    function.__name__ = hook
    return _plugin(hook, function)


def inspectable(value: Any) -> bool:
    return isinstance(value, type(lambda: None))


def _plugin(hook: str, function: Any) -> object:
    return type("Plugin", (), {hook: staticmethod(hookimpl(function))})()


class Awaited:
    """An object with an asynchronous __call__."""

    async def __call__(self, *arguments: Any, **named: Any) -> None:
        """Return None asynchronously."""


async def late(*arguments: Any, **named: Any) -> Any:
    """Return None asynchronously."""


async def late_generator(*arguments: Any) -> Any:
    """Yield None asynchronously."""
    yield None


class LateSide:
    """An issuer grant with an asynchronous decide."""

    async def decide(self, request: Any, transaction: Any) -> Any:
        """Return None asynchronously."""


LISTS = ("grantway_register_grants", "grantway_register_dialects", "grantway_register_middleware")
MAPPINGS = (
    "grantway_register_issuer_grants",
    "grantway_register_client_auth",
    "grantway_register_errors",
    "grantway_register_stores",
    "grantway_register_secret_sources",
)


@pytest.mark.parametrize("hook", [*LISTS, *MAPPINGS])
@pytest.mark.parametrize("function", [late, late_generator])
def test_rejects_an_asynchronous_hook_by_name(hook: str, function: Any) -> None:
    async def hooked() -> Any:
        return []

    async def generated() -> Any:
        yield None

    made: Any = hooked if function is late else generated
    made.__name__ = hook
    assert f"{hook} is asynchronous" in reason(_plugin(hook, made))


@pytest.mark.parametrize("hook", [*LISTS, *MAPPINGS])
def test_rejects_a_hook_that_returns_a_coroutine(hook: str) -> None:
    assert f"{hook} is asynchronous" in reason(plugin_returning(hook, late))


def test_rejects_an_asynchronous_observer_by_name() -> None:
    async def grantway_observe(event: Any) -> None:
        pass

    assert "grantway_observe is asynchronous" in reason(
        _plugin("grantway_observe", grantway_observe)
    )


@pytest.mark.parametrize("asynchronous", [late, Awaited(), functools.partial(late, 1)])
@pytest.mark.parametrize(
    ("hook", "wrap", "expected"),
    [
        ("grantway_register_middleware", lambda it: [it], "the middleware "),
        ("grantway_register_client_auth", lambda it: {"api_key": it}, "the client auth"),
        ("grantway_register_stores", lambda it: {"late": it}, "the store "),
        ("grantway_register_secret_sources", lambda it: {"late": it}, "the secret source "),
    ],
)
def test_rejects_asynchronous_callables(
    asynchronous: Any, hook: str, wrap: Callable[[Any], Any], expected: str
) -> None:
    found = reason(plugin_returning(hook, wrap(asynchronous)))
    assert expected in found
    assert "is asynchronous (async def)" in found


def test_rejects_an_asynchronous_issuer_grant() -> None:
    plugin = plugin_returning("grantway_register_issuer_grants", {"urn:example:coupon": LateSide()})
    assert "decide of the issuer grant urn:example:coupon is asynchronous" in reason(plugin)


def endless() -> Iterator[Any]:
    for number in itertools.count():
        yield Grant(f"urn:example:{number}", CouponSchema())


class Endless(Mapping[str, Any]):
    """An endless mapping."""

    def __getitem__(self, key: str) -> Any:
        return late

    def __iter__(self) -> Iterator[str]:
        return (str(number) for number in itertools.count())

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("hook", LISTS)
def test_rejects_an_endless_list(hook: str) -> None:
    assert f"{hook} returned more than 1000 entries" in reason(plugin_returning(hook, endless))


@pytest.mark.parametrize("hook", MAPPINGS)
def test_rejects_an_endless_mapping(hook: str) -> None:
    assert f"{hook} returned more than 1000 entries" in reason(plugin_returning(hook, Endless()))


@pytest.mark.parametrize("hook", LISTS)
@pytest.mark.parametrize("wrong", [None, 7, "coupon", b"coupon", {"coupon": 1}])
def test_rejects_a_result_that_is_not_a_list(hook: str, wrong: Any) -> None:
    assert f"{hook} returned " in (found := reason(plugin_returning(hook, wrong)))
    assert "not a list" in found


@pytest.mark.parametrize("hook", MAPPINGS)
@pytest.mark.parametrize("wrong", [None, "coupon", [("coupon", 1)]])
def test_rejects_a_result_that_is_not_a_mapping(hook: str, wrong: Any) -> None:
    assert f"{hook} returned " in (found := reason(plugin_returning(hook, wrong)))
    assert "not a mapping" in found


@pytest.mark.parametrize("hook", MAPPINGS)
@pytest.mark.parametrize("name", [None, 7, ""])
def test_rejects_a_mapping_without_names(hook: str, name: Any) -> None:
    assert f"{hook} returned {name!r} as a name" in reason(plugin_returning(hook, {name: late}))


@pytest.mark.parametrize("hook", LISTS)
def test_rejects_none_in_a_list(hook: str) -> None:
    reason(plugin_returning(hook, [None]))


class CouponSpentError(TokenError):
    """The coupon was already used."""

    code = wire = "coupon_spent"

    def __init__(self, coupon: str) -> None:
        super().__init__(coupon)


def test_rejects_an_error_class_that_cannot_be_created() -> None:
    found = reason(plugin_returning("grantway_register_errors", {"coupon_spent": CouponSpentError}))
    assert "the class CouponSpentError for the error code 'coupon_spent' cannot be created" in found


def test_rejects_a_hook_wrapper() -> None:
    class Wraps:
        @hookimpl(wrapper=True)
        def grantway_register_grants(self) -> Any:
            return (yield)

    assert "grantway_register_grants is marked with wrapper=True" in reason(Wraps())


@pytest.mark.parametrize("option", ["tryfirst", "trylast"])
def test_rejects_an_order_of_plugins(option: str) -> None:
    class Ordered:
        @hookimpl(**{option: True})
        def grantway_register_grants(self) -> list[Grant]:
            return []

    assert f"grantway_register_grants is marked with {option}=True" in reason(Ordered())


def test_accepts_a_function_with_another_name() -> None:
    class Renamed:
        @hookimpl(specname="grantway_register_grants")
        def grants(self) -> list[Grant]:
            return [Grant("urn:example:coupon", CouponSchema())]

    registry = grantway.build_registry({"acme": Renamed()}, only=["grantway"], strict=True)
    assert "urn:example:coupon" in registry.grants


def test_an_optional_hook_of_another_version_is_ignored() -> None:
    class Forward:
        @hookimpl(optionalhook=True)
        def grantway_of_a_later_version(self) -> None:
            pass

        @hookimpl
        def grantway_register_grants(self) -> list[Grant]:
            return [Grant("urn:example:coupon", CouponSchema())]

    registry = grantway.build_registry({"acme": Forward()}, only=["grantway"], strict=True)
    assert "urn:example:coupon" in registry.grants
    assert PluginStatus("acme", source="Forward") in registry.plugins


SECRET = "hunter2-hunter2"


def fails(*_args: Any, **options: Any) -> Any:
    """Fail with the given secret in the text."""
    raise TypeError(f"{SECRET} {options}")


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    ("hook", "create"),
    [
        ("grantway_register_stores", lambda registry: registry.store("acme", key=SECRET)),
        (
            "grantway_register_secret_sources",
            lambda registry: registry.secret_source("acme", key=SECRET),
        ),
        (
            "grantway_register_client_auth",
            lambda registry: grantway.Client(
                grantway.Provider("https://login.example.com/token"),
                client_id="me",
                client_secret=SECRET,
                auth="acme",
                registry=registry,
            ),
        ),
    ],
)
def test_a_factory_that_raises_is_named_without_its_text(
    hook: str, create: Callable[[grantway.Registry], object]
) -> None:
    registry = grantway.build_registry({"x": plugin_returning(hook, {"acme": fails})}, strict=True)
    with pytest.raises(grantway.ConfigurationError) as raised:
        create(registry)
    line = fails.__code__.co_firstlineno + 2
    assert "x of application" in str(raised.value)
    assert f"raised TypeError (at {__file__}:{line}); its text is not shown" in str(raised.value)
    assert SECRET not in shown(raised.value)


def test_a_missing_option_of_a_factory_is_an_error_of_the_caller() -> None:
    plugin = plugin_returning("grantway_register_stores", {"acme": lambda *, folder: folder})
    registry = grantway.build_registry({"x": plugin}, strict=True)
    with pytest.raises(TypeError, match="folder"):
        registry.store("acme")
