"""The password grant (RFC 6749 section 4.3), which RFC 9700 section 2.4 forbids.

It is not registered automatically. For a provider that supports nothing else, register it::

    from grantway_plugins.grants import password

    registry = grantway.build_registry({"password": password})
"""

from __future__ import annotations

import re
import warnings

from grantway._types.fields import GrantSchema, Scope, Text
from grantway._types.grant import Grant, Replay
from grantway.hookspecs import hookimpl

GRANT_TYPE = "password"


class PasswordGrantWarning(UserWarning):
    """Warning that the password grant is registered."""


class _Unicode(Text):
    """Unicode text without control characters (RFC 6749 appendix A.15 and A.16)."""

    characters = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")


class PasswordSchema(GrantSchema):
    """The parameters ``username``, ``password`` and ``scope``."""

    username = _Unicode(required=True, example='"user-1"')
    password = _Unicode(required=True, example='"correct horse battery staple"')
    scope = Scope()


#: Every request is a login attempt. Providers limit their number, and some passwords contain a
#: one-time code.
PASSWORD = Grant(
    grant_type=GRANT_TYPE,
    schema=PasswordSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"password"}),
    summary="A token for a user's password; forbidden by RFC 9700 (RFC 6749 section 4.3)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Register the password grant and emit a warning."""
    warnings.warn(
        "The password grant is registered. It exposes users' passwords to this program, supports "
        "no second factor, and must not be used (RFC 9700 section 2.4). Use a device or browser "
        "login if the provider supports one.",
        PasswordGrantWarning,
        stacklevel=2,
    )
    return [PASSWORD]
