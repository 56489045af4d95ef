"""Register the issuer's side of the standard grants, of client credentials and token exchange."""

from __future__ import annotations

from collections.abc import Mapping

from grantway._types.grant import IssuerGrant
from grantway.hookspecs import hookimpl

from ._decisions.grants import BUILT_IN


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, IssuerGrant]:
    """Return how the issuer decides each grant."""
    return BUILT_IN
