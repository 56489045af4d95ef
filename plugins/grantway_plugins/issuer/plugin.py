"""Registers the issuer's sides of the three standard grants, as a stranger would."""

from __future__ import annotations

from collections.abc import Mapping

from grantway.grant import IssuerSide
from grantway.hookspecs import hookimpl

from .grants import STANDARD


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, IssuerSide]:
    """Bring how the issuer decides the standard grants."""
    return STANDARD
