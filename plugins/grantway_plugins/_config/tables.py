"""Schemas of the tables for providers, clients, stores and freshness."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from marshmallow import ValidationError, fields, validate, validates_schema

from grantway._exceptions import ConfigurationError
from grantway._transport.http import require_secure
from grantway._types.fields import Scope, Text
from grantway._types.freshness import Freshness
from grantway._types.quantity import check_seconds
from grantway_grants._callback import Callback, check_ports
from grantway_grants._resource import Resource

from .commands import CommandTable
from .network import NetworkTable
from .secret_field import GrantParams, SecretField
from .toml_file import TableSchema

#: Login method of each interactive grant.
LOGIN_GRANTS = {
    "authorization_code": "browser",
    "device_code": "device",
    "urn:ietf:params:oauth:grant-type:device_code": "device",
}
_YEAR = 31_536_000
LOGIN_METHODS = ("auto", "browser", "device", "paste")
#: Login methods for sessions of the AWS tools. AWS does not support pasted addresses.
SSO_LOGIN_METHODS = ("auto", "browser", "device")


class Address(fields.String):
    """An https address, or an http address on a loopback interface."""

    default_error_messages = {  # noqa: RUF012 - marshmallow reads it from the class
        "invalid": 'must be an address, like "https://login.example.com"'
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> str:
        text = super()._deserialize(value, attr, data, **options)
        try:
            require_secure(text, "")
        except ConfigurationError as error:
            problem = str(error).removeprefix(": ")
        else:
            return str(text)
        raise ValidationError(problem)


class Number(fields.Float):
    """A number. Numeric text is rejected."""

    default_error_messages = {"invalid": "must be a number, like 30"}  # noqa: RUF012

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.make_error("invalid")
        return float(value)


def check_value(check: Callable[..., None], value: Any, **limits: Any) -> None:
    """Apply a check for arguments to a value of a file.

    Args:
        check: A function of ``grantway._types.quantity``.
        value: The value.
        **limits: Options of the check.

    Raises:
        ValidationError: The value breaks the rule in the message.
    """
    try:
        check("value", value, **limits)
    except ConfigurationError as error:
        raise ValidationError(error.errors["value"]) from None


class Seconds(fields.Field[float]):
    """A number of seconds, greater than zero and at most a year."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> float:
        check_value(check_seconds, value, most=_YEAR)
        return float(value)


