"""A drop-in for ``boto3.client("sso-oidc")``: same calls, same responses, same exceptions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn, Unpack, cast

from marshmallow import Schema, ValidationError, fields

from grantway._exceptions import ConfigurationError, TokenError, TransportError
from grantway._plugins.default_registry import default_registry
from grantway._requests.dispatcher import Dispatcher
from grantway._requests.exchange import public_headers
from grantway._requests.outgoing_request import OutgoingRequest
from grantway._requests.retry import RetryPolicy
from grantway._secrets.masked import Masked
from grantway._secrets.params import Params
from grantway._transport.deadline import Deadline
from grantway._transport.limits import USER_AGENT
from grantway._transport.transport import HttpTransport
from grantway._types.grant import Grant
from grantway_plugins.aws._config.endpoint import provider_at
from grantway_plugins.aws._dialect import AWS_SSO_OIDC, RESPONSE_NAMES

from .client_config import LONGEST_WAIT, ClientConfig, client_config
from .client_meta import CallEvents, ClientMeta
from .exceptions import Exceptions, as_boto3_error, as_invalid, invalid_parameters
from .model import (  # the types too, so that tools can resolve the annotations
    CREATE_TOKEN,
    CREATE_TOKEN_WITH_IAM,
    REGISTER_CLIENT,
    SECRET,
    START_DEVICE_AUTHORIZATION,
    CreateTokenRequest,
    CreateTokenResponse,
    CreateTokenWithIAMRequest,
    CreateTokenWithIAMResponse,
    Operation,
    RegisterClientRequest,
    RegisterClientResponse,
    StartDeviceAuthorizationRequest,
    StartDeviceAuthorizationResponse,
)
from .standard_retries import StandardRetries

if TYPE_CHECKING:
    from typing import Self

    from botocore.config import Config

    from grantway._plugins.registry import Registry
    from grantway._requests.client_auth import ClientAuth
    from grantway._transport.http import Transport
    from grantway._wire.provider_response import ProviderResponse


class _AnyParameters(Schema):
    """Accepts every parameter. As with boto3, AWS decides which parameters a grant needs."""

    def load(self, data: Any, **_options: Any) -> Any:
        """Return the parameters. The operation's schema has already checked their types."""
        return data


@dataclass(slots=True)
class _Call:
    """The dispatcher's client authentication for one call; adds headers and records the response.

    The client's ID and secret are parameters of the call.

    Attributes:
        headers: Headers to add to each request.
        hidden: Values of secret parameters.
        signer: Client authentication that signs with AWS credentials, or None.
        response: Last response, or None.
        client_id: Empty; required by the interface.
    """

    headers: Mapping[str, str] = field(repr=False)
    hidden: tuple[str, ...] = field(repr=False)
    signer: ClientAuth | None = None
    response: ProviderResponse | None = field(default=None, repr=False)
    client_id: str = ""

    def authenticate(self, request: OutgoingRequest) -> None:
        """Add the headers and the signature."""
        self.response = None
        request.headers.update(self.headers)
        if self.signer is not None:
            self.signer.authenticate(request)
        request.learn = self._record

    def secrets(self) -> tuple[str, ...]:
        """Return nothing: the secrets are parameters, or the signer adds them to the request."""
        return ()

    def _record(self, response: ProviderResponse) -> bool:
        self.response = response
        return False


