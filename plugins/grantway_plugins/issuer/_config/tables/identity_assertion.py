"""``[[identity_assertion]]``: who gets identity assertions for another authorization server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from grantway_plugins.issuer._config.table import IssuerTable, Place, Texts, text
from grantway_plugins.issuer._identity_assertion_policy import IdentityAssertionPolicy


class IdentityAssertionTable(IssuerTable):
    """``[[identity_assertion]]``: the settings of ``IdentityAssertionPolicy``."""

    table = "identity_assertion"
    collects = "identity_assertions"

    audience = text(required=True)
    clients = fields.Dict(
        required=True,
        error_messages={"invalid": "must be a table of strings", "required": "is missing"},
    )
    scopes = Texts("files:read")
    resources = Texts("https://mcp.example.com/mcp")
    users = Texts("**")
    claims = Texts("email")
    lifetime = fields.Raw()  # IdentityAssertionPolicy checks it

    def read(self, values: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Return the policy of this table."""
        return {"identity_assertions": (IdentityAssertionPolicy(**values),)}
