"""Schemas of client metadata in registrations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from grantway._exceptions import ConfigurationError
from grantway._types.fields import Scope, Text
from grantway_plugins.server._http.redirect_uri import check_redirect_uri


class Name(fields.String):
    """A printable display name of at most 200 characters."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> str:
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise ValidationError("must be printable text, like 'My tool'")
        if len(value) > 200:  # noqa: PLR2004 - the limit is named in the error
            raise ValidationError("must be at most 200 characters long")
        return value


class RedirectUri(fields.String):
    """A redirect URI."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> str:
        try:
            return check_redirect_uri(value)
        except ConfigurationError as invalid:
            reason = invalid.message
        raise ValidationError(reason)


def _names() -> fields.List[str]:
    return fields.List(
        Text(example="'refresh_token'", maximum=200), validate=validate.Length(max=50)
    )


def _flag() -> fields.Boolean:
    return fields.Boolean(truthy={True}, falsy={False})


def _redirect_uris() -> fields.List[str]:
    return fields.List(RedirectUri(), validate=validate.Length(max=50))


class RegisterClientSchema(Schema):
    """Parameters of RegisterClient; those about AWS's directory are ignored."""

    class Meta:
        """Unknown parameters are ignored, because AWS may add some."""

        unknown = EXCLUDE

    client_name = Name(required=True, data_key="clientName")
    client_type = fields.String(
        required=True, data_key="clientType", validate=validate.OneOf(["public"])
    )
    scopes = Scope(data_key="scopes")
    redirect_uris = _redirect_uris()
    redirect_uris.data_key = "redirectUris"
    grant_types = _names()
    grant_types.data_key = "grantTypes"


class ClientMetadataSchema(Schema):
    """Client metadata of RFC 7591 section 2."""

    class Meta:
        """Unknown metadata is ignored (RFC 7591 section 2)."""

        unknown = EXCLUDE

    client_name = Name()
    redirect_uris = _redirect_uris()
    grant_types = _names()
    response_types = fields.List(fields.String(validate=validate.OneOf(["code"])))
    scope = Scope()
    token_endpoint_auth_method = fields.String()
    dpop_bound_access_tokens = _flag()
    jwks = fields.Raw()
    jwks_uri = fields.Raw()
    token_endpoint_auth_signing_alg = fields.Raw()
    tls_client_certificate_bound_access_tokens = _flag()
    tls_client_auth_subject_dn = fields.Raw()
    tls_client_auth_san_dns = fields.Raw()
    tls_client_auth_san_uri = fields.Raw()
    tls_client_auth_san_ip = fields.Raw()
    tls_client_auth_san_email = fields.Raw()
    id_token_signed_response_alg = fields.String()
    require_pushed_authorization_requests = _flag()
    post_logout_redirect_uris = _redirect_uris()
    introspection_signed_response_alg = fields.String()
