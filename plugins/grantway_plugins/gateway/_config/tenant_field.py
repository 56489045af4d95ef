"""``tenant``: the rule that selects the tenant of a route's requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import ValidationError, fields

from grantway._exceptions import ConfigurationError, GrantwayError
from grantway._plugins.default_registry import default_registry
from grantway._plugins.failures import call_factory
from grantway._plugins.kinds import TENANT_RULE
from grantway._secrets.params import Params
from grantway._types.callables import is_async, kind_of
from grantway_plugins._config.components import argument_rule
from grantway_plugins._config.toml_file import nearest
from grantway_plugins.gateway.upstream._registered_rule import RegisteredRule
from grantway_plugins.gateway.upstream._tenant import (
    TenantRule,
    from_claim,
    from_header,
    from_host,
    from_path,
    from_user,
    single,
)

_TENANT = (
    'must be "single", "user", "claim:org_id", "header:X-Tenant", "host:example.com" or "path:2"'
)
_OWN: dict[str, Callable[..., TenantRule]] = {
    "claim": from_claim,
    "header": from_header,
    "host": from_host,
    "path": from_path,
    "single": single,
    "user": from_user,
}


class Tenant(fields.Field[TenantRule]):
    """A rule: a text, or a table with the name of a rule as ``rule`` and its options."""

    default_error_messages = {  # noqa: RUF012 - marshmallow reads it from the class
        "required": f"is missing; it selects the tenant of each request and {_TENANT}",
        "null": _TENANT,
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> TenantRule:
        if isinstance(value, Mapping):
            table = Params(value)
            name = table.pop("rule", None)
            known = [*_OWN, *default_registry().tenant_rules]
            if name not in known:
                raise ValidationError({"rule": [f"must be a tenant rule; {_nearest(name, known)}"]})
            return _created(name, table)
        if isinstance(value, str) and value in default_registry().tenant_rules:
            return _created(value, Params())
        return _from_text(value)


def _nearest(name: object, known: list[str]) -> str:
    return nearest(name if isinstance(name, str) else "", known)


def _from_text(value: object) -> TenantRule:
    if value == "single":
        return single()
    if value == "user":
        return from_user()
    kind, _, detail = value.partition(":") if isinstance(value, str) else ("", "", "")
    registered = sorted(default_registry().tenant_rules)
    rule = f"{_TENANT}, or a rule of a plugin: {', '.join(registered)}" if registered else _TENANT
    problem = rule
    try:
        if kind == "claim":
            return from_claim(detail)
        if kind == "header":
            return from_header(detail)
        if kind == "host":
            return from_host(detail)
        if kind == "path" and detail.isascii() and detail.isdigit():
            return from_path(int(detail))
    except ConfigurationError as error:
        problem = f"{rule} ({error.message})"
    raise ValidationError(problem)


def _created(name: str, options: Params) -> TenantRule:
    """Create a rule. Errors name the plugin that registered it."""
    try:
        if name in _OWN:
            return _OWN[name](**options)
        return _registered(name, options)
    except GrantwayError as error:  # a ConfigurationError, or a reference cannot be imported
        problem = str(error)
    except TypeError as error:  # an unknown option, or a required one is missing
        problem = argument_rule(error)
    # Raised outside the except blocks, because exceptions of a plugin may hold options.
    raise ValidationError(f"cannot be created: {problem}")


def _registered(name: str, options: Params) -> TenantRule:
    plugin = default_registry().owner_of(TENANT_RULE, name).named
    factory = default_registry().tenant_rules[name]
    made = call_factory(
        factory, options, lambda problem: ConfigurationError(f"the plugin {plugin} {problem}")
    )
    if callable(made) and not is_async(made):
        return RegisteredRule(name, plugin, options, made)
    found = "an asynchronous function" if is_async(made) else kind_of(made)
    raise ConfigurationError(
        f"the plugin {plugin} returned {found}, not a plain function of a request"
    )
