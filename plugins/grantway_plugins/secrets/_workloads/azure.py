"""Tokens of Azure's managed identities."""

from __future__ import annotations

import os
from dataclasses import dataclass

from grantway._secrets.hidden_arguments import hides_arguments
from grantway._types.secret_source import Secret

from .jwt import jwt_secret
from .requests import fetch, member

#: The Instance Metadata Service of virtual machines.
_IMDS, _IMDS_PATH = "http://169.254.169.254", "/metadata/identity/oauth2/token"
_IMDS_VERSION = "2018-02-01"
#: The service of App Service, Functions and Container Apps has its address in a variable.
_APP_VERSION = "2019-08-01"
_ADVICE = "run this on Azure, with a managed identity"


@dataclass(frozen=True, slots=True)
class AzureToken:
    """``azure``: a token of the managed identity.

    Works on virtual machines and scale sets, and, where ``IDENTITY_ENDPOINT`` and
    ``IDENTITY_HEADER`` are set, on App Service, Functions and Container Apps.
    ``AZURE_POD_IDENTITY_AUTHORITY_HOST`` replaces the host of the metadata service.

    AKS with workload identity writes a token into the file that ``AZURE_FEDERATED_TOKEN_FILE``
    names; use the source ``kubernetes`` with its path.

    Attributes:
        resource: The application ID URI of the app registration that stands for the provider, such
            as ``api://orders``. It determines the token's audience.
        client_id: The client ID of a user-assigned identity.
        timeout: Timeout of a read, in seconds.
    """

    resource: str
    client_id: str | None = None
    timeout: float = 5.0

    @hides_arguments
    def read(self) -> Secret:
        """Return a token, which expires at its ``exp``.

        Raises:
            SecretUnavailableError: There is no managed identity, or Azure rejects the request.
        """
        url, header = os.environ.get("IDENTITY_ENDPOINT"), os.environ.get("IDENTITY_HEADER")
        params = {"resource": self.resource}
        if self.client_id is not None:
            params["client_id"] = self.client_id
        if url and header:
            version, headers = _APP_VERSION, {"X-IDENTITY-HEADER": header}
        else:
            host = os.environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST", _IMDS).rstrip("/")
            url, version, headers = host + _IMDS_PATH, _IMDS_VERSION, {"Metadata": "true"}
        response = fetch(
            url, {"api-version": version, **params}, headers, self.timeout, advice=_ADVICE
        )
        return jwt_secret(member(response, "access_token", "Azure"), "Azure's response", _ADVICE)