class ProviderTable(TableSchema):
    """``provider = {...}``: an issuer that publishes its endpoints, or the endpoints themselves."""

    issuer = Address()
    expected_issuer = Text(example='"https://login.microsoftonline.com/{tenantid}/v2.0"')
    token_endpoint = Address()
    authorization_endpoint = Address()
    device_authorization_endpoint = Address()
    registration_endpoint = Address()
    revocation_endpoint = Address()
    pushed_authorization_request_endpoint = Address()
    dialect = Text(example='"rfc6749"', load_default="rfc6749")

    @validates_schema
    def check_complete(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Require an issuer or a token endpoint."""
        if "issuer" not in data and "token_endpoint" not in data:
            raise ValidationError(
                "needs issuer, if the provider publishes its endpoints, or token_endpoint"
            )
        if "expected_issuer" in data and ("issuer" not in data or "token_endpoint" in data):
            rule = "applies to the metadata of issuer, which is not read if token_endpoint is set"
            raise ValidationError({"expected_issuer": [rule]})


class ProviderField(fields.Field[dict[str, Any]]):
    """An issuer's address, a table (see ``ProviderTable``), or a program (``CommandTable``)."""

    default_error_messages = {  # noqa: RUF012
        "required": 'is missing; give the issuer\'s address, like "https://login.example.com"',
        "invalid": "must be the issuer's address, or a table with issuer, token_endpoint or "
        "command",
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> dict[str, Any]:
        if isinstance(value, str):
            return {"issuer": Address().deserialize(value), "dialect": "rfc6749"}
        if not isinstance(value, Mapping):
            raise self.make_error("invalid")
        schema = CommandTable() if "command" in value else ProviderTable()
        return cast("dict[str, Any]", schema.load(value))


class StoreField(fields.Field[dict[str, Any]]):
    """A registered store: its name, or a table with its name as ``kind`` and its options."""

    default_error_messages = {  # noqa: RUF012
        "invalid": 'must be the name of a store, like "file", or a table with kind and its options',
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> dict[str, Any]:
        table = {"kind": value} if isinstance(value, str) else value
        if not isinstance(table, Mapping):
            raise self.make_error("invalid")
        if not isinstance(table.get("kind"), str) or not table["kind"]:
            raise ValidationError({"kind": ['must be the name of a store, like "file"']})
        return dict(table)


class FreshnessTable(TableSchema):
    """``freshness = {...}``: when a token is refreshed (see ``grantway.Freshness``)."""

    advisory = Number()
    mandatory = Number()
    jitter = Number()

    @validates_schema
    def check_windows(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject values that ``Freshness`` rejects."""
        try:
            Freshness(**data)
        except ConfigurationError as error:
            raise ValidationError(error.errors) from None


class ClientTable(TableSchema):
    """A client: its ID, its secret and its authentication method."""

    client_id = Text(example='"my-client"')
    client_secret = SecretField()
    client_assertion = SecretField()
    client_assertion_type = Text(example='"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"')
    auth = Text(example='"client_secret_basic"')
    timeout = Seconds()

    @validates_schema
    def check_secrets(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject two ways to authenticate, and a secret without a client ID."""
        if "client_assertion" in data:
            for name in ("client_secret", "auth"):
                if name in data:
                    rule = f"cannot be combined with {name}; remove one of them"
                    raise ValidationError({"client_assertion": [rule]})
        elif "client_assertion_type" in data:
            raise ValidationError({"client_assertion_type": ["needs client_assertion beside it"]})
        for name in ("client_secret", "client_assertion"):
            if name in data and "client_id" not in data:
                raise ValidationError({name: ["needs client_id beside it"]})


class Extra(fields.Field[dict[str, Any]]):
    """Provider-specific parameters, with text or lists of text as values."""

    default_error_messages = {"invalid": "must be a table of text values"}  # noqa: RUF012

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise self.make_error("invalid")
        wrong = {
            name: ["must be text, or a list of text"]
            for name, each in value.items()
            if not isinstance(each, str)
            and not (isinstance(each, list) and all(isinstance(one, str) for one in each))
        }
        if wrong:
            raise ValidationError(wrong)
        return dict(value)


class Ports(fields.Field[tuple[int, ...]]):
    """Ports to listen on, in the order in which to try them."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> tuple[int, ...]:
        try:
            return check_ports(value)
        except ConfigurationError as error:
            problem = _rule(error)
        raise ValidationError(problem)


class SsoSessionTable(NetworkTable):
    """``[sso_sessions.NAME]``: login and network settings of a session of ``~/.aws/config``."""

    login = fields.String(
        validate=validate.OneOf(SSO_LOGIN_METHODS, error="must be one of {choices}"),
        load_default="auto",
    )
    listen = Text(example='"127.0.0.1:8765"')
    ports = Ports()

    @validates_schema
    def check_callback(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject an invalid combination of ``listen`` and ``ports``."""
        _check_callback("http://127.0.0.1/", data)


def _check_callback(redirect_uri: str, data: Mapping[str, Any]) -> None:
    if "listen" not in data and "ports" not in data:
        return  # without a listener, any redirect URI is valid
    try:
        Callback.of(redirect_uri, data.get("listen"), data.get("ports"))
    except ConfigurationError as error:
        name = next(iter(error.errors), "redirect_uri")
        problem = {name: [_rule(error)]}
    else:
        return
    raise ValidationError(cast("dict[str, Any]", problem))


def _rule(error: ConfigurationError) -> str:
    """Return an error's message without the argument's name."""
    return str(error).partition(": ")[2].rstrip(".")


class ProfileTable(ClientTable, NetworkTable):
    """``[profiles.NAME]``: a client, its provider, the token to request and its store."""

    provider = ProviderField(required=True)
    grant = Text(example='"client_credentials"')
    scope = Scope()
    params = GrantParams()
    params_command = fields.Nested(CommandTable)
    resource = Resource()
    extra = Extra()
    login = fields.String(
        validate=validate.OneOf(LOGIN_METHODS, error="must be one of {choices}"),
        error_messages={"invalid": f"must be one of {', '.join(LOGIN_METHODS)}"},
    )
    redirect_uri = Text(
        example='"http://127.0.0.1/callback"', load_default="http://127.0.0.1/callback"
    )
    listen = Text(example='"127.0.0.1:8765"')
    ports = Ports()
    store = StoreField(load_default=lambda: {"kind": "file"})
    freshness = fields.Nested(FreshnessTable)

    @validates_schema
    def check_callback(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject an invalid combination of ``redirect_uri``, ``listen`` and ``ports``."""
        _check_callback(data["redirect_uri"], data)

    @validates_schema
    def check_grant(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject keys that do not fit the grant, and parameters that are set twice."""
        params, grant = data.get("params"), data.get("grant")
        program = "command" in data["provider"]
        interactive = not program and (grant is None or grant in LOGIN_GRANTS)
        if interactive and (needless := {"params", "params_command"} & data.keys()):
            rule = "is only for grants other than browser and device logins"
            raise ValidationError({name: [rule] for name in needless})
        if program and "params_command" in data:
            rule = "cannot be combined with a provider that is a command, which gets all parameters"
            raise ValidationError({"params_command": [rule]})
        if params and "scope" in params:
            rule = "belongs outside params, as scope of the profile"
            raise ValidationError({"params": {"scope": [rule]}})
        for place in ("params", "extra"):
            if "resource" in data and "resource" in data.get(place, {}):
                rule = "is also set as resource of the profile; remove one of them"
                raise ValidationError({place: {"resource": [rule]}})
        if "login" in data and not interactive:
            what = "a provider that is a command" if program else grant
            rule = f"does not apply to {what}; only browser and device logins have methods"
            raise ValidationError({"login": [rule]})
        login = data.get("login", "auto")
        own = LOGIN_GRANTS.get(grant or "")
        if own is not None and login not in {"auto", own} and (own, login) != ("browser", "paste"):
            raise ValidationError(
                {"login": [f"does not fit the grant {grant}; remove one of them"]}
            )
        if "client_id" not in data and not interactive and not program:
            rule = "is missing; only browser and device logins register a client"
            raise ValidationError({"client_id": [rule]})
