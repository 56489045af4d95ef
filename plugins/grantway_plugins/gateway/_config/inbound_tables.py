"""Schemas of ``[inbound]``, which describes how callers are verified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validates_schema

from grantway._exceptions import ConfigurationError
from grantway._types.fields import Text
from grantway_plugins._config.fields import StrictBoolean, WholeNumber
from grantway_plugins._config.secret_field import SecretField
from grantway_plugins._config.tables import Address, ClientTable, Number, Seconds
from grantway_plugins._config.toml_file import TableSchema
from grantway_plugins.resource import AcceptedIssuer
from grantway_plugins.resource._metadata import checked_resource

#: Keys of ``AcceptedIssuer`` that a table has under the same name.
ISSUER_KEYS = (
    "issuer",
    "audiences",
    "require_audience",
    "types",
    "algorithms",
    "jwks_uri",
    "jwks_file",
    "ca_bundle",
    "leeway",
)


def _texts(example: str) -> fields.List[str]:
    rule = f"must be a list of texts, like {example}"
    return fields.List(
        fields.String(error_messages={"invalid": rule}), error_messages={"invalid": rule}
    )


class InboundTable(TableSchema):
    """``[inbound]``: the resource that callers use, and the header with their certificate."""

    resource = Text(example='"https://api.example.com"', required=True)
    client_certificate_header = Text(example='"X-Client-Cert"')
    client_certificate_callers = StrictBoolean(load_default=False)
    cache_seconds = Seconds(load_default=300.0)
    cache_entries = WholeNumber(load_default=10_000)
    dpop_nonce_key = SecretField()
    issuer = fields.Raw()  # a list of ``InboundIssuerTable``, validated one by one

    @validates_schema
    def check_resource(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject a resource that is not a URL."""
        try:
            checked_resource(data["resource"])
        except ConfigurationError as error:
            raise ValidationError(dict(error.errors)) from None

    @validates_schema
    def check_certificates(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Require the header if certificates authenticate callers."""
        if data["client_certificate_callers"] and "client_certificate_header" not in data:
            rule = "needs client_certificate_header beside it"
            raise ValidationError({"client_certificate_callers": [rule]})


class IntrospectionTable(ClientTable):
    """``introspection = {...}``: the gateway's client that asks an issuer about its tokens."""

    client_id = Text(required=True, example='"my-gateway"')
    endpoint = Address()


class InboundIssuerTable(TableSchema):
    """``[[inbound.issuer]]``: an issuer whose tokens are accepted (see ``AcceptedIssuer``)."""

    issuer = Address(required=True, error_messages={"required": "is missing; give its URL"})
    audiences = _texts('["https://api.example.com"]')
    require_audience = StrictBoolean()
    types = _texts('["at+jwt"]')
    algorithms = _texts('["ES256"]')
    jwks_uri = Address()
    jwks_file = Text(example='"keys.json"')
    ca_bundle = Text(example='"ca.pem"')
    leeway = Number()
    introspection = fields.Nested(IntrospectionTable)

    @validates_schema
    def check_rules(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject values that ``AcceptedIssuer`` rejects."""
        try:
            AcceptedIssuer(**issuer_options(data))
        except ConfigurationError as error:
            raise ValidationError(dict(error.errors)) from None

    @validates_schema
    def check_introspection(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject settings of JWTs for an issuer that is asked about its tokens."""
        if "introspection" in data:
            needless = [
                name for name in ("types", "algorithms", "jwks_uri", "jwks_file") if name in data
            ]
            if needless:
                rule = "does not apply with introspection, which needs no keys; remove it"
                raise ValidationError({name: [rule] for name in needless})


def issuer_options(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``AcceptedIssuer``, without ``introspection``."""
    return {
        name: tuple(table[name]) if isinstance(table[name], list) else table[name]
        for name in ISSUER_KEYS
        if name in table
    }
