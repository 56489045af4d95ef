"""A token request's parameters, from the wire to what a grant's schema judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grantway._types.grant import Grant, Params, Scope

from .denial import Refusal
from .wire import WireFormat, WireRequest


def grant_type_of(request: WireRequest) -> str:
    """The grant that is asked for.

    Raises:
        Refusal: none is named.
    """
    grant_type = request.text("grant_type")
    if grant_type is None:
        raise Refusal("invalid_request", f"{request.shown('grant_type')} is required")
    return grant_type


def unsupported(known: Mapping[str, Any]) -> Refusal:
    """The refusal of a grant that is not one of these."""
    listing = ", ".join(sorted(known))
    return Refusal("unsupported_grant_type", f"The grant type is not one of {listing}")


def params_of(grant: Grant, request: WireRequest) -> Params:
    """What the grant's schema knows of a request; the rest is ignored (RFC 6749 section 3.2).

    Raises:
        Refusal: a parameter with one value is a list.
    """
    known = {wire: grant.schema.fields[name] for name, wire in grant.names.wire.items()}
    repeatable = grant.names.all_of(grant.repeatable)
    params = Params({name: value for name, value in request.params.items() if name in known})
    for name, value in params.items():
        if not isinstance(value, list) or name in repeatable:
            continue
        if request.dialect is WireFormat.RFC and len(value) == 1:
            params[name] = value[0]  # only another grant may repeat it
        elif not isinstance(known[name], Scope):  # AWS's is a list
            rule = "must be one value, not a list"
            raise Refusal("invalid_request", f"{request.shown(name)} {rule}")
    return params


def broken(errors: Mapping[str, Sequence[str]], request: WireRequest) -> Refusal:
    """The refusal that names every field which breaks its schema's rules.

    Args:
        errors: RFC names to rules, as ``RequestInvalidError`` has them.
        request: Its dialect spells the names.
    """
    listing = "; ".join(
        f"{request.shown(name)} {rule}" for name, rules in errors.items() for rule in rules
    )
    return Refusal("invalid_request", plain(listing))


def plain(text: str) -> str:
    """A text as a description: RFC 6749 section 5.2 allows neither quotes nor backslashes."""
    spelt = text.replace('"', "'").replace("\\", "/")
    return "".join(each if " " <= each <= "~" else "?" for each in spelt)
