"""Settings for client certificates."""

from __future__ import annotations

import re
from dataclasses import dataclass

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value

_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")


@dataclass(frozen=True)
class ClientCertificates(Value):
    """How the issuer learns the certificate of a client (RFC 8705).

    A proxy in front of the issuer ends TLS, verifies that the client has the certificate's private
    key, and forwards the certificate.

    Attributes:
        header: Header with the certificate. It is accepted from ``trusted_proxies`` only, and the
            proxy must replace what its client sent.
        ca_file: PEM file with the authorities that issue certificates for ``tls_client_auth``
            (section 2.1), including intermediate ones. Without it, only
            ``self_signed_tls_client_auth`` (section 2.2) and bound tokens are offered.

    Raises:
        ConfigurationError: a field is invalid; the error names it.
    """

    header: str = "Client-Cert"
    ca_file: str | None = None

    def __post_init__(self) -> None:
        """Validate the fields."""
        if not isinstance(self.header, str) or not _HEADER.fullmatch(self.header):
            raise _invalid("header", "must be the name of a header, like Client-Cert")
        if self.ca_file is not None and (not isinstance(self.ca_file, str) or not self.ca_file):
            raise _invalid("ca_file", "must be a path")


def _invalid(name: str, rule: str) -> ConfigurationError:
    return ConfigurationError(f"{name} {rule}", errors={name: [rule]})
