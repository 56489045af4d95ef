"""Schemas of ``[connections]``, with which users connect their accounts at providers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields, validate, validates_schema

from grantway._transport.http import is_loopback
from grantway._types.fields import Scope, Text
from grantway_grants.device_code import GRANT_TYPE as DEVICE_CODE
from grantway_plugins._config.fields import StrictBoolean, WholeNumber
from grantway_plugins._config.secret_field import SecretField
from grantway_plugins._config.tables import Address, Extra, Number, Seconds
from grantway_plugins._config.toml_file import TableSchema

#: ``grant`` of routes that use the connection of the request's user.
CONNECTION = "connection"
#: Grants with which users can connect.
USER_GRANTS = ("authorization_code", "device_code", DEVICE_CODE)
#: Values of ``audit_activity``.
ACTIVITY = ("daily", "all", "none")

#: Shortest ``keep_alive`` in seconds.
_LEAST_KEEP_ALIVE = 1
_NO_KEY = (
    "is missing; name the source of 32 random bytes in base64, which encrypt the tokens, like "
    '{{ source = "file", path = "connections.key" }}'
)


def _check_keep_alive(seconds: float) -> None:
    """Reject times at which every gateway would refresh all connections all the time."""
    if seconds and not _LEAST_KEEP_ALIVE <= seconds < math.inf:
        raise ValidationError(f"must be 0, which never refreshes, or at least {_LEAST_KEEP_ALIVE}")


class WebhookTable(TableSchema):
    """``webhook = {...}``: where changes of connections are reported."""

    url = Address(required=True, error_messages={"required": "is missing; give its URL"})
    secret = SecretField(
        required=True,
        error_messages={
            "required": "is missing; name the source of the secret that signs requests"
        },
    )


class ConnectionLoginTable(TableSchema):
    """``login = {...}``: the OpenID provider at which users log in to the gateway's pages."""

    issuer = Address(required=True, error_messages={"required": "is missing; give its URL"})
    client_id = Text(required=True, example='"my-gateway"')
    client_secret = SecretField()
    scope = Scope()


class ConnectionsTable(TableSchema):
    """``[connections]``: pages, encryption and maintenance of connections."""

    url = Text(example='"https://gateway.example.com"', required=True)
    path = Text(
        example='"/connect"',
        load_default="/connect",
        validate=validate.Regexp(r"(/[^/]+)+\Z", error="must be a path like /connect"),
    )
    key = SecretField(required=True, error_messages={"required": _NO_KEY})
    login = fields.Nested(ConnectionLoginTable)
    webhook = fields.Nested(WebhookTable)
    session_seconds = Seconds(load_default=28_800.0)
    login_seconds = Seconds(load_default=600.0)
    keep_alive = Number(load_default=86_400.0, validate=_check_keep_alive)
    recheck = Seconds(load_default=5.0)
    audit_days = WholeNumber(load_default=90)
    audit_activity = Text(
        example='"daily"',
        load_default="daily",
        validate=validate.OneOf(ACTIVITY, error='must be "daily", "all" or "none"'),
    )
    providers = fields.Raw()  # tables of ``ConnectionProviderTable``, validated one by one

    @validates_schema
    def check_url(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Require https, because tokens and cookies pass this URL, except on this machine."""
        try:
            parts = urlsplit(data["url"])
            valid = bool(parts.hostname) and not (parts.path.strip("/") or parts.query)
            secure = parts.scheme == "https" or is_loopback(parts.hostname or "")
            valid = valid and secure and parts.scheme in {"http", "https"}
            valid = valid and data["url"].isascii() and parts.username is None
        except ValueError:
            valid = False
        if not valid:
            rule = "must be the https URL of the gateway without a path, as browsers see it"
            raise ValidationError({"url": [rule]})


class ConnectionProviderTable(TableSchema):
    """``[connections.providers.NAME]``: how users connect to a provider of the file."""

    name = Text(example='"GitHub"')
    grant = Text(
        example='"authorization_code"',
        load_default="authorization_code",
        validate=validate.OneOf(USER_GRANTS, error='must be "authorization_code" or "device_code"'),
    )
    scope = Scope()
    resource = fields.List(
        Text(example='"https://api.example.com"'),
        error_messages={"invalid": 'must be a list of URIs, like ["https://api.example.com"]'},
    )
    extra = Extra()
    revoke = StrictBoolean(load_default=True)
