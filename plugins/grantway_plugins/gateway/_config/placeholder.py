"""The placeholder ``{tenant}`` in scopes and parameters."""

from __future__ import annotations

from typing import Any

PLACEHOLDER = "{tenant}"


def fill_tenant(value: Any, tenant: str) -> Any:
    """Return a value with every placeholder replaced by the tenant's name.

    Args:
        value: Text, or a list, tuple or table of values, nested to any depth.
        tenant: A name that the route's tenant rule accepts, so without spaces and quotes.
    """
    if isinstance(value, str):
        return value.replace(PLACEHOLDER, tenant)
    if isinstance(value, dict):
        return {name: fill_tenant(each, tenant) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(fill_tenant(each, tenant) for each in value)
    return value
