"""``assert_grant_conforms``, which checks a grant against the rules for grants."""

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
_REJECTED = "see above; until then grantway rejects the plugin"
_NO_PARAMS: Mapping[str, Any] = {}
_NO_ERRORS: Mapping[str, type[TokenError]] = {}


@dataclass(eq=False)
class NonconformingGrantError(AssertionError):
    """A grant breaks rules. The message lists each problem and how to fix it.

    Attributes:
        grant_type: The grant.
        faults: The problems, in the order of the rules.
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
    """Check a grant against all rules. Sends nothing.

    The reference lists the rules. The check builds a valid request from the examples of the fields.
    If the examples do not fit together, or a field has none, give them in ``example``.

    Args:
        grant: The grant.
        example: Parameters of a valid request, in addition to the examples of the fields.
        public: Names of parameters that look secret or single-use but are not.
        errors: Error classes that the plugin registers, as its hook returns them.

    Raises:
        NonconformingGrantError: The grant breaks rules; an ``AssertionError`` that lists them all.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    try:
        check_grant(grant)
    except GrantInvalidError as invalid:
        raise NonconformingGrantError(
            str(getattr(grant, "grant_type", "") or type(grant).__name__),
            (Fault("registration", invalid.message, _REJECTED),),
        ) from None
    sample = SampleGrant(grant, example, frozenset(public), errors)
    faults = tuple(fault for rule in RULES for fault in rule(sample))
    if faults:
        raise NonconformingGrantError(grant.grant_type, faults)
