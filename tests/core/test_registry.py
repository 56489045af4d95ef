"""Plugins are discovered, isolated if they fail, and never overwrite each other."""

from __future__ import annotations

import sys
from importlib import metadata
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from grantway import (
    Client,
    Event,
    Grant,
    GrantConflictError,
    GrantSchema,
    PluginLoadError,
    Provider,
    Registry,
    TokenError,
    UnknownGrantTypeError,
    build_registry,
    default_registry,
    hookimpl,
)
from grantway._wire.dialect import Dialect
from tests import faults
from tests.faults import FaultServer

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
STANDARD = {"authorization_code", "refresh_token", DEVICE}


def plugin(**hooks: Any) -> Any:
    """Return a plugin whose hooks return or call the given values."""

    class Plugin:
        pass

    for name, value in hooks.items():
        function = value if callable(value) else (lambda value=value: value)
        setattr(Plugin, f"grantway_{name}", staticmethod(hookimpl(function)))
    return Plugin()


def grant(name: str = "coupon") -> Grant:
    return Grant(grant_type=name, schema=GrantSchema())


def alone(**plugins: Any) -> Registry:
    return build_registry(plugins, entry_points=False)


def broken(one: Any) -> str:
    """Return why a plugin failed, after checking that another plugin works."""
    registry = alone(bad=one, good=plugin(register_grants=[grant("good")]))
    assert set(registry.grants) == {"good"}
    states = {status.name: status for status in registry.plugins}
    assert states["good"].state == "loaded"
    assert states["good"].reason == ""
    assert states["bad"].state == "failed"
    with pytest.raises(PluginLoadError, match="bad"):
        build_registry({"bad": one}, entry_points=False, strict=True)
    return states["bad"].reason


def test_the_standard_grants_are_entry_points() -> None:
    found = {point.name for point in metadata.entry_points(group="grantway.v1")}
    assert {"authorization_code", "device_code", "refresh_token", "aws"} <= found
    registry = build_registry()
    assert set(registry.grants) >= STANDARD
    assert {"rfc6749", "aws-sso-oidc"} <= set(registry.dialects)
    assert [status for status in registry.plugins if status.state != "loaded"] == []
    owners = {status.owner for status in registry.plugins}
    assert f"grantway {metadata.version('grantway')}" in owners
    assert STANDARD.isdisjoint(alone().grants)


def test_there_is_one_default_registry() -> None:
    assert default_registry() is default_registry()


def test_the_registry_contains_the_exports_of_a_plugin() -> None:
    class CouponSpentError(TokenError):
        code = wire = "coupon_spent"

    def layer(exchange: Any) -> Any:
        return (yield exchange)

    def factory(client_id: str, client_secret: str | None) -> Any:
        return SimpleNamespace(client_id=client_id)

    coupon, dialect = grant(), Dialect(name="mine")
    registry = alone(
        mine=plugin(
            register_grants=[coupon],
            register_dialects=(dialect,),
            register_errors={"coupon_spent": CouponSpentError},
            register_client_auth={"mine": factory},
            register_middleware=[layer],
            observe=lambda event: None,
        )
    )
    assert registry.grant("coupon") is coupon
    assert registry.dialects["mine"] is dialect
    assert registry.errors["coupon_spent"] is CouponSpentError
    assert registry.client_auth["mine"] is factory
    assert registry.middleware == (layer,)
    assert len(registry.observers) == 1


def test_a_registry_does_not_change() -> None:
    registry = alone(mine=plugin(register_grants=[grant()]))
    with pytest.raises(TypeError):
        registry.grants["other"] = grant("other")  # type: ignore[index]
    with pytest.raises(AttributeError):
        registry.grants = {}  # type: ignore[misc]


def test_a_module_can_be_a_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("my_plugin")
    module.grantway_register_grants = hookimpl(lambda: [grant()])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_plugin", module)
    assert set(alone(mine=module).grants) == {"coupon"}


