"""A drop-in for ``boto3.client("sso-oidc")``: same calls, same answers, same exceptions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from marshmallow import Schema, ValidationError, fields

from grantway.deadline import Deadline
from grantway.dialect import Answer
from grantway.dispatcher import Dispatcher
from grantway.exceptions import ConfigurationError, TokenError, TransportError
from grantway.exchange import Draft, public_headers
from grantway.grant import Grant, Params
from grantway.middleware.retry import RetryPolicy
from grantway.process import default_registry
from grantway.quantity import check_seconds
from grantway.registry import Registry
from grantway.transport import RequestsTransport

from .endpoint import endpoint_of, is_region, provider_at
from .exceptions import Exceptions, as_botocore_error, param_validation_error
from .plugin import ANSWER_NAMES

if TYPE_CHECKING:
    from typing import Self

    from grantway.http import Transport


class _String(fields.String):
    """A string and nothing else; marshmallow's takes bytes as well, botocore does not."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        return value


class _Strings(fields.List[str]):
    """A list or tuple of strings; marshmallow's takes anything that can be iterated."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> list[str | None]:
        if not isinstance(value, (list, tuple)):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **kwargs)


def _text(name: str, *, required: bool = False) -> fields.String:
    return _String(data_key=name, required=required)


def _texts(name: str) -> fields.List[str]:
    return _Strings(_String(), data_key=name)


class CreateTokenInput(Schema):
    """The input shape of CreateToken."""

    client_id = _text("clientId", required=True)
    client_secret = _text("clientSecret", required=True)
    grant_type = _text("grantType", required=True)
    device_code = _text("deviceCode")
    code = _text("code")
    refresh_token = _text("refreshToken")
    scope = _texts("scope")
    redirect_uri = _text("redirectUri")
    code_verifier = _text("codeVerifier")


class RegisterClientInput(Schema):
    """The input shape of RegisterClient."""

    client_name = _text("clientName", required=True)
    client_type = _text("clientType", required=True)
    scopes = _texts("scopes")
    redirect_uris = _texts("redirectUris")
    grant_types = _texts("grantTypes")
    issuer_url = _text("issuerUrl")
    entitled_application_arn = _text("entitledApplicationArn")


class StartDeviceAuthorizationInput(Schema):
    """The input shape of StartDeviceAuthorization."""

    client_id = _text("clientId", required=True)
    client_secret = _text("clientSecret", required=True)
    start_url = _text("startUrl", required=True)


_CREATE_TOKEN = CreateTokenInput()
_REGISTER_CLIENT = RegisterClientInput()
_START_DEVICE_AUTHORIZATION = StartDeviceAuthorizationInput()
_SECRET = frozenset({"client_secret", "device_code", "code", "refresh_token", "code_verifier"})
_CLIENT_FIELDS = (
    "client_id",
    "client_secret",
    "client_id_issued_at",
    "client_secret_expires_at",
    "authorization_endpoint",
    "token_endpoint",
)
_DEVICE_FIELDS = (
    "device_code",
    "user_code",
    "verification_uri",
    "verification_uri_complete",
    "expires_in",
    "interval",
)


class _Unjudged(Schema):
    """Lets every parameter through: AWS itself judges what belongs to a grant, as with boto3."""

    def load(self, data: Any, **_options: Any) -> Any:
        """Give the parameters back; ``CreateTokenInput`` has checked their types."""
        return data


@dataclass(frozen=True, slots=True)
class _InParams:
    """Client authentication for calls whose parameters hold the client's id and secret."""

    client_id: str = ""

    def authenticate(self, draft: Draft) -> None:
        """There is nothing to add."""

    def secrets(self) -> tuple[str, ...]:
        """They are among the parameters."""
        return ()


_IN_PARAMS = _InParams()


