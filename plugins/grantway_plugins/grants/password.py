"""The password grant (RFC 6749 section 4.3), which RFC 9700 section 2.4 forbids.

It is not installed as a plugin. For a provider that has nothing else, ask for it by name::

    from grantway_plugins.grants import password

    registry = grantway.build_registry({"password": password})
"""

from __future__ import annotations

import re
import warnings

from grantway._types.grant import Grant, GrantSchema, Replay, Scope, Text
from grantway.hookspecs import hookimpl

GRANT_TYPE = "password"


class PasswordGrantWarning(UserWarning):
    """The password grant was registered."""


class _Unicode(Text):
    """Any characters of Unicode but control characters (RFC 6749 appendix A.15 and A.16)."""

    characters = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")


class PasswordSchema(GrantSchema):
    """``username`` and ``password`` of a person, and a ``scope``."""

    username = _Unicode(required=True, example='"user-1"')
    password = _Unicode(required=True, example='"correct horse battery staple"')
    scope = Scope()


#: Every send is an attempt to log in: providers count them, and some passwords carry a code that is
#: good once.
PASSWORD = Grant(
    grant_type=GRANT_TYPE,
    schema=PasswordSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"password"}),
    summary="A token for a person's password; RFC 9700 forbids it (RFC 6749 section 4.3)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Bring the password grant, with a warning."""
    warnings.warn(
        "The password grant is registered. It shows people's passwords to this program, knows no "
        "second factor, and must not be used (RFC 9700 section 2.4); use a device or browser login "
        "where the provider has one.",
        PasswordGrantWarning,
        stacklevel=2,
    )
    return [PASSWORD]
