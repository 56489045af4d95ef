"""The tenant's name in what is asked for: ``{tenant}`` in a scope or a parameter."""

from __future__ import annotations

from typing import Any

PLACE = "{tenant}"


def filled(value: Any, tenant: str) -> Any:
    """A value with the tenant's name in each place for it, at any depth.

    Args:
        value: Text, or a list, tuple or table of values.
        tenant: A name as ``upstream.tenant`` lets it through, without spaces and quotes.
    """
    if isinstance(value, str):
        return value.replace(PLACE, tenant)
    if isinstance(value, dict):
        return {name: filled(each, tenant) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(filled(each, tenant) for each in value)
    return value
