"""Check the parameters of a call before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grantway._exceptions import RequestInvalidError
from grantway._plugins.grant_rules import RESERVED
from grantway._secrets.params import Params
from grantway._secrets.redaction import SECRET_NAME, texts
from grantway._transport.http import can_travel
from grantway._types.callables import computed_names

from .computed_parameters import ComputedParams

if TYPE_CHECKING:
    from grantway._types.grant import Grant

_RESOURCE = "resource"


def load(
    grant: Grant, params: Mapping[str, Any], extra: Mapping[str, Any]
) -> tuple[Params, ComputedParams | None]:
    """Return the checked parameters of a grant.

    Args:
        grant: The grant.
        params: The grant's parameters. A function is called once for each send.
        extra: Provider-specific parameters, which are not in the schema.

    Returns:
        The parameters of the first send, and what computes those of the next ones; None if no
        parameter is a function.

    Raises:
        RequestInvalidError: a parameter is invalid.
    """
    if not _any_callable(params) and not _any_callable(extra):
        return _load(grant, params, extra), None
    # Do not call the functions if the request is invalid in another way.
    computed = computed_names(params)
    grant.load(
        Params({name: value for name, value in params.items() if name not in computed}),
        partial=True,
    )
    given = Params(params)
    given.update((f"extra.{name}", value) for name, value in extra.items())

    def load_computed(values: Params) -> Params:
        return _load(
            grant,
            Params({name: values[name] for name in params}),
            Params({name: values[f"extra.{name}"] for name in extra}),
        )

    parameters = ComputedParams(given, load_computed)
    return parameters.first, parameters


def with_resource(
    grant: Grant, params: Mapping[str, Any], extra: Mapping[str, Any], resource: str
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Add the provider's resource (RFC 8707) to a request that names none.

    Args:
        grant: The grant.
        params: The grant's parameters.
        extra: Provider-specific parameters.
        resource: The resource.
    """
    name = next((each for each, wire in grant.names.wire.items() if wire == _RESOURCE), None)
    if name is None:
        return params, extra if _RESOURCE in extra else Params({**extra, _RESOURCE: resource})
    if params.get(name) is None and params.get(_RESOURCE) is None:
        params = Params({**params, name: resource})
    return params, extra


def load_untyped(params: Mapping[str, Any]) -> tuple[Params, ComputedParams | None]:
    """Return the parameters for an endpoint that has no schema.

    Args:
        params: Names to values, or to functions that are called once for each send. None is
            omitted.

    Returns:
        As for ``load``.
    """
    if not _any_callable(params):
        return _present(params), None
    parameters = ComputedParams(params, _present)
    return parameters.first, parameters


def _any_callable(params: Mapping[str, Any]) -> bool:
    # Checking for a dict first is faster.
    return isinstance(params, (dict, Mapping)) and any(map(callable, params.values()))


def _load(grant: Grant, params: Mapping[str, Any], extra: Mapping[str, Any]) -> Params:
    loaded = grant.load(params)
    if extra:
        _add_extra(grant, loaded, extra)
    return loaded


def _add_extra(grant: Grant, params: Params, extra: Mapping[str, Any]) -> None:
    errors: dict[str, list[str]] = {}
    if not isinstance(extra, Mapping) or not all(isinstance(name, str) for name in extra):
        rule = 'must map names to values, like {"audience": "api"}'
        raise RequestInvalidError(f"Nothing was sent: extra {rule}", errors={"extra": [rule]})
    taken = grant.names.all_of(grant.schema.fields)
    for name, value in extra.items():
        if name in RESERVED or name in taken:
            errors[f"extra.{name}"] = ["is a parameter of the request; pass it by its own name"]
        elif not (
            isinstance(value, str)
            or (isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value))
        ):
            errors[f"extra.{name}"] = ['must be a string or a list of strings, like "value"']
        elif not all(can_travel(text) for text in (name, *texts(value))):
            errors[f"extra.{name!a}"] = ["contains a lone surrogate, which cannot be encoded"]
    if errors:
        listing = "; ".join(f"{name} {rules[0]}" for name, rules in errors.items())
        raise RequestInvalidError(f"Nothing was sent: {listing}", errors=errors)
    params.update(extra)
    params.extra_secrets = _secrets(extra)


def _present(params: Mapping[str, Any]) -> Params:
    """Return the parameters without None values, and record the secret ones."""
    present = Params({name: value for name, value in params.items() if value is not None})
    present.extra_secrets = _secrets(present)
    return present


def _secrets(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the values whose names suggest a secret, for parameters without a schema."""
    return tuple(
        text for name, value in params.items() if SECRET_NAME.match(name) for text in texts(value)
    )
