"""The service model of SSO-OIDC: its operations, their members and their errors.

A test compares it with botocore's ``service-2.json``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from marshmallow import Schema, fields

API_VERSION = "2019-06-10"


class ResponseMetadata(TypedDict):
    """Metadata in every response."""

    RequestId: NotRequired[str]
    HTTPStatusCode: int
    HTTPHeaders: dict[str, str]
    RetryAttempts: int
    MaxAttemptsReached: NotRequired[bool]


# --- Requests and responses, for type checkers --------------------------------------------------
# The names of members are AWS's. This module does not import ``annotations`` from ``__future__``,
# so that tools can read which members are required.


class CreateTokenRequest(TypedDict):
    """The parameters of CreateToken."""

    clientId: str
    clientSecret: str
    grantType: str
    deviceCode: NotRequired[str]
    code: NotRequired[str]
    refreshToken: NotRequired[str]
    scope: NotRequired[list[str] | tuple[str, ...]]
    redirectUri: NotRequired[str]
    codeVerifier: NotRequired[str]


class CreateTokenResponse(TypedDict):
    """The response of CreateToken. A member that the service did not send is missing."""

    accessToken: str
    tokenType: str
    expiresIn: NotRequired[int]
    refreshToken: NotRequired[str]
    idToken: NotRequired[str]
    ResponseMetadata: ResponseMetadata


class CreateTokenWithIAMRequest(TypedDict):
    """The parameters of CreateTokenWithIAM."""

    clientId: str
    grantType: str
    code: NotRequired[str]
    refreshToken: NotRequired[str]
    assertion: NotRequired[str]
    scope: NotRequired[list[str] | tuple[str, ...]]
    redirectUri: NotRequired[str]
    subjectToken: NotRequired[str]
    subjectTokenType: NotRequired[str]
    requestedTokenType: NotRequired[str]
    codeVerifier: NotRequired[str]


class CreateTokenWithIAMResponse(CreateTokenResponse):
    """The response of CreateTokenWithIAM."""

    issuedTokenType: NotRequired[str]
    scope: NotRequired[list[str]]
    awsAdditionalDetails: NotRequired[dict[str, str]]


class RegisterClientRequest(TypedDict):
    """The parameters of RegisterClient."""

    clientName: str
    clientType: str
    scopes: NotRequired[list[str] | tuple[str, ...]]
    redirectUris: NotRequired[list[str] | tuple[str, ...]]
    grantTypes: NotRequired[list[str] | tuple[str, ...]]
    issuerUrl: NotRequired[str]
    entitledApplicationArn: NotRequired[str]


class RegisterClientResponse(TypedDict):
    """The response of RegisterClient; times are in epoch seconds."""

    clientId: str
    clientSecret: str
    clientIdIssuedAt: NotRequired[int]
    clientSecretExpiresAt: NotRequired[int]
    authorizationEndpoint: NotRequired[str]
    tokenEndpoint: NotRequired[str]
    ResponseMetadata: ResponseMetadata


class StartDeviceAuthorizationRequest(TypedDict):
    """The parameters of StartDeviceAuthorization."""

    clientId: str
    clientSecret: str
    startUrl: str


class StartDeviceAuthorizationResponse(TypedDict):
    """The response of StartDeviceAuthorization; times are in seconds."""

    deviceCode: str
    userCode: str
    verificationUri: str
    verificationUriComplete: NotRequired[str]
    expiresIn: NotRequired[int]
    interval: NotRequired[int]
    ResponseMetadata: ResponseMetadata


# --- Parameters, checked as botocore does -------------------------------------------------------


class _String(fields.String):
    """A string. Like botocore and unlike marshmallow, it rejects bytes."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        return value


class _Strings(fields.List[str]):
    """A list or tuple of strings. Unlike marshmallow's, it rejects other iterables."""

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


class CreateTokenWithIAMInput(Schema):
    """The input shape of CreateTokenWithIAM."""

    client_id = _text("clientId", required=True)
    grant_type = _text("grantType", required=True)
    code = _text("code")
    refresh_token = _text("refreshToken")
    assertion = _text("assertion")
    scope = _texts("scope")
    redirect_uri = _text("redirectUri")
    subject_token = _text("subjectToken")
    subject_token_type = _text("subjectTokenType")
    requested_token_type = _text("requestedTokenType")
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


#: RFC names of the parameters whose values are secret.
SECRET = frozenset(
    {
        "assertion",
        "client_secret",
        "code",
        "code_verifier",
        "device_code",
        "refresh_token",
        "subject_token",
    }
)


# --- Operations ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the service.

    Attributes:
        name: AWS's name of the operation.
        method: Name of the client's method.
        path: Path and query of its requests.
        step: Endpoint of the provider.
        parameters: Schema of its parameters.
        response: RFC names of the members of its response.
        errors: Names of the classes of its errors.
    """

    name: str
    method: str
    path: str
    step: str
    parameters: Schema
    response: tuple[str, ...]
    errors: tuple[str, ...]


_TOKEN = ("access_token", "token_type", "expires_in", "refresh_token", "id_token")
_TOKEN_ERRORS = (
    "InvalidRequestException",
    "InvalidClientException",
    "InvalidGrantException",
    "UnauthorizedClientException",
    "UnsupportedGrantTypeException",
    "InvalidScopeException",
    "AuthorizationPendingException",
    "SlowDownException",
    "AccessDeniedException",
    "ExpiredTokenException",
    "InternalServerException",
)
CREATE_TOKEN = Operation(
    "CreateToken", "create_token", "/token", "token", CreateTokenInput(), _TOKEN, _TOKEN_ERRORS
)
CREATE_TOKEN_WITH_IAM = Operation(
    "CreateTokenWithIAM",
    "create_token_with_iam",
    "/token?aws_iam=t",
    "token",
    CreateTokenWithIAMInput(),
    (*_TOKEN, "issued_token_type", "scope", "aws_additional_details"),
    (*_TOKEN_ERRORS, "InvalidRequestRegionException"),
)
REGISTER_CLIENT = Operation(
    "RegisterClient",
    "register_client",
    "/client/register",
    "registration",
    RegisterClientInput(),
    (
        "client_id",
        "client_secret",
        "client_id_issued_at",
        "client_secret_expires_at",
        "authorization_endpoint",
        "token_endpoint",
    ),
    (
        "InvalidRequestException",
        "InvalidScopeException",
        "InvalidClientMetadataException",
        "InternalServerException",
        "InvalidRedirectUriException",
        "UnsupportedGrantTypeException",
        "SlowDownException",
    ),
)
START_DEVICE_AUTHORIZATION = Operation(
    "StartDeviceAuthorization",
    "start_device_authorization",
    "/device_authorization",
    "device_authorization",
    StartDeviceAuthorizationInput(),
    (
        "device_code",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
        "expires_in",
        "interval",
    ),
    (
        "InvalidRequestException",
        "InvalidClientException",
        "UnauthorizedClientException",
        "SlowDownException",
        "InternalServerException",
    ),
)
OPERATIONS = (CREATE_TOKEN, CREATE_TOKEN_WITH_IAM, REGISTER_CLIENT, START_DEVICE_AUTHORIZATION)
