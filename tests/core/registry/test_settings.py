"""Plugins get the settings that users write, checked by the schemas that the plugins declare."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from typing import Any

import pytest
from marshmallow import Schema, ValidationError, fields, post_load, validates

import grantway
from grantway._plugins.default_registry import configure, set_aside
from tests.core.registry.distributions import Site

SECRET = "key-0123456789"
AUDIT = """
from marshmallow import Schema, fields
from grantway import Grant, GrantSchema, hookimpl

class Settings(Schema):
    grant_type = fields.String({options})
    key = fields.String(load_default="")

@hookimpl
def grantway_register_settings():
    return Settings()

@hookimpl
def grantway_register_grants(settings):
    return [Grant(grant_type=settings["grant_type"], schema=GrantSchema(), summary=repr(settings))]
"""
OPTIONAL = AUDIT.format(options='load_default="urn:example:default"')
REQUIRED = AUDIT.format(options="required=True")


class Limits(Schema):
    """Settings with a rule and a nested list."""

    most = fields.Integer(load_default=3)
    key = fields.String(load_default="")
    hosts = fields.List(fields.Url())

    @validates("key")
    def check_key(self, value: str, **_options: Any) -> None:
        """Reject a key with a space."""
        if " " in value:
            raise ValidationError("must have no space")


class Plugin:
    """A plugin of the program that keeps what its hooks receive."""

    def __init__(self, schema: object = None) -> None:
        self.schema = Limits() if schema is None else schema
        self.received: list[Any] = []

    @grantway.hookimpl
    def grantway_register_settings(self) -> Any:
        return self.schema

    @grantway.hookimpl
    def grantway_register_errors(self, settings: Any) -> dict[str, Any]:
        self.received.append(settings)
        return {}

    @grantway.hookimpl
    def grantway_observe(self, event: grantway.Event, settings: Any = None) -> None:
        self.received.append(settings)


def state(registry: grantway.Registry, distribution: str) -> grantway.PluginStatus:
    return next(each for each in registry.plugins if each.distribution == distribution)


@pytest.mark.parametrize("name", ["acme-audit", "Acme_Audit", "coupon", "acme-audit/coupon"])
def test_hooks_receive_the_settings_of_their_plugin(site: Site, name: str) -> None:
    site.install("acme-audit", REQUIRED)
    table = {"grant_type": "urn:example:x", "key": SECRET}
    registry = grantway.build_registry(settings={name: table}, strict=True)
    assert registry.grants["urn:example:x"].summary == "Params(grant_type, key)"


def test_a_plugin_without_a_table_gets_the_defaults(site: Site) -> None:
    site.install("acme-audit", OPTIONAL)
    assert "urn:example:default" in grantway.build_registry(strict=True).grants


def test_a_plugin_that_needs_settings_says_where_to_write_them(site: Site) -> None:
    site.install("acme-audit", REQUIRED)
    found = state(grantway.build_registry(), "acme-audit")
    assert found.state == "failed"
    assert found.reason == (
        "RegistryError: its settings are invalid: grant_type is missing; "
        "write them in a table [plugins.acme-audit], or pass settings="
    )


def test_one_table_serves_all_plugins_of_a_distribution(site: Site) -> None:
    points = "[grantway.v1]\none = acme_audit\ntwo = acme_audit:more\n"
    more = """
class More:
    @hookimpl
    def grantway_register_settings(self):
        return Settings()

    @hookimpl
    def grantway_register_dialects(self, settings):
        from grantway import Dialect
        return [Dialect(name=settings["key"])]

