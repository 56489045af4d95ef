"""``[registration]``: which clients may register."""

from __future__ import annotations

from marshmallow import fields

from grantway_plugins._config.fields import Choice
from grantway_plugins._config.secret_field import SecretField
from grantway_plugins.issuer._config.table import IssuerTable, Texts


class RegistrationTable(IssuerTable):
    """``[registration]``: which clients may register (see ``IssuerSettings.registration``)."""

    table = "registration"
    names = {  # noqa: RUF012
        "mode": ("registration",),
        "token": ("registration_token",),
        "grant_types": ("registration_grant_types",),
        "scopes": ("registration_scopes",),
        "rate": ("registration_rate",),
        "limit": ("registration_limit",),
    }

    mode = Choice("open", "token", "off", "unrestricted")
    token = SecretField()
    grant_types = Texts("authorization_code")
    scopes = Texts("read")
    rate = fields.Raw()  # IssuerSettings checks both numbers
    limit = fields.Raw()
