"""``assert_grant_conforms``: what a grant must keep so that nobody is surprised by it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from grantway._exceptions import GrantInvalidError, TokenError
from grantway._plugins.grant_rules import check_grant
from grantway._types.grant import Grant

from ._rules import RULES, Fault
from ._sample_grant import SampleGrant

#: The errors of check_grant include the remedy.
_REFUSED = "see above; until then grantway refuses the plugin that brings it"
_NO_PARAMS: Mapping[str, Any] = {}
_NO_ERRORS: Mapping[str, type[TokenError]] = {}


@dataclass(eq=False)
class NonconformingGrantError(AssertionError):
    """A grant breaks rules. The message names each with what is wrong and how to fix it.

    Attributes:
        grant_type: The grant.
        faults: What it breaks, in the order of the rules.
    """

    grant_type: str
    faults: tuple[Fault, ...] = field(repr=False)

    def __str__(self) -> str:
        listing = "\n".join(
            f"  {fault.rule}: {fault.what}\n    To fix it: {fault.remedy}" for fault in self.faults
        )
        return f"the grant {self.grant_type} does not conform:\n{listing}"


def assert_grant_conforms(
    grant: Grant,
    *,
    example: Mapping[str, Any] = _NO_PARAMS,
    public: Collection[str] = (),
    errors: Mapping[str, type[TokenError]] = _NO_ERRORS,
) -> None:
    """Check a grant against every rule at once. Sends nothing.

    The rules are listed in the reference. A request that keeps the schema is made of the examples
    of its fields; where these do not go together, or a field has none, ``example`` says.

    Args:
        grant: The grant.
        example: Parameters of a valid request, for what the fields' own examples do not tell.
        public: Names of parameters that look secret, or single use, and are not.
        errors: The error classes that its plugin registers, as the hook returns them.

    Raises:
        NonconformingGrantError: it breaks rules; an ``AssertionError`` that names all of them.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    try:
        check_grant(grant)
    except GrantInvalidError as invalid:
        raise NonconformingGrantError(
            str(getattr(grant, "grant_type", "") or type(grant).__name__),
            (Fault("registration", invalid.message, _REFUSED),),
        ) from None
    specimen = SampleGrant(grant, example, frozenset(public), errors)
    faults = tuple(fault for rule in RULES for fault in rule(specimen))
    if faults:
        raise NonconformingGrantError(grant.grant_type, faults)
