"""The scope and the login that a request needs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value
from grantway._types.quantity import check_count

#: Names of scopes (RFC 6749 section 3.3) and values of ``acr``, which a space separates.
_NAME = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_LONGEST = 10**9


@dataclass(frozen=True, slots=True)
class Requirement(Value):
    """The scope and the login that a request needs.

    Attributes:
        scopes: Scopes that the token must have, all of them.
        acr_values: Accepted authentication context classes, the preferred first (RFC 9470). The
            ``acr`` of the token must be one of them; empty accepts every login.
        max_age: Maximum age of the user's login in whole seconds, by the token's ``auth_time``.
        needed: The scopes as a set.
        needs_login: Whether a login is required.

    Raises:
        ConfigurationError: A value is invalid; the error names it.
    """

    scopes: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    needed: frozenset[str] = field(init=False, repr=False, compare=False)
    needs_login: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("scopes", "acr_values"):
            values: object = getattr(self, name)
            if not isinstance(values, tuple) or not all(
                isinstance(each, str) and _NAME.fullmatch(each) for each in values
            ):
                rule = "must be a tuple of names without spaces, quotes and backslashes"
                raise ConfigurationError(f"{name}: {rule}.", errors={name: [rule]})
        if self.max_age is not None:
            check_count("max_age", self.max_age, least=0, most=_LONGEST)
        object.__setattr__(self, "needed", frozenset(self.scopes))
        needs_login = bool(self.acr_values) or self.max_age is not None
        object.__setattr__(self, "needs_login", needs_login)

    @property
    def empty(self) -> bool:
        """Whether every verified caller meets it."""
        return self == Requirement()
