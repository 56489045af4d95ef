"""Plugins register tenant rules, which routes of a gateway's file use with options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from marshmallow import Schema, fields

import grantway
from grantway._exceptions import PluginError
from grantway.testing import Register, isolated_registry
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway.upstream import (
    RequestContext,
    RequestRejectedError,
    Route,
    UpstreamAuth,
    response_for,
)
from grantway_plugins.gateway.upstream._tenant import (
    from_header,
    from_path,
    names_one_tenant,
    tenant_of,
)
from tests.plugins.gateway.running.test_config import GOOD, mistakes_in

SECRET = "key-0123456789"
OWN = 'must be "single", "user", "claim:org_id", "header:X-Tenant", "host:example.com" or "path:2"'
PLUGIN = "the plugin acme of application"


def prefix(separator: str) -> Callable[[RequestContext], str]:
    return lambda request: request.host.partition(separator)[0]


def _raises(request: RequestContext) -> str:
    raise RuntimeError(SECRET)


def _rejects(request: RequestContext) -> str:
    raise RequestRejectedError("Send a certificate", status=401)


async def _asynchronous(request: RequestContext) -> str:
    raise NotImplementedError


def _hidden(request: RequestContext) -> Any:
    return _asynchronous(request)


def _broken(**options: str) -> Any:
    raise RuntimeError(f"{options}")


class Settings(Schema):
    """Settings of the plugin."""

    separator = fields.String(load_default="-")


class Acme:
    """A plugin with rules that work and rules that do not."""

    @grantway.hookimpl
    def grantway_register_settings(self) -> Schema:
        return Settings()

    @grantway.hookimpl
    def grantway_register_tenant_rules(self, settings: Any) -> dict[str, Any]:
        return {
            "prefix": lambda separator=settings["separator"]: prefix(separator),
            "raises": lambda: _raises,
            "rejects": lambda: _rejects,
            "asynchronous": lambda: _asynchronous,
            "hidden": lambda: _hidden,
            "needs": lambda *, key: prefix(key),
            "broken": _broken,
            "nothing": lambda: None,
            "invalid": lambda: grantway.Freshness(advisory=-1),
            "absent": "no_such_module:RULE",
        }


@pytest.fixture(autouse=True)
def registered() -> Iterator[Register]:
    with isolated_registry() as register:
        register(Acme(), name="acme")
        yield register


def read(folder: Path, rule: str) -> Any:
    path = folder / "gateway.toml"
    path.write_text(GOOD.replace('"header:X-Tenant"', rule))
    return ConfigFile(path).routes["orders"]["tenant"]


def request(host: str = "acme-eu.example.com", path: str = "/orders") -> RequestContext:
    return RequestContext(host, path, lambda name: ["acme"] if name == "x-tenant" else None)


@pytest.mark.parametrize(
    ("rule", "tenant"),
    [
        ('"prefix"', "acme"),
        ('{ rule = "prefix" }', "acme"),
        ('{ rule = "prefix", separator = "." }', "acme-eu"),
        ('{ rule = "header", name = "X-Tenant" }', "acme"),
        ('{ rule = "host", domain = "example.com" }', "acme-eu"),
        ('{ rule = "path", segment = 1 }', "orders"),
        ('{ rule = "single" }', "*"),
        ('"path:1"', "orders"),
    ],
)
def test_a_route_uses_a_rule_with_options(tmp_path: Path, rule: str, tenant: str) -> None:
    assert tenant_of(read(tmp_path, rule), request()) == tenant


def test_a_table_means_the_same_as_a_text(tmp_path: Path) -> None:
    assert read(tmp_path, '{ rule = "header", name = "X-Tenant" }') == from_header("X-Tenant")
    assert read(tmp_path, '{ rule = "path", segment = 2 }') == from_path(2)
    assert read(tmp_path, '{ rule = "prefix" }') == read(tmp_path, '"prefix"')
    assert read(tmp_path, '"prefix"') != read(tmp_path, '{ rule = "prefix", separator = "." }')


MISTAKES = {
    '"prefx"': f"{OWN}, or a rule of a plugin: absent, asynchronous, broken, hidden, invalid, "
    "needs, nothing, prefix, raises, rejects",
    '"prefix:x"': f"{OWN}, or a rule of a plugin: ",
    '{ rule = "prefx" }': ".rule must be a tenant rule; did you mean prefix?",
    '{ name = "prefix" }': ".rule must be a tenant rule; there are absent, asynchronous, broken",
    "{ rule = 7 }": ".rule must be a tenant rule; there are absent",
    '{ rule = "prefix", separtor = "." }': "cannot be created: it has no option separtor",
    '{ rule = "needs" }': "cannot be created: it needs the option key",
    '{ rule = "path", segment = 99 }': "cannot be created: from_path: segment",
    '{ rule = "header" }': "cannot be created: it needs the option name",
    f'{{ rule = "broken", key = "{SECRET}" }}': f"cannot be created: {PLUGIN} raised RuntimeError",
    '"nothing"': f"cannot be created: {PLUGIN} returned None, not a plain function of a request",
    '"asynchronous"': f"cannot be created: {PLUGIN} returned an asynchronous function, not a",
    '"invalid"': "cannot be created: ",
    '"absent"': "cannot be created: The plugin acme of application could not be loaded: Module",
}


@pytest.mark.parametrize(("rule", "mistake"), MISTAKES.items())
def test_mistakes_have_lines(tmp_path: Path, rule: str, mistake: str) -> None:
    (found,) = mistakes_in(tmp_path, GOOD.replace('"header:X-Tenant"', rule))
    at = "" if mistake.startswith(".") else " "
    assert found.startswith(f"14: routes.orders.tenant{at}{mistake}")
    assert SECRET not in found


def test_a_table_of_its_own_has_lines_too(tmp_path: Path) -> None:
    text = GOOD.replace('tenant = "header:X-Tenant"\n', "")
    text += '\n[routes.orders.tenant]\nseparator = "."\nrule = "prefx"\n'
    assert mistakes_in(tmp_path, text) == [
        "18: routes.orders.tenant.rule must be a tenant rule; did you mean prefix?"
    ]


@pytest.mark.parametrize(
    ("rule", "problem"), [("raises", "raised RuntimeError"), ("hidden", "is asynchronous")]
)
def test_an_error_of_a_rule_names_the_plugin(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rule: str, problem: str
) -> None:
    route = Route(
        "orders",
        provider="idp",
        credential=lambda tenant: None,  # type: ignore[arg-type,return-value]
        tenant=read(tmp_path, f'"{rule}"'),
        on_failure="closed",
    )
    upstream = UpstreamAuth([route])
    for _ in range(3):
        with pytest.raises(PluginError) as raised:
            upstream.open(request())
    (logged,) = caplog.records
    assert logged.getMessage() == f"{raised.value}; requests of the route get a 503."
    assert str(raised.value).startswith(
        f"The tenant rule {rule!r} of the plugin acme of application {problem}"
    )
    assert SECRET not in str(raised.value)
    assert response_for(raised.value).status == 503


def test_a_rule_may_reject_a_request(tmp_path: Path) -> None:
    with pytest.raises(RequestRejectedError) as raised:
        tenant_of(read(tmp_path, '"rejects"'), request())
    assert raised.value.status == 401


def test_a_rule_may_depend_on_the_path(tmp_path: Path) -> None:
    rule = read(tmp_path, '"prefix"')
    assert names_one_tenant(rule, ["/a", "/a"])
    assert not names_one_tenant(rule, ["/a", "/b"])


def test_the_gateways_own_rules_cannot_be_replaced(registered: Register) -> None:
    class Taking:
        @grantway.hookimpl
        def grantway_register_tenant_rules(self) -> dict[str, str]:
            return {"header": "no_such_module:RULE"}

    with pytest.raises(grantway.GrantConflictError, match="tenant rule 'header'"):
        registered(Taking())