class SSOOIDCClient:
    """A client of AWS's SSO-OIDC, created by ``aws.client``. Thread-safe.

    Attributes:
        exceptions: Exception classes by AWS's names. Each error has ``.response`` in botocore's
            format.
        meta: ``endpoint_url``, ``region_name`` and more, as in botocore.
    """

    def __init__(self, config: ClientConfig, registry: Registry, transport: Transport) -> None:
        provider = provider_at(config.endpoint_url)
        self.exceptions = Exceptions()
        self.meta = ClientMeta(config)
        self._config = config
        self._transport = transport
        policy = RetryPolicy(attempts=config.attempts, longest=LONGEST_WAIT)
        self._dispatcher = Dispatcher(registry, provider, transport, StandardRetries(policy))
        schema = _AnyParameters()
        self._grants = {
            name: Grant(name, schema, replay=grant.replay, secret=SECRET)
            for name, grant in registry.grants.usable().items()
        }
        self._unknown = Grant("unknown", schema, secret=SECRET)

    def create_token(self, **kwargs: Unpack[CreateTokenRequest]) -> CreateTokenResponse:
        """Request a token (CreateToken) with a code, a device code or a refresh token.

        Args:
            clientId (str): Required. The client's ID, from ``register_client``.
            clientSecret (str): Required. The client's secret.
            grantType (str): Required. ``authorization_code``,
                ``urn:ietf:params:oauth:grant-type:device_code`` or ``refresh_token``.
            deviceCode (str): The device code of ``start_device_authorization``.
            code (str): The authorization code.
            refreshToken (str): The refresh token.
            scope (list[str]): Ignored by AWS: a token has the scopes of the registration.
            redirectUri (str): The redirect URI that the code was sent to.
            codeVerifier (str): The PKCE verifier of the code (RFC 7636).

        Returns:
            ``accessToken``, ``tokenType``, ``expiresIn`` (seconds), ``refreshToken`` and
            ``idToken``, if the service sent them, and ``ResponseMetadata``.

        Raises:
            InvalidRequestException: A parameter is missing or invalid; see ``reason``.
            InvalidClientException: The client is unknown, or its registration has expired.
            InvalidGrantException: The code or refresh token was already used, has expired, or
                belongs to another client.
            UnauthorizedClientException: The client may not use this grant.
            UnsupportedGrantTypeException: The service does not know the grant.
            InvalidScopeException: A scope is invalid.
            AuthorizationPendingException: The device code is not approved yet; poll again.
            SlowDownException: Polling too fast; add five seconds to the interval.
            AccessDeniedException: Access was denied; see ``reason``.
            ExpiredTokenException: The device code has expired.
            InternalServerException: The service failed.
        """
        kwargs = cast("CreateTokenRequest", Params(kwargs))
        return cast("CreateTokenResponse", self._invoke(CREATE_TOKEN, kwargs))

    def create_token_with_iam(
        self, **kwargs: Unpack[CreateTokenWithIAMRequest]
    ) -> CreateTokenWithIAMResponse:
        """Request a token as a client with AWS credentials, which sign the request.

        This is CreateTokenWithIAM. It needs grantway's extra ``aws``.

        Args:
            clientId (str): Required. The ARN of the application in IAM Identity Center.
            grantType (str): Required. ``authorization_code``, ``refresh_token``,
                ``urn:ietf:params:oauth:grant-type:jwt-bearer`` or
                ``urn:ietf:params:oauth:grant-type:token-exchange``.
            code (str): The authorization code.
            refreshToken (str): The refresh token.
            assertion (str): The JWT of a trusted token issuer.
            scope (list[str]): Scopes to request.
            redirectUri (str): The redirect URI that the code was sent to.
            subjectToken (str): The token to exchange.
            subjectTokenType (str): Its type.
            requestedTokenType (str): The type of token to get.
            codeVerifier (str): The PKCE verifier of the code (RFC 7636).

        Returns:
            As ``create_token``, and ``issuedTokenType``, ``scope`` and ``awsAdditionalDetails``.

        Raises:
            InvalidRequestRegionException: The application's identity store is in another region;
                see ``endpoint`` and ``region``.
            TokenError: The other exceptions of ``create_token``.
            ConfigurationError: No AWS credentials were found.
        """
        kwargs = cast("CreateTokenWithIAMRequest", Params(kwargs))
        return cast("CreateTokenWithIAMResponse", self._invoke(CREATE_TOKEN_WITH_IAM, kwargs))

    def register_client(self, **kwargs: Unpack[RegisterClientRequest]) -> RegisterClientResponse:
        """Register a client for logins (RegisterClient).

        Args:
            clientName (str): Required. The client's display name.
            clientType (str): Required. ``public``.
            scopes (list[str]): Scopes of the client's tokens.
            redirectUris (list[str]): Redirect URIs for authorization codes.
            grantTypes (list[str]): Grants that the client may use.
            issuerUrl (str): The issuer of IAM Identity Center, or a start URL.
            entitledApplicationArn (str): The ARN of the application that the client belongs to.

        Returns:
            ``clientId``, ``clientSecret``, their times (epoch seconds) and endpoints.

        Raises:
            InvalidRequestException: A parameter is missing or invalid.
            InvalidScopeException: A scope is invalid.
            InvalidClientMetadataException: The client's metadata is invalid.
            InternalServerException: The service failed.
            InvalidRedirectUriException: A redirect URI is not allowed.
            UnsupportedGrantTypeException: The service does not know a grant.
            SlowDownException: Too many requests.
        """
        kwargs = cast("RegisterClientRequest", Params(kwargs))
        return cast("RegisterClientResponse", self._invoke(REGISTER_CLIENT, kwargs))

    def start_device_authorization(
        self, **kwargs: Unpack[StartDeviceAuthorizationRequest]
    ) -> StartDeviceAuthorizationResponse:
        """Start a login on another device (StartDeviceAuthorization).

        Args:
            clientId (str): Required. The client's ID, from ``register_client``.
            clientSecret (str): Required. The client's secret.
            startUrl (str): Required. The address of the organization's access portal.

        Returns:
            ``deviceCode``, ``userCode``, ``verificationUri``, ``verificationUriComplete``,
            ``expiresIn`` and ``interval`` (seconds).

        Raises:
            InvalidRequestException: A parameter is missing or invalid.
            InvalidClientException: The client is unknown, or its registration has expired.
            UnauthorizedClientException: The client may not use this grant.
            SlowDownException: Too many requests.
            InternalServerException: The service failed.
        """
        kwargs = cast("StartDeviceAuthorizationRequest", Params(kwargs))
        return cast(
            "StartDeviceAuthorizationResponse", self._invoke(START_DEVICE_AUTHORIZATION, kwargs)
        )

    # --- Methods of every boto3 client ------------------------------------------------------

    def can_paginate(self, operation_name: str) -> bool:
        """Return False: no operation of the service is paginated.

        Raises:
            KeyError: The operation does not exist.
        """
        _ = self.meta.method_to_api_mapping[operation_name]
        return False

    def get_paginator(self, operation_name: str) -> NoReturn:
        """Raise ``OperationNotPageableError`` (``RequestInvalidError``), as boto3 does."""
        self.can_paginate(operation_name)
        raise as_invalid(
            f"Operation cannot be paginated: {operation_name}", "OperationNotPageableError"
        )

    @property
    def waiter_names(self) -> list[str]:
        """Return an empty list: the service has no waiters."""
        return []

    def get_waiter(self, waiter_name: str) -> NoReturn:
        """Raise ValueError, as boto3 does: the service has no waiters."""
        raise ValueError(f"Waiter does not exist: {waiter_name}")

    def generate_presigned_url(
        self,
        ClientMethod: str,  # noqa: N803 - botocore's names
        Params: Any = None,  # noqa: N803
        ExpiresIn: int = 3600,  # noqa: N803
        HttpMethod: str | None = None,  # noqa: N803
    ) -> NoReturn:
        """Raise ``ConfigurationError``: the parameters belong in the body of a POST request.

        boto3 returns an address without them, which the service rejects.
        """
        del Params, ExpiresIn, HttpMethod
        if ClientMethod not in self.meta.method_to_api_mapping:
            raise as_invalid(
                f"Client does not have method: {ClientMethod}", "UnknownClientMethodError"
            )
        raise ConfigurationError(
            f"generate_presigned_url: {ClientMethod} cannot be presigned, because its parameters "
            "belong in the body of a POST request. Call the method instead."
        )

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SSOOIDCClient({self.meta.endpoint_url!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "An SSOOIDCClient holds connections, so it cannot be pickled or copied; create one in "
            "each process."
        )

    # --- Calls ------------------------------------------------------------------------------

    def _invoke(self, operation: Operation, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        listening = self.meta.listening
        if listening is None:
            return dict(self._call(operation, _load(operation.parameters, kwargs), {}))
        events = CallEvents(self.meta, listening, operation)
        kwargs = Params(events.parameters(kwargs))
        params = _load(operation.parameters, kwargs)
        request = self._request_dict(operation, kwargs)
        stub = Masked(events.request(kwargs, request))
        if stub.value is not None:
            return events.stubbed(*stub.value)
        try:
            result = self._call(operation, params, request["headers"])
        except Exception as error:
            events.failed(error)
            raise
        events.succeeded(result)
        return dict(result)

    def _request_dict(self, operation: Operation, kwargs: Mapping[str, Any]) -> Params:
        """Return the request in the form that botocore passes to event handlers."""
        return Params(
            url_path=operation.path.partition("?")[0],
            url=self.meta.endpoint_url.rstrip("/") + operation.path,
            method="POST",
            query_string={},
            headers={},
            body=AWS_SSO_OIDC.encoder.encode(kwargs),
            context={},
        )

    def _call(self, operation: Operation, params: Params, headers: Mapping[str, str]) -> Params:
        call = _Call(
            {"User-Agent": self._config.user_agent(USER_AGENT), **headers},
            tuple(text for name, text in params.items() if name in SECRET),
        )
        deadline = Deadline(self._config.timeout)
        try:
            if operation.step == "token":
                return self._token(operation, params, call, deadline)
            response = self._dispatcher.call(operation.step, params, call, deadline)
            return self._result(response.payload, operation, response)
        except (TokenError, TransportError) as error:
            failure = as_boto3_error(
                error, operation.name, call.response, self._config.attempts, call.hidden
            )
        raise failure

    def _token(
        self, operation: Operation, params: Params, call: _Call, deadline: Deadline
    ) -> Params:
        if operation is CREATE_TOKEN_WITH_IAM:
            call.signer = self._signer(params.pop("client_id"))
        grant_type = params.pop("grant_type")
        grant = self._grants.get(grant_type) or replace(self._unknown, grant_type=grant_type)
        token, response = self._dispatcher.token(grant, params, call, deadline)
        found = Params(
            token.extra,
            access_token=token.access_token,
            token_type=token.token_type,
            expires_in=token.expires_in,
            refresh_token=token.refresh_token,
            id_token=token.id_token,
            scope=None if token.scope is None else list(token.scope),
        )
        return self._result(found, operation, response)

    def _result(
        self, found: Mapping[str, Any], operation: Operation, response: ProviderResponse
    ) -> Params:
        result = Params(
            {
                RESPONSE_NAMES.get(name, name): found[name]
                for name in operation.response
                if found.get(name) is not None
            }
        )
        headers = public_headers(response.headers)
        metadata: dict[str, Any] = {}
        if request_id := headers.get("x-amzn-requestid"):
            metadata["RequestId"] = request_id
        metadata["HTTPStatusCode"] = response.status
        metadata["HTTPHeaders"] = headers
        metadata["RetryAttempts"] = response.attempts - 1
        if response.attempts >= self._config.attempts:
            metadata["MaxAttemptsReached"] = True
        result["ResponseMetadata"] = metadata
        return result

    def _signer(self, client_id: str) -> ClientAuth:
        from grantway_plugins.aws._iam import AwsIam  # noqa: PLC0415 - loads botocore

        return AwsIam(client_id, self.meta.region_name, self._config.credentials)


def _load(schema: Schema, kwargs: Mapping[str, Any]) -> Params:
    """Validate the parameters as botocore does. Errors contain no values."""
    try:
        loaded = Params(cast("dict[str, Any]", schema.load(kwargs)))
    except ValidationError as invalid:
        messages = invalid.messages_dict
    else:
        return loaded
    known = sorted(str(field.data_key) for field in schema.fields.values())
    lines, errors = [], {}
    for name in messages:
        found = next((f for f in schema.fields.values() if f.data_key == name), None)
        if found is None:
            line = f'Unknown parameter in input: "{name}", must be one of: {", ".join(known)}'
        elif name not in kwargs:
            line = f'Missing required parameter in input: "{name}"'
        else:
            wanted = "a list of strings" if isinstance(found, fields.List) else "a string"
            line = f"Invalid type for parameter {name}: must be {wanted}"
        lines.append(line)
        errors[name] = [line]
    raise invalid_parameters("Parameter validation failed:\n" + "\n".join(lines), errors)


def client(
    region_name: str | None = None,
    endpoint_url: str | None = None,
    *,
    api_version: str | None = None,
    use_ssl: bool = True,
    verify: bool | str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
    aws_account_id: str | None = None,
    config: Config | None = None,
    registry: Registry | None = None,
    transport: Transport | None = None,
    timeout: float | None = None,
) -> SSOOIDCClient:
    """Create a client, as ``boto3.client("sso-oidc", ...)`` does.

    Args:
        region_name: AWS region; by default ``AWS_DEFAULT_REGION``, the profile's ``region``, or
            ``AWS_REGION``.
        endpoint_url: Address of the service; by default ``AWS_ENDPOINT_URL_SSO_OIDC``,
            ``AWS_ENDPOINT_URL``, the profile's ``endpoint_url``, or the region's address.
        api_version: ``2019-06-10``, the only version.
        use_ssl: Must be True for the region's address, because secrets are never sent without TLS.
            As with boto3, it has no effect on ``endpoint_url``.
        verify: Path of the certificates to trust, or True for certifi's; by default
            ``AWS_CA_BUNDLE``, the profile's ``ca_bundle``, ``REQUESTS_CA_BUNDLE``, or certifi's.
            False is rejected.
        aws_access_key_id: Access key ID; like the next two, only for ``create_token_with_iam``.
        aws_secret_access_key: Secret access key.
        aws_session_token: Session token of temporary credentials.
        aws_account_id: Ignored, because the service's addresses contain no account.
        config: A ``botocore.config.Config`` with region, retries, timeouts, proxies, certificate,
            User-Agent and endpoint settings.
        registry: Registry of grants; by default all installed plugins.
        transport: Transport that sends the requests, instead of one created from ``verify`` and
            ``config``.
        timeout: Timeout of one call in seconds, including retries; by default 60, or with
            ``config`` the sum of its timeouts over all attempts.

    Raises:
        ConfigurationError: An argument or setting is invalid or not supported; names it.
    """
    del aws_account_id
    keys = Masked((aws_access_key_id, aws_secret_access_key, aws_session_token))
    aws_access_key_id = aws_secret_access_key = aws_session_token = None  # for tracebacks
    found = client_config(
        region_name,
        endpoint_url,
        api_version=api_version,
        use_ssl=use_ssl,
        verify=verify,
        credentials=_explicit_credentials(keys),
        config=config,
        timeout=timeout,
    )
    return SSOOIDCClient(
        found,
        registry or default_registry(),
        transport or _transport(found),
    )


def _explicit_credentials(
    keys: Masked[tuple[str | None, str | None, str | None]],
) -> Callable[[], Any] | None:
    if not any(keys.value):
        return None
    if not all(keys.value[:2]):
        raise ConfigurationError(
            "aws_access_key_id, aws_secret_access_key: give both, or neither to use botocore's "
            "credentials."
        )

    def credentials() -> Any:
        from botocore.credentials import Credentials  # noqa: PLC0415 - an extra

        return Credentials(*keys.value)

    return credentials


def _transport(config: ClientConfig) -> HttpTransport:
    return HttpTransport(
        connect_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
        pool_size=config.pool_size,
        client_certificate=config.client_certificate,
        **config.network,
    )
