"""Register the issuer grants of the three standard grants."""

from __future__ import annotations

from collections.abc import Mapping

from grantway._types.grant import IssuerGrant
from grantway.hookspecs import hookimpl

from ._decisions.grants import STANDARD


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, IssuerGrant]:
    """Return the issuer grants of the standard grants."""
    return STANDARD
