"""An extension of the issuer whose endpoint requires an access token."""

from __future__ import annotations

import grantway
from grantway._types.issuer_plugins import IssuerExtension
from grantway_plugins.issuer import (
    Additions,
    Endpoint,
    IssuerRequest,
    IssuerSettings,
    Reply,
    Transaction,
)


class WhoAmI:
    """Adds the endpoint ``/whoami``."""

    def extend(self, _settings: IssuerSettings) -> Additions:
        """Add the endpoint."""
        endpoint = Endpoint("/whoami", _whoami, methods=("GET",), authenticate="token")
        return Additions(endpoints=[endpoint])


def _whoami(request: IssuerRequest, _transaction: Transaction) -> Reply:
    assert request.token is not None
    return Reply({"sub": request.token.family.subject})


class WhoAmIPlugin:
    """Registers the extension."""

    @grantway.hookimpl
    def grantway_register_issuer_extensions(self) -> dict[str, IssuerExtension]:
        """Register the extension."""
        return {"whoami": WhoAmI()}
