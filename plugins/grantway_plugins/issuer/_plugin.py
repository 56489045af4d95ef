"""Registers the issuer's sides of the three standard grants, as a stranger would."""

from __future__ import annotations

from collections.abc import Mapping

from grantway._types.grant import IssuerGrant
from grantway.hookspecs import hookimpl

from ._decisions.grants import STANDARD


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, IssuerGrant]:
    """Bring how the issuer decides the standard grants."""
    return STANDARD
