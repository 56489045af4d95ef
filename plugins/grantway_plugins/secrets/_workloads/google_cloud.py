"""Identity tokens of Google Cloud's metadata server."""

from __future__ import annotations

import os
from dataclasses import dataclass

from grantway._exceptions import SecretUnavailableError
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._types.secret_source import Secret

from .jwt import jwt_secret
from .requests import fetch

_HOST = "metadata.google.internal"
_FLAVOR = "Google"
_ADVICE = "run this on Google Cloud, with a service account"


@dataclass(frozen=True, slots=True)
class GoogleCloudToken:
    """``google_cloud``: an identity token of the service account, from the metadata server.

    Works on Compute Engine, GKE, Cloud Run, Cloud Functions and App Engine. ``GCE_METADATA_HOST``
    replaces the host of the metadata server.

    Attributes:
        audience: The audience of the token, such as the issuer's URL.
        service_account: The service account of the machine.
        timeout: Timeout of a read, in seconds.
    """

    audience: str
    service_account: str = "default"
    timeout: float = 5.0

    @hides_arguments
    def read(self) -> Secret:
        """Return a token, which expires at its ``exp``.

        Raises:
            SecretUnavailableError: There is no metadata server, or it rejects the request.
        """
        host = os.environ.get("GCE_METADATA_HOST", _HOST)
        path = f"/computeMetadata/v1/instance/service-accounts/{self.service_account}/identity"
        response = fetch(
            f"http://{host}{path}",
            {"audience": self.audience, "format": "full"},
            {"Metadata-Flavor": _FLAVOR},
            self.timeout,
            advice=_ADVICE,
        )
        if response.headers.get("metadata-flavor") != _FLAVOR:
            raise SecretUnavailableError(f"{host} is not Google's metadata server; {_ADVICE}")
        token = response.body.decode("ascii", "replace").strip()
        return jwt_secret(token, f"the response of {host}", _ADVICE)
