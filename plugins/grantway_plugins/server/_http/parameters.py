"""Prepare the parameters of a token request for the grant's schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grantway._exceptions import RequestInvalidError
from grantway._secrets.params import Params
from grantway._types.fields import Scope
from grantway._types.grant import Grant

from .denial import DenialError
from .wire import WireFormat, WireRequest


def grant_type_of(request: WireRequest) -> str:
    """Return the requested grant type.

    Raises:
        DenialError: ``grant_type`` is missing.
    """
    grant_type = request.text("grant_type")
    if grant_type is None:
        raise DenialError("invalid_request", f"{request.shown('grant_type')} is required")
    return grant_type


def unsupported_grant_type(known: Mapping[str, Any]) -> DenialError:
    """Return the error for an unsupported grant type."""
    listing = ", ".join(sorted(known))
    return DenialError("unsupported_grant_type", f"The grant type is not one of {listing}")


def params_of(grant: Grant, request: WireRequest) -> Params:
    """Return the parameters that the grant's schema defines (RFC 6749 section 3.2).

    Raises:
        DenialError: a parameter with a single value is a list.
    """
    known = {wire: grant.schema.fields[name] for name, wire in grant.names.wire.items()}
    repeatable = grant.names.all_of(grant.repeatable)
    params = Params({name: value for name, value in request.params.items() if name in known})
    for name, value in params.items():
        if not isinstance(value, list) or name in repeatable:
            continue
        if request.dialect is WireFormat.RFC and len(value) == 1:
            params[name] = value[0]  # repeatable only for another grant
        elif not isinstance(known[name], Scope):  # AWS's scope is a list
            rule = "must be a single value, not a list"
            raise DenialError("invalid_request", f"{request.shown(name)} {rule}")
    return params


def load_params(grant: Grant, request: WireRequest) -> Params:
    """Validate a request's parameters with the grant's schema.

    Raises:
        DenialError: a parameter is invalid.
    """
    try:
        return grant.load(params_of(grant, request))
    except RequestInvalidError as invalid:
        errors = invalid.errors
    raise invalid_parameters(errors, request)


def invalid_parameters(errors: Mapping[str, Sequence[str]], request: WireRequest) -> DenialError:
    """Return the error that lists all invalid parameters.

    Args:
        errors: Violated rules by RFC name, from ``RequestInvalidError``.
        request: The request, whose dialect determines the spelling of names.
    """
    listing = "; ".join(
        f"{request.shown(name)} {rule}" for name, rules in errors.items() for rule in rules
    )
    return DenialError("invalid_request", error_description(listing))


def error_description(text: str) -> str:
    """Replace characters that RFC 6749 section 5.2 forbids in an ``error_description``."""
    spelt = text.replace('"', "'").replace("\\", "/")
    return "".join(each if " " <= each <= "~" else "?" for each in spelt)
