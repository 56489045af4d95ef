"""Client authentication with AWS credentials: CreateTokenWithIAM of the service sso-oidc."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value
from grantway._secrets.masked import Masked

from ._dialect import AWS_SSO_OIDC

try:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.session import get_session
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"Signing for AWS needs {missing.name}; install it with: pip install 'grantway[aws]'",
        name=missing.name,
    ) from None

if TYPE_CHECKING:
    from grantway._requests.outgoing_request import OutgoingRequest

#: Name of the service in signatures; it differs from the endpoint's.
SIGNING_NAME = "sso-oauth"
#: Query that selects CreateTokenWithIAM instead of CreateToken.
_QUERY = "aws_iam=t"


@dataclass(frozen=True, slots=True)
class AwsIam(Value):
    """Signs requests with AWS credentials by Signature Version 4, for CreateTokenWithIAM.

    For a ``Provider`` with the dialect ``aws-sso-oidc``. AWS supports the grants authorization
    code, refresh token, JWT bearer and token exchange.

    Attributes:
        client_id: ARN of the application in IAM Identity Center.
        region: Region of the IAM Identity Center instance, like ``eu-west-1``.
        credentials: Returns botocore credentials; called for every request. By default botocore's
            own chain of environment, files and roles.

    Raises:
        ConfigurationError: The region is empty, or (in a call) no credentials are found.
    """

    client_id: str
    region: str
    credentials: Callable[[], Any] | None = field(default=None, repr=False)
    _find: Callable[[], Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.region:
            raise ConfigurationError("region: must be an AWS region, like eu-west-1.")
        object.__setattr__(self, "_find", self.credentials or get_session().get_credentials)

    def authenticate(self, outgoing: OutgoingRequest) -> None:
        """Sign the request."""
        found = self._find()
        if found is None:
            raise ConfigurationError(
                "credentials: botocore found none in the environment, files or roles. Set "
                "AWS_PROFILE, or run: aws configure"
            )
        # Error reports with locals must not show the credentials.
        frozen = Masked(found.get_frozen_credentials())
        outgoing.fields["client_id"] = self.client_id
        if outgoing.step == "token":
            outgoing.url += f"{'&' if '?' in outgoing.url else '?'}{_QUERY}"
        request = AWSRequest(
            "POST",
            outgoing.url,
            headers=dict(outgoing.headers),
            data=AWS_SSO_OIDC.encoder.encode(outgoing.fields),
        )
        SigV4Auth(frozen.value, SIGNING_NAME, self.region).add_auth(request)
        outgoing.headers.update(request.headers.items())
        signature = outgoing.headers["Authorization"].rpartition("=")[2]
        outgoing.secrets = (*outgoing.secrets, signature)
        if frozen.value.token:
            outgoing.secrets = (*outgoing.secrets, frozen.value.token)

    def secrets(self) -> tuple[str, ...]:
        """Return nothing: ``authenticate`` adds the secrets to the request."""
        return ()