def raising(error: BaseException) -> Any:
    def hook() -> Any:
        raise error

    return hook


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (plugin(register_grants=raising(KeyError("boom"))), "boom"),
        (plugin(register_grants=raising(SystemExit("bye"))), "bye"),
        (plugin(register_grants=None), "None"),
        (plugin(register_grants=["coupon"]), "str"),
        (plugin(register_grants=[grant("")]), "grant_type"),
        (plugin(register_grants=[grant("  ")]), "grant_type"),
        (plugin(register_grants=[Grant(grant_type=7, schema=GrantSchema())]), "grant_type"),  # type: ignore[arg-type]
        (plugin(register_grants=[Grant("x", GrantSchema)]), "schema"),  # type: ignore[arg-type]
        (plugin(register_grants=[Grant("x", GrantSchema(), replay="never")]), "replay"),  # type: ignore[arg-type]
        (plugin(register_grants=[grant("x"), grant("x")]), "twice"),
        (plugin(register_dialects=["x"]), "str"),
        (plugin(register_dialects=[Dialect(name="x"), Dialect(name="x")]), "twice"),
        (plugin(register_errors={"x": ValueError}), "TokenError"),
        (plugin(register_errors={"invalid_grant": TokenError}), "invalid_grant"),
        (plugin(register_middleware=[1]), "middleware"),
        (plugin(register_client_auth={"x": 1}), "client auth"),
        (plugin(regsiter_grants=[]), "grantway_register_grants"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_a_failed_plugin_with_its_reason(one: Any, reason: str) -> None:
    assert reason in broken(one)


def test_a_partly_failed_plugin_registers_nothing() -> None:
    half = plugin(
        register_grants=[grant("half")],
        register_dialects=[Dialect(name="half")],
        observe=lambda event: None,
        register_middleware=raising(ValueError("late")),
    )
    registry = alone(half=half)
    assert dict(registry.grants) == {}
    assert "half" not in registry.dialects
    assert registry.observers == ()


@pytest.mark.parametrize(
    "hooks",
    [
        {"register_grants": [grant("same")]},
        {"register_dialects": [Dialect(name="same")]},
        {"register_errors": {"same": TokenError}},
        {"register_client_auth": {"same": lambda client_id, client_secret: None}},
    ],
    ids=lambda hooks: next(iter(hooks)),
)
def test_a_conflict_names_both_plugins(hooks: dict[str, Any]) -> None:
    with pytest.raises(GrantConflictError) as caught:
        alone(first=plugin(**hooks), second=plugin(**hooks))
    for word in ("same", "first", "second"):
        assert word in str(caught.value)


def test_a_plugin_cannot_replace_a_standard_grant_by_accident() -> None:
    with pytest.raises(GrantConflictError) as caught:
        build_registry({"mine": plugin(register_grants=[grant("refresh_token")])})
    assert f"grantway {metadata.version('grantway')}" in str(caught.value)


def test_a_plugin_cannot_replace_the_default_dialect() -> None:
    with pytest.raises(GrantConflictError, match="rfc6749"):
        alone(mine=plugin(register_dialects=[Dialect(name="rfc6749")]))


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ("refresh-token", "refresh_token"),
        ("Refresh_Token", "refresh_token"),
        ("device_code", DEVICE),
        ("urn:ietf:params:oauth:grant-type:device-code", DEVICE),
        ("authorisation_code", "authorization_code"),
        ("xyz", None),
    ],
)
def test_the_nearest_grant_type_is_suggested(asked: str, nearest: str | None) -> None:
    with pytest.raises(UnknownGrantTypeError) as caught:
        default_registry().grant(asked)
    assert caught.value.nearest == nearest
    assert ("Did you mean" in str(caught.value)) is (nearest is not None)


def test_an_exception_of_an_observer_is_counted_and_the_token_returned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[Event] = []

    def bad(event: Event) -> None:
        raise RuntimeError("observer-detail")

    def good(event: Event) -> None:
        seen.append(event)

    registry = build_registry({"bad": plugin(observe=bad), "good": plugin(observe=good)})
    with FaultServer(faults.respond()) as server:
        provider = Provider(token_endpoint=server.token_endpoint)
        with Client(provider, client_id="c", registry=registry) as client:
            for _ in range(2):
                token = client.create_token(grant_type="refresh_token", refresh_token="rt")
                assert token.access_token == "at-1"
            failures = client.dispatcher().observe.failures
    assert [event.kind for event in seen] == ["start", "attempt", "end"] * 2
    assert list(failures.values()) == [6]
    assert "bad" in next(iter(failures))
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "bad" in warning.getMessage()
    assert "RuntimeError" in warning.getMessage()
