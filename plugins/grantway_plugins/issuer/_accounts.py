"""Keep the accounts of users of different identity providers apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from grantway._exceptions import ConfigurationError

from ._login.settings import OpenIDLogin, PluginLogin
from ._trust.trusted_issuer import TrustedIssuer

#: The beginning of a ``sub`` that is derived from ``iss`` and ``sub``.
_OF_DERIVED = re.compile(r"[A-Za-z0-9_-]{0,42}")


class _Source(NamedTuple):
    """Users of one identity provider, and how their ``sub`` is made.

    Attributes:
        name: The provider, for the error.
        claim: See ``TrustedIssuer.subject_claim``; None also for a plugin, whose rules are unknown.
        prefix: See ``TrustedIssuer.subject_prefix``.
        limit: The setting that limits the values of the claim.
        limited: Whether it does.
    """

    name: str
    claim: str | None
    prefix: str = ""
    limit: str = ""
    limited: bool = True


def check_accounts(
    trusted: Sequence[TrustedIssuer], login: OpenIDLogin | PluginLogin | None
) -> None:
    """Require that no identity provider decides alone to give its users the accounts of another.

    Raises:
        ConfigurationError: the ``subject_claim`` of one has no limit, and the ``sub`` of its users
            may be that of another's user.
    """
    sources = [*_sources(trusted, login)]
    for each in sources:
        others = (other for other in sources if other is not each and _meet(each, other))
        other = None if each.limited else next(others, None)
        if other is not None:
            rule = (
                f"must keep accounts apart: the subject_claim of {each.name} could give its users "
                f"the accounts of users of {other.name}; set its own subject_prefix, like "
                f"example:, or patterns for {each.claim} in {each.limit}"
            )
            raise ConfigurationError(f"trusted_issuers {rule}", errors={"trusted_issuers": [rule]})


def _sources(
    trusted: Sequence[TrustedIssuer], login: OpenIDLogin | PluginLogin | None
) -> Iterator[_Source]:
    for each in trusted:
        logs_in = isinstance(login, OpenIDLogin) and login.issuer == each.issuer
        if each.users and not logs_in:  # otherwise, the settings of the login apply
            claim, limits = each.subject_claim, each.claims
            limited = claim is None or claim in limits
            yield _Source(each.issuer, claim, each.subject_prefix, "claims", limited)
    if isinstance(login, OpenIDLogin):
        limited = login.subject_claim is None or login.subject_claim in login.allow
        yield _Source(login.issuer, login.subject_claim, login.subject_prefix, "allow", limited)
    if isinstance(login, PluginLogin):
        yield _Source(f"the login {login.name}", None)


def _meet(one: _Source, other: _Source) -> bool:
    """Return whether users of both may have the same ``sub``. One of them has a claim."""
    if one.claim is None or other.claim is None:
        claimed = other if one.claim is None else one
        return _OF_DERIVED.fullmatch(claimed.prefix) is not None
    return one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)
