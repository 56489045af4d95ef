"""``[limits]``: limits on connections and requests."""

from __future__ import annotations

from marshmallow import fields

from grantway_plugins._config.tables import Number
from grantway_plugins.issuer._config.table import IssuerTable


class LimitsTable(IssuerTable):
    """``[limits]``: limits on connections and requests (see ``Limits``, which checks them)."""

    table = "limits"
    part = "limits"

    connections = fields.Raw()
    connections_per_peer = fields.Raw()
    header_bytes = fields.Raw()
    header_seconds = Number()
    body_seconds = Number()
    idle_seconds = Number()
    send_seconds = Number()
    grace_seconds = Number()