class SSOOIDCClient:
    """AWS's SSO-OIDC client. Safe for threads.

    Attributes:
        exceptions: The exception classes by AWS's names; each error has ``.response`` in
            botocore's shape.
        meta: ``endpoint_url`` and ``region_name``, as botocore gives them.
    """

    def __init__(
        self,
        *,
        region_name: str,
        endpoint_url: str,
        registry: Registry,
        transport: Transport,
        timeout: float,
    ) -> None:
        provider = provider_at(endpoint_url)
        self.exceptions = Exceptions()
        self.meta = SimpleNamespace(endpoint_url=endpoint_url, region_name=region_name)
        self._transport = transport
        check_seconds("timeout", timeout)
        self._timeout = timeout
        self._dispatcher = Dispatcher(registry, provider, transport, RetryPolicy())
        unjudged = _Unjudged()
        self._grants = {
            name: Grant(name, unjudged, replay=grant.replay, secret=_SECRET)
            for name, grant in registry.grants.items()
        }
        self._unknown = Grant("unknown", unjudged, secret=_SECRET)

    def create_token(self, **kwargs: Any) -> dict[str, Any]:
        """CreateToken: ``clientId``, ``clientSecret`` and ``grantType``, and the grant's own.

        Returns:
            ``accessToken``, ``tokenType``, ``expiresIn`` (seconds), ``refreshToken``,
            ``idToken``, each where the service sent it, and ``ResponseMetadata``.
        """
        params = _load(_CREATE_TOKEN, kwargs)
        grant_type = params.pop("grant_type")
        grant = self._grants.get(grant_type) or replace(self._unknown, grant_type=grant_type)
        try:
            token, answer = self._dispatcher.token(
                grant, Params(params), _IN_PARAMS, Deadline(self._timeout)
            )
        except (TokenError, TransportError) as error:
            failure = as_botocore_error(error, "CreateToken")
        else:
            found = {
                "access_token": token.access_token,
                "token_type": token.token_type,
                "expires_in": token.expires_in,
                "refresh_token": token.refresh_token,
                "id_token": token.id_token,
            }
            return _answer(found, tuple(found), answer)
        raise failure

    def register_client(self, **kwargs: Any) -> dict[str, Any]:
        """RegisterClient: ``clientName``, ``clientType`` and what the client may do.

        Returns:
            ``clientId``, ``clientSecret``, their times (epoch seconds) and endpoints.
        """
        return self._call(
            "registration", "RegisterClient", _REGISTER_CLIENT, kwargs, _CLIENT_FIELDS
        )

    def start_device_authorization(self, **kwargs: Any) -> dict[str, Any]:
        """StartDeviceAuthorization: ``clientId``, ``clientSecret`` and ``startUrl``.

        Returns:
            ``deviceCode``, ``userCode``, ``verificationUri``, ``verificationUriComplete``,
            ``expiresIn`` and ``interval`` (seconds).
        """
        return self._call(
            "device_authorization",
            "StartDeviceAuthorization",
            _START_DEVICE_AUTHORIZATION,
            kwargs,
            _DEVICE_FIELDS,
        )

    def _call(
        self,
        step: str,
        operation: str,
        schema: Schema,
        kwargs: Mapping[str, Any],
        shown: tuple[str, ...],
    ) -> dict[str, Any]:
        params = _load(schema, kwargs)
        try:
            answer = self._dispatcher.call(step, params, _IN_PARAMS, Deadline(self._timeout))
        except (TokenError, TransportError) as error:
            failure = as_botocore_error(error, operation)
        else:
            return _answer(answer.payload, shown, answer)
        raise failure

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SSOOIDCClient({self.meta.endpoint_url!r})"


def _load(schema: Schema, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Check the parameters as botocore does, without quoting a value."""
    try:
        loaded = cast("dict[str, Any]", schema.load(kwargs))
    except ValidationError as invalid:
        messages = invalid.messages_dict
    else:
        return loaded
    known = sorted(str(field.data_key) for field in schema.fields.values())
    lines, errors = [], {}
    for name in messages:
        field = next((f for f in schema.fields.values() if f.data_key == name), None)
        if field is None:
            line = f'Unknown parameter in input: "{name}", must be one of: {", ".join(known)}'
        elif name not in kwargs:
            line = f'Missing required parameter in input: "{name}"'
        else:
            wanted = "a list of strings" if isinstance(field, fields.List) else "a string"
            line = f"Invalid type for parameter {name}: must be {wanted}"
        lines.append(line)
        errors[name] = [line]
    raise param_validation_error("Parameter validation failed:\n" + "\n".join(lines), errors)


def _answer(found: Mapping[str, Any], shown: tuple[str, ...], answer: Answer) -> dict[str, Any]:
    result = {
        ANSWER_NAMES.get(name, name): found[name] for name in shown if found.get(name) is not None
    }
    headers = public_headers(answer.headers)
    request_id = headers.get("x-amzn-requestid")
    result["ResponseMetadata"] = {
        **({"RequestId": request_id} if request_id else {}),
        "HTTPStatusCode": answer.status,
        "HTTPHeaders": headers,
        "RetryAttempts": answer.attempts - 1,
    }
    return result


def client(
    region_name: str | None = None,
    endpoint_url: str | None = None,
    *,
    registry: Registry | None = None,
    transport: Transport | None = None,
    timeout: float = 60.0,
) -> SSOOIDCClient:
    """Make a client, as ``boto3.client("sso-oidc", ...)`` does.

    Args:
        region_name: AWS region; by default ``AWS_DEFAULT_REGION``, as boto3, or ``AWS_REGION``.
        endpoint_url: Another address of the service; by default
            ``AWS_ENDPOINT_URL_SSO_OIDC``, ``AWS_ENDPOINT_URL``, or the region's own.
        registry: Where grants come from; by default all installed plugins.
        transport: Sends the requests; by default one of its own.
        timeout: Seconds for one call, over all attempts.

    Raises:
        ConfigurationError: there is no region, or it does not look like one.
    """
    env = os.environ.get
    region = region_name or env("AWS_DEFAULT_REGION") or env("AWS_REGION")
    if not region or not is_region(region):
        raise ConfigurationError(
            'region_name: must be an AWS region, like "eu-west-1"; give it here or in '
            "AWS_DEFAULT_REGION."
        )
    return SSOOIDCClient(
        region_name=region,
        endpoint_url=endpoint_of(region, endpoint_url),
        registry=registry or default_registry(),
        transport=transport or RequestsTransport(),
        timeout=timeout,
    )
