"""The dialect of AWS's SSO-OIDC: JSON bodies, camelCase, and errors named in a header.

Source: the service model ``sso-oidc`` of botocore (rest-json 1.1).
"""

from __future__ import annotations

from grantway._exceptions import TOKEN_ERRORS
from grantway._types.freshness import Freshness
from grantway._wire.dialect import Dialect
from grantway._wire.shapes import ErrorShape, RequestShape, ResponseShape

#: AWS's name of each RFC name in requests.
REQUEST_NAMES = {
    "client_id": "clientId",
    "client_name": "clientName",
    "client_secret": "clientSecret",
    "client_type": "clientType",
    "code_verifier": "codeVerifier",
    "device_code": "deviceCode",
    "entitled_application_arn": "entitledApplicationArn",
    "grant_type": "grantType",
    "grant_types": "grantTypes",
    "issuer_url": "issuerUrl",
    "redirect_uri": "redirectUri",
    "redirect_uris": "redirectUris",
    "refresh_token": "refreshToken",
    "requested_token_type": "requestedTokenType",
    "start_url": "startUrl",
    "subject_token": "subjectToken",
    "subject_token_type": "subjectTokenType",
}
#: AWS's name of each RFC name in responses.
RESPONSE_NAMES = {
    "access_token": "accessToken",
    "authorization_endpoint": "authorizationEndpoint",
    "aws_additional_details": "awsAdditionalDetails",
    "client_id": "clientId",
    "client_id_issued_at": "clientIdIssuedAt",
    "client_secret": "clientSecret",
    "client_secret_expires_at": "clientSecretExpiresAt",
    "device_code": "deviceCode",
    "expires_in": "expiresIn",
    "id_token": "idToken",
    "issued_token_type": "issuedTokenType",
    "refresh_token": "refreshToken",
    "token_endpoint": "tokenEndpoint",
    "token_type": "tokenType",
    "user_code": "userCode",
    "verification_uri": "verificationUri",
    "verification_uri_complete": "verificationUriComplete",
}

AWS_SSO_OIDC = Dialect(
    name="aws-sso-oidc",
    # The same as botocore's, so that programs sharing a login agree on when to refresh it.
    freshness=Freshness(advisory=900, mandatory=600),
    request=RequestShape(
        encoding="json",
        names=REQUEST_NAMES,
        scope_separator=None,
        client_auth="client_secret_post",
        authorization_names={"scope": "scopes"},
    ),
    response=ResponseShape(names={aws: rfc for rfc, aws in RESPONSE_NAMES.items()}),
    error=ErrorShape(
        header="x-amzn-errortype",
        code_at=(("code",), ("Code",), ("__type",), ("error",)),
        description_at=(("error_description",), ("message",), ("Message",)),
        codes={kind.__name__: kind.wire for kind in TOKEN_ERRORS},
    ),
)
