"""The formats of a program's output, as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Path = tuple[str, ...]
_EXEC_INFO = json.dumps(
    {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }
)


@dataclass(frozen=True, slots=True)
class Format:
    """Where the output of a program has the secret and its expiry.

    Attributes:
        value: Paths to the secret, tried in order; none for plain text.
        expiry: Path to the time of expiry, a Unix time or RFC 3339 text.
        variables: Environment variables that such programs expect.
    """

    value: tuple[Path, ...] = ()
    expiry: Path = ()
    variables: Mapping[str, str] = field(default_factory=dict)


#: The protocol of this package.
PROTOCOL = "grantway"
FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        # `gcloud auth print-access-token`, `op read`, `pass show`
        "text": Format(),
        # Programs for kubectl (client.authentication.k8s.io)
        "exec-credential": Format(
            value=(("status", "token"),),
            expiry=("status", "expirationTimestamp"),
            variables={"KUBERNETES_EXEC_INFO": _EXEC_INFO},
        ),
        # Executable sources of google-auth, which check this variable
        "google": Format(
            value=(("id_token",), ("saml_response",)),
            expiry=("expiration_time",),
            variables={"GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES": "1"},
        ),
    }
)
