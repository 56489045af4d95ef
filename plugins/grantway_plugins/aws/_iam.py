"""A client that proves itself by AWS credentials: CreateTokenWithIAM of the service sso-oidc."""

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
        f"Signing for AWS needs {missing.name}: pip install 'grantway[aws]'.", name=missing.name
    ) from None

if TYPE_CHECKING:
    from grantway._requests.exchange import OutgoingRequest

#: The service's name in a signature, which is not that of its endpoint.
SIGNING_NAME = "sso-oauth"
#: Tells CreateTokenWithIAM from CreateToken at the same path.
_QUERY = "aws_iam=t"


@dataclass(frozen=True, slots=True)
class AwsIam(Value):
    """CreateTokenWithIAM: requests signed with AWS credentials by Signature Version 4.

    For a ``Provider`` of the dialect ``aws-sso-oidc``. AWS takes authorization code, refresh token,
    JWT bearer and token exchange so.

    Attributes:
        client_id: The ARN of the application in IAM Identity Center.
        region: The region of its instance, like ``eu-west-1``.
        credentials: Gives botocore's credentials, asked anew for every send; by default botocore's
            own chain of environment, files and roles.

    Raises:
        ConfigurationError: the region is empty; at a call, there are no credentials.
    """

    client_id: str
    region: str
    credentials: Callable[[], Any] | None = field(default=None, repr=False)
    _find: Callable[[], Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.region:
            raise ConfigurationError("region: must name one, like eu-west-1.")
        object.__setattr__(self, "_find", self.credentials or get_session().get_credentials)

    def authenticate(self, draft: OutgoingRequest) -> None:
        """Sign the request as it will be sent."""
        found = self._find()
        if found is None:
            raise ConfigurationError(
                "credentials: botocore finds none in the environment, files or roles."
            )
        # The credentials must not be in a local, which a traceback could show.
        frozen = Masked(found.get_frozen_credentials())
        draft.fields["client_id"] = self.client_id
        if draft.step == "token":
            draft.url += f"{'&' if '?' in draft.url else '?'}{_QUERY}"
        request = AWSRequest(
            "POST", draft.url, headers=dict(draft.headers), data=AWS_SSO_OIDC.encode(draft.fields)
        )
        SigV4Auth(frozen.value, SIGNING_NAME, self.region).add_auth(request)
        draft.headers.update(request.headers.items())
        signature = draft.headers["Authorization"].rpartition("=")[2]
        draft.secrets = (*draft.secrets, signature)
        if frozen.value.token:
            draft.secrets = (*draft.secrets, frozen.value.token)

    def secrets(self) -> tuple[str, ...]:
        """There are none that last; those of a send the draft keeps."""
        return ()
