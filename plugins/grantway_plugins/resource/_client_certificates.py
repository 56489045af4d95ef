"""The certificate of the caller, in a header of the proxy that terminates TLS (RFC 9440)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from cryptography import x509
from cryptography.x509.oid import NameOID

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value
from grantway_plugins.server._http.client_certificate import (
    InvalidCertificateError,
    read_certificate,
    thumbprint,
)
from grantway_plugins.server._http.peer_networks import is_one_of

from ._claims import X5T
from ._request import ResourceRequest
from ._verified_token import VerifiedToken

_KNOWN = 1024
#: Claims of a certificate, by the attribute of its subject.
_ATTRIBUTES = {
    "common_name": NameOID.COMMON_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizational_unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
}


@dataclass(frozen=True, slots=True)
class CertificateHeader(Value):
    """The header with the client certificate of a request.

    Attributes:
        name: Name of the header, such as ``X-Client-Cert``.
        proxies: Addresses and networks of the proxies that set it. The header of every other peer
            is ignored. The proxies must replace the header if a client sends it.
        authenticates: Whether a certificate without a token is accepted. The proxies must then
            reject certificates that no trusted authority issued.

    Raises:
        ConfigurationError: There is no name, or no proxy.
    """

    name: str
    proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    authenticates: bool = False

    def __post_init__(self) -> None:
        for field in ("name", "proxies"):
            if not getattr(self, field):
                raise ConfigurationError(
                    f"CertificateHeader.{field}: must not be empty.",
                    errors={field: ["must not be empty"]},
                )

    def read(self, request: ResourceRequest) -> VerifiedToken | None:
        """Return the caller with the certificate of a request, or None if there is none.

        Raises:
            InvalidCertificateError: The header of a proxy cannot be read.
        """
        value = request.header(self.name.lower())
        if not value or not is_one_of(request.peer, self.proxies):
            return None
        return _caller(value)


@lru_cache(_KNOWN)
def _caller(header: str) -> VerifiedToken:
    certificate = read_certificate(header)
    claims = _claims(certificate)
    key = {X5T: thumbprint(certificate)}
    return VerifiedToken(
        claims["iss"],
        claims["sub"],
        expires_at=certificate.not_valid_after_utc.timestamp(),
        claims=MappingProxyType({**claims, "cnf": key}),
        confirmation=MappingProxyType(key),
    )


def _claims(certificate: x509.Certificate) -> dict[str, str]:
    """Return the issuer and the names of the subject; of several values, the first.

    Raises:
        InvalidCertificateError: A name cannot be decoded.
    """
    try:
        found = {
            "iss": certificate.issuer.rfc4514_string(),
            "sub": certificate.subject.rfc4514_string(),
        }
        for claim, oid in _ATTRIBUTES.items():
            for each in certificate.subject.get_attributes_for_oid(oid)[:1]:
                found[claim] = str(each.value)
        return {**found, **_alternative_names(certificate)}
    except (ValueError, x509.DuplicateExtension):
        pass
    raise InvalidCertificateError("has names that cannot be read")


def _alternative_names(certificate: x509.Certificate) -> dict[str, str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return {}
    alternatives: Iterable[tuple[str, list[str]]] = (
        ("san_dns", names.get_values_for_type(x509.DNSName)),
        ("san_uri", names.get_values_for_type(x509.UniformResourceIdentifier)),
        ("san_email", names.get_values_for_type(x509.RFC822Name)),
    )
    return {claim: values[0] for claim, values in alternatives if values}
