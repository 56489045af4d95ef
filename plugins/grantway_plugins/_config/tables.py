"""The tables of which a configuration is made: provider, client, store, freshness.

Each is a schema of its own, so that a profile and a gateway describe the same thing alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from marshmallow import ValidationError, fields, validate, validates_schema

from grantway._exceptions import ConfigurationError
from grantway._transport.http import require_secure
from grantway._types.freshness import Freshness
from grantway._types.grant import Scope, Text
from grantway._types.quantity import check_seconds
from grantway_grants._callback import Callback, check_ports
from grantway_grants._resource import Resource

from .network import NetworkTable
from .toml_file import TableSchema

#: The grants that a person begins -> how they log in.
LOGINS = {
    "authorization_code": "browser",
    "device_code": "device",
    "urn:ietf:params:oauth:grant-type:device_code": "device",
}
_YEAR = 31_536_000
LOGIN_METHODS = ("auto", "browser", "device", "paste")
#: The ways to log in to a session of the AWS tools, which take no pasted address.
SSO_WAYS = ("auto", "browser", "device")
#: Where a client's secret can come from; one of them at most.
SECRETS = ("client_secret", "client_secret_env", "client_secret_file", "client_secret_keyring")


class Address(fields.String):
    """An https address, or http on this machine."""

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
    """A number; text that could be read as one is none."""

    default_error_messages = {"invalid": "must be a number, like 30"}  # noqa: RUF012

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.make_error("invalid")
        return float(value)


def judge(check: Callable[..., None], value: Any, **limits: Any) -> None:
    """Check a value of a file as an argument is checked.

    Args:
        check: One of the checks of ``grantway._types.quantity``.
        value: The value.
        **limits: The check's options.

    Raises:
        ValidationError: says which rule it breaks.
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
        judge(check_seconds, value, most=_YEAR)
        return float(value)


class ProviderTable(TableSchema):
    """``provider = {...}``: either an issuer that publishes its endpoints, or the endpoints."""

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
    def tell_incomplete(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Refuse a table that names nobody to ask."""
        if "issuer" not in data and "token_endpoint" not in data:
            raise ValidationError(
                "needs issuer, where the provider publishes its endpoints, or token_endpoint"
            )
        if "expected_issuer" in data and ("issuer" not in data or "token_endpoint" in data):
            rule = "is for the metadata of issuer, which is not read beside token_endpoint"
            raise ValidationError({"expected_issuer": [rule]})


class ProviderField(fields.Field[dict[str, Any]]):
    """An issuer's address, or a table (see ``ProviderTable``)."""

    default_error_messages = {  # noqa: RUF012
        "required": 'is missing; give the issuer\'s address, like "https://login.example.com"',
        "invalid": "must be the issuer's address, or a table with issuer or token_endpoint",
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> dict[str, Any]:
        if isinstance(value, str):
            return {"issuer": Address().deserialize(value), "dialect": "rfc6749"}
        if not isinstance(value, Mapping):
            raise self.make_error("invalid")
        return cast("dict[str, Any]", ProviderTable().load(value))


class StoreField(fields.Field[dict[str, Any]]):
    """A registered store: its name, or a table of its options with the name as ``kind``."""

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
    """``freshness = {...}``: when a token is renewed (see ``grantway.Freshness``)."""

    advisory = Number()
    mandatory = Number()
    jitter = Number()

    @validates_schema
    def tell_order(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Refuse windows that cannot be."""
        try:
            Freshness(**data)
        except ConfigurationError as error:
            raise ValidationError(error.errors) from None


class ClientTable(TableSchema):
    """Who asks: a client's name, its secret and how it is shown."""

    client_id = Text(example='"my-client"')
    client_secret = Text(example='"..."')
    client_secret_env = Text(example='"MY_CLIENT_SECRET"')
    client_secret_file = Text(example='"secret.txt"')
    client_secret_keyring = Text(example='"my-service"')
    auth = Text(example='"client_secret_basic"')
    timeout = Seconds()

    @validates_schema
    def tell_secrets(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Refuse two secrets, and a secret of nobody."""
        given = [name for name in SECRETS if name in data]
        if len(given) > 1:
            rule = f"cannot stand beside {given[0]}; give one of them"
            raise ValidationError({given[-1]: [rule]})
        if given and "client_id" not in data:
            raise ValidationError({given[0]: ["needs client_id beside it"]})


class Extra(fields.Field[dict[str, Any]]):
    """Provider-specific parameters: names to text, or to lists of text."""

    default_error_messages = {"invalid": "must be a table of names to text"}  # noqa: RUF012

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
    """Ports to listen on, tried in this order."""

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
        validate=validate.OneOf(SSO_WAYS, error="must be one of {choices}"), load_default="auto"
    )
    listen = Text(example='"127.0.0.1:8765"')
    ports = Ports()

    @validates_schema
    def tell_callback(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Refuse a listener that cannot work."""
        _check_callback("http://127.0.0.1/", data)


def _check_callback(redirect_uri: str, data: Mapping[str, Any]) -> None:
    if "listen" not in data and "ports" not in data:
        return  # a redirect URI that is pasted need not lead to this machine
    try:
        Callback.of(redirect_uri, data.get("listen"), data.get("ports"))
    except ConfigurationError as error:
        name = next(iter(error.errors), "redirect_uri")
        problem = {name: [_rule(error)]}
    else:
        return
    raise ValidationError(cast("dict[str, Any]", problem))


def _rule(error: ConfigurationError) -> str:
    """What is wrong, without the argument's name."""
    return str(error).partition(": ")[2].rstrip(".")


class ProfileTable(ClientTable, NetworkTable):
    """``[profiles.NAME]``: a client, whom it asks, for what, and where the token rests."""

    provider = ProviderField(required=True)
    grant = Text(example='"client_credentials"')
    scope = Scope()
    params = fields.Dict(error_messages={"invalid": "must be a table of the grant's parameters"})
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
    def tell_callback(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Refuse a listener that cannot work."""
        _check_callback(data["redirect_uri"], data)

    @validates_schema
    def tell_ill_matched(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Refuse parameters of no grant, and a scope that stands twice."""
        params, grant = data.get("params"), data.get("grant")
        begun_by_person = grant is None or grant in LOGINS
        if params is not None and begun_by_person:
            raise ValidationError({"params": ["are those of a grant that needs no person"]})
        if params and "scope" in params:
            raise ValidationError({"params": {"scope": ["stands outside of params, as scope"]}})
        for place in ("params", "extra"):
            if "resource" in data and "resource" in data.get(place, {}):
                rule = "is given beside params and extra already; leave one of them out"
                raise ValidationError({place: {"resource": [rule]}})
        if "login" in data and not begun_by_person:
            raise ValidationError({"login": [f"has no meaning for {grant}, which needs no person"]})
        login = data.get("login", "auto")
        own = LOGINS.get(grant or "")
        if own is not None and login not in {"auto", own} and (own, login) != ("browser", "paste"):
            raise ValidationError({"login": [f"is not how {grant} begins; leave one of them out"]})
        if "client_id" not in data and not begun_by_person:
            raise ValidationError({"client_id": ["is missing; only logins register a client"]})
