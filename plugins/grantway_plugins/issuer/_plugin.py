"""Register the issuer's side of the three standard grants."""

from __future__ import annotations

from collections.abc import Mapping

from grantway._types.grant import IssuerGrant
from grantway.hookspecs import hookimpl

from ._decisions.grants import STANDARD


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, IssuerGrant]:
    """Return how the issuer decides each standard grant."""
    return STANDARD
