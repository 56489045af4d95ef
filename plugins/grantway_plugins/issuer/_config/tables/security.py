"""``[security]``: requirements beyond the defaults."""

from __future__ import annotations

from marshmallow import fields

from grantway_plugins.issuer._config.table import IssuerTable


class SecurityTable(IssuerTable):
    """``[security]``: requirements beyond the defaults (see ``IssuerSettings``)."""

    table = "security"

    dpop_require_nonce = fields.Raw()  # IssuerSettings checks all of them
    dpop_proof_seconds = fields.Raw()
    require_bound_tokens = fields.Raw()
    require_pushed_authorization_requests = fields.Raw()
    fapi2 = fields.Raw()
