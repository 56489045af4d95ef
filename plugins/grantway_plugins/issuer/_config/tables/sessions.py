"""``[sessions]``: limits of the sessions of logged-in users, and remembered consent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from grantway_plugins.issuer._config.table import IssuerTable, Place
from grantway_plugins.issuer._login.settings import SessionSettings


class SessionsTable(IssuerTable):
    """``[sessions]``: the settings of ``SessionSettings``, and ``remember_consent``."""

    table = "sessions"

    idle = fields.Raw()  # SessionSettings and IssuerSettings check the numbers
    lifetime = fields.Raw()
    per_user = fields.Raw()
    remember_consent = fields.Raw()

    def read(self, values: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Return the limits, and the time for which consent is remembered."""
        limits = dict(values)
        consent = {name: limits.pop(name) for name in ("remember_consent",) if name in limits}
        return {"sessions": SessionSettings(**limits), **consent}
