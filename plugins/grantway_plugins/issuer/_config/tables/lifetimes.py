"""``[lifetimes]``: lifetimes in seconds."""

from __future__ import annotations

from grantway_plugins._config.tables import Number
from grantway_plugins.issuer._config.table import IssuerTable


class LifetimesTable(IssuerTable):
    """``[lifetimes]``: lifetimes in seconds (see ``Lifetimes``, which checks their ranges)."""

    table = "lifetimes"
    part = "lifetimes"

    access_token = Number()
    authorization_code = Number()
    pushed_request = Number()
    device_code = Number()
    device_interval = Number()
    registration = Number()
    unused_registration = Number()
    refresh_family = Number()
    refresh_reuse_window = Number()