more = More()
"""
    site.install("acme-audit", REQUIRED + more, entry_points=points)
    table = {"grant_type": "urn:example:x", "key": "short"}
    registry = grantway.build_registry(settings={"acme-audit": table}, strict=True)
    assert "urn:example:x" in registry.grants
    assert "short" in registry.dialects


@pytest.mark.parametrize(
    ("settings", "errors"),
    [
        (
            {"acme-audit": {"grant_type": 3, "colour": SECRET}},
            {
                "plugins.acme-audit.grant_type": ["is not a valid string"],
                "plugins.acme-audit.colour": ["is not a setting of this plugin"],
            },
        ),
        (
            {"acme-audit": {}, "acme-audit/coupon": {}},
            {'plugins."acme-audit/coupon"': ["is for the same plugin as plugins.acme-audit"]},
        ),
        (
            {"acme-audit": SECRET},
            {"plugins.acme-audit": ["must be a table with the settings of the plugin"]},
        ),
        (
            {"refresh_token": {}},
            {"plugins.refresh_token": ["names a plugin that has no settings"]},
        ),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_reports_all_invalid_settings_without_values(
    site: Site,
    caplog: pytest.LogCaptureFixture,
    settings: Any,
    errors: dict[str, list[str]],
    strict: bool,
) -> None:
    site.install("acme-audit", OPTIONAL)
    with pytest.raises(grantway.ConfigurationError) as raised:
        grantway.build_registry(settings=settings, strict=strict)
    assert raised.value.errors == errors
    shown = "".join(traceback.format_exception(raised.value))
    assert SECRET not in shown + caplog.text
    assert next(iter(errors)) in str(raised.value)


def test_an_unknown_plugin_is_an_error_that_lists_the_known_ones(site: Site) -> None:
    site.install("acme-audit", OPTIONAL)
    with pytest.raises(grantway.ConfigurationError) as raised:
        grantway.build_registry(settings={"acme-adit": {}}, only=["acme-audit"])
    assert str(raised.value).startswith(
        "plugins.acme-adit names no plugin; installed: acme-audit/coupon, grantway/authorization_"
    )


@pytest.mark.parametrize("source", ["import no_such_library", OPTIONAL])
def test_settings_of_a_plugin_that_is_not_loaded_are_no_error(
    site: Site, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("acme-audit", source)
    monkeypatch.setenv("GRANTWAY_PLUGINS", "-acme-audit" if source == OPTIONAL else "all")
    registry = grantway.build_registry(settings={"acme-audit": {"grant_type": "urn:x:y"}})
    assert state(registry, "acme-audit").state in {"blocked", "failed"}


def test_plugins_of_the_program_get_settings_too() -> None:
    plugin = Plugin()
    grantway.register_plugin("limits", plugin, settings={"most": 5, "key": SECRET})
    assert plugin.received == [{"most": 5, "key": SECRET}]
    assert SECRET not in repr(plugin.received)
    with pytest.raises(grantway.ConfigurationError) as raised:
        grantway.register_plugin("more", Plugin(), settings={"key": f"{SECRET} "})
    assert raised.value.errors == {"plugins.more.key": ["must have no space"]}
    other = Plugin()
    grantway.build_registry({"limits": other}, settings={"limits": {"most": 7}})
    assert [each["most"] for each in other.received] == [7]


def test_an_observer_receives_the_settings() -> None:
    plugin = Plugin()
    registry = grantway.build_registry({"x": plugin}, settings={"x": {"most": 9}})
    event = grantway.Event("start", "x", "urn:example:x", 1, 0.0, "")
    for _, observe in registry.observers:
        observe(event)
    assert [each["most"] for each in plugin.received] == [9, 9]


def test_settings_may_be_any_object() -> None:
    @dataclass(frozen=True)
    class Loaded:
        most: int

    class Typed(Schema):
        most = fields.Integer(load_default=3)

        @post_load
        def make(self, data: dict[str, Any], **_options: Any) -> Loaded:
            return Loaded(**data)

    plugin = Plugin(Typed())
    grantway.build_registry({"x": plugin}, settings={"x": {"most": 4}}, strict=True)
    assert plugin.received == [Loaded(4)]


@pytest.mark.parametrize("schema", [Limits, {}, "x"])
def test_rejects_an_object_that_is_no_schema(schema: object) -> None:
    registry = grantway.build_registry({"x": Plugin(schema)}, entry_points=False)
    assert "not an instance of a marshmallow schema" in registry.plugins[0].reason


def test_the_default_registry_keeps_its_settings(site: Site) -> None:
    site.install("acme-audit", REQUIRED)
    with set_aside():
        grantway.reload(settings={"acme-audit": {"grant_type": "urn:example:x"}})
        assert "urn:example:x" in grantway.reload().grants
        with pytest.raises(grantway.ConfigurationError):
            grantway.reload(settings={"acme-adit": {}})
        assert "urn:example:x" in grantway.default_registry().grants
        restore = configure({"acme-audit": {"grant_type": "urn:example:y"}})
        assert "urn:example:y" in grantway.default_registry().grants
        restore()
        assert "urn:example:x" in grantway.default_registry().grants


def test_logs_nothing_about_a_plugin_whose_settings_are_reported(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.install("acme-audit", REQUIRED)
    with pytest.raises(grantway.ConfigurationError):
        grantway.build_registry(settings={"acme-audit": {}})
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


class Leaking(Schema):
    """Settings whose checks quote them."""

    key = fields.String(load_default="")
    host = fields.String()

    @validates("host")
    def check_host(self, value: str, **_options: Any) -> None:
        """Reject a host, with its name in the error."""
        raise ValidationError(f"{value} is no host")

    @post_load
    def open(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Fail if the key is that of a broken schema."""
        if data["key"].endswith("schema"):
            raise ValueError(data["key"])
        return data


class LeakingPlugin(Plugin):
    """A plugin whose hook fails with a setting in the text."""

    @grantway.hookimpl
    def grantway_register_stores(self, settings: Any) -> Any:
        raise self.kind(f"rejected: {settings['key']}")

    kind: type[BaseException] = ValueError

    @grantway.hookimpl
    def grantway_register_dialects(self, settings: Any) -> Any:
        yield from self.grantway_register_stores(settings)


@pytest.mark.parametrize("kind", [ValueError, SystemExit, ValidationError])
@pytest.mark.parametrize("key", [SECRET, f"{SECRET}-schema"])
def test_no_setting_is_in_the_failure_of_a_plugin(
    kind: type[BaseException], key: str, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = LeakingPlugin(Leaking())
    plugin.kind = kind
    plugins, settings = {"acme": plugin}, {"acme": {"key": key}}
    registry = grantway.build_registry(plugins, settings=settings, only=[])
    found = registry.plugins[-1]
    assert found.state == "failed"
    assert "its text is not shown" in found.reason
    assert found.failed_at.startswith(__file__)
    with pytest.raises(grantway.PluginLoadError) as raised:
        grantway.build_registry(plugins, settings=settings, only=[], strict=True)
    shown = "".join(traceback.format_exception(raised.value)) + found.reason + caplog.text
    assert SECRET not in shown


def test_no_setting_is_in_the_error_of_a_validator() -> None:
    with pytest.raises(grantway.ConfigurationError) as raised:
        grantway.build_registry(
            {"acme": Plugin(Leaking())}, settings={"acme": {"host": SECRET}}, only=[]
        )
    assert raised.value.errors == {"plugins.acme.host": ["*** is no host"]}


def test_the_message_of_a_plugins_own_error_is_shown() -> None:
    plugin = LeakingPlugin(Leaking())
    plugin.kind = grantway.ConfigurationError
    found = grantway.build_registry(
        {"acme": plugin}, settings={"acme": {"key": "the key of this test"}}, only=[]
    ).plugins[-1]
    assert "rejected: the key of this test" in found.reason
