"""The kinds of named exports: what each register hook returns, and the rules for it.

To add a hook whose entries have names, add its specification to ``hookspecs`` and a kind here, and
a property to ``Registry``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, missing

from grantway._exceptions import TOKEN_ERRORS, GrantInvalidError, RegistryError
from grantway._types.callables import kind_of
from grantway._wire.dialect import Dialect

from .export_rules import check_callable, check_error_class, reject_async
from .grant_rules import check_grant

_REFERENCE = re.compile(r"[\w.]+:[\w.]+")


@dataclass(slots=True, eq=False)
class Kind:
    """A kind of named export.

    Attributes:
        label: The kind in messages, such as ``issuer grant``.
        hook: The register hook.
        check: Called with a name and a value; raises a ``RegistryError`` to reject the value.
        wanted: A valid value, for messages.
        own_name: Attribute of a value that is its name. Such a hook returns a list of values; a
            mapping contains only references. Empty if the hook returns name -> value.
        references: Whether a reference, such as ``my_package.grants:COUPON``, is accepted instead
            of a value. It is imported when the value is used.
        for_clients: Whether clients use the values, so that a strict registry imports them.
    """

    label: str
    hook: str
    check: Callable[[str, Any], None]
    wanted: str
    own_name: str = ""
    references: bool = True
    for_clients: bool = True

    def check_export(self, name: str, value: object) -> None:
        """Reject a value that is neither valid nor a reference.

        Raises:
            RegistryError: says what is wrong and how to fix it.
        """
        if isinstance(value, str) and self.references:
            if not is_reference(value):
                raise RegistryError(
                    f"the {self.label} {name} is the text {value!r:.80}; use {self.wanted}, or "
                    "name one, like 'my_package.module:NAME'"
                )
            return
        self.check(name, value)

    def check_loaded(self, name: str, value: object) -> None:
        """Reject a value that was imported by reference.

        Raises:
            RegistryError: says what is wrong and how to fix it.
        """
        self.check(name, value)
        if self.own_name and (own := getattr(value, self.own_name, None)) != name:
            raise RegistryError(f"the {self.label} registered as {name!r} is named {own!r:.200}")
        if getattr(value, "replaces", "") and self is GRANT:
            raise GrantInvalidError(
                f"the grant {name} has replaces, which needs to be known when the registry is "
                "built; register the grant itself, not a reference"
            )


def is_reference(value: object) -> bool:
    """Return whether a value has the format ``module:attribute``."""
    return isinstance(value, str) and bool(_REFERENCE.fullmatch(value))


def _check_grant(_grant_type: str, grant: object) -> None:
    check_grant(grant)


def _check_methods(
    what: str, value: object, *signatures: str, error: type[RegistryError] = RegistryError
) -> None:
    if isinstance(value, (str, type)):
        raise error(f"the {what} is {kind_of(value)}; use an object with {signatures[0]}")
    for signature in signatures:
        method = signature.partition("(")[0]
        if not callable(getattr(value, method, None)):
            raise error(f"the {what} has no {signature}")
        reject_async(f"{method} of the {what}", getattr(value, method))


def _check_issuer_grant(grant_type: str, side: object) -> None:
    what = f"issuer grant {grant_type}"
    _check_methods(what, side, "decide(request, transaction)", error=GrantInvalidError)


def _check_issuer_extension(name: str, extension: object) -> None:
    _check_methods(f"issuer extension {name}", extension, "extend(settings)")


def _check_issuer_client_auth(name: str, method: object) -> None:
    what = f"issuer client authentication {name}"
    _check_methods(what, method, "client_id(request)", "verify(request, client, transaction)")
    schema = getattr(method, "schema", missing)
    if schema is not None and not isinstance(schema, Schema):
        given = "missing" if schema is missing else kind_of(schema)
        raise RegistryError(
            f"the schema of the {what} is {given}; use an instance of a marshmallow schema, or "
            "None if clients have no metadata for the method"
        )


def _check_dialect(name: str, dialect: object) -> None:
    if not isinstance(dialect, Dialect):
        raise RegistryError(f"the dialect {name} is {kind_of(dialect)}, not a Dialect")


def _check_error(code: str, kind: object) -> None:
    check_error_class(code, kind)
    if any(code == standard.wire for standard in TOKEN_ERRORS):
        raise RegistryError(
            f"the error code {code!r} is a standard one, whose class cannot be replaced"
        )


def _callable(label: str) -> Callable[[str, Any], None]:
    return lambda _name, value: check_callable(label, value)


GRANT = Kind("grant", "grantway_register_grants", _check_grant, "a Grant", own_name="grant_type")
ISSUER_GRANT = Kind(
    "issuer grant",
    "grantway_register_issuer_grants",
    _check_issuer_grant,
    "an object with decide(request, transaction)",
    for_clients=False,
)
ISSUER_EXTENSION = Kind(
    "issuer extension",
    "grantway_register_issuer_extensions",
    _check_issuer_extension,
    "an object with extend(settings)",
    for_clients=False,
)
ISSUER_CLIENT_AUTH = Kind(
    "issuer client authentication",
    "grantway_register_issuer_client_auth",
    _check_issuer_client_auth,
    "an object with client_id(request) and verify(request, client, transaction)",
    for_clients=False,
)
ISSUER_LOGIN = Kind(
    "issuer login",
    "grantway_register_issuer_logins",
    _callable("issuer login"),
    "a callable that returns an issuer login",
    for_clients=False,
)
DIALECT = Kind(
    "dialect", "grantway_register_dialects", _check_dialect, "a Dialect", own_name="name"
)
CLIENT_AUTH = Kind(
    "client authentication",
    "grantway_register_client_auth",
    _callable("client authentication"),
    "a callable of client_id and client_secret",
)
ERROR_CODE = Kind(
    "error code",
    "grantway_register_errors",
    _check_error,
    "a TokenError class",
    references=False,
)
STORE = Kind(
    "store", "grantway_register_stores", _callable("store"), "a callable that returns a store"
)

SECRET_SOURCE = Kind(
    "secret source",
    "grantway_register_secret_sources",
    _callable("secret source"),
    "a callable that returns a secret source",
)

LOGIN_FLOW = Kind(
    "login flow",
    "grantway_register_login_flows",
    _callable("login flow"),
    "a callable of a LoginContext",
    for_clients=False,
)

TENANT_RULE = Kind(
    "tenant rule",
    "grantway_register_tenant_rules",
    _callable("tenant rule"),
    "a callable that returns a tenant rule",
    for_clients=False,
)

#: Every kind of named export.
KINDS = (
    GRANT,
    ISSUER_GRANT,
    ISSUER_EXTENSION,
    ISSUER_CLIENT_AUTH,
    ISSUER_LOGIN,
    DIALECT,
    CLIENT_AUTH,
    ERROR_CODE,
    STORE,
    SECRET_SOURCE,
    LOGIN_FLOW,
    TENANT_RULE,
)
