"""Verify client certificates (RFC 8705)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import OctKey

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway_plugins.issuer._storage.records import RegisteredClient
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._trust.trusted_token import RejectedToken, TrustedToken
from grantway_plugins.server._http.client_certificate import (
    InvalidCertificateError,
    read_certificate,
    thumbprint,
)
from grantway_plugins.server._http.denial import DenialError
from grantway_plugins.server._http.wire import WireRequest

from .certificate_metadata import (
    METHODS,
    SAN_DNS,
    SAN_EMAIL,
    SAN_IP,
    SAN_URI,
    SELF_SIGNED,
    SUBJECT_DN,
)
from .certificate_settings import ClientCertificates
from .registered_keys import registered_keys
from .verification import Outcome, verified_client

#: Key of the outcome in ``WireRequest.trusted``.
CERTIFICATE = "client_certificate"
#: Member of the ``cnf`` claim (section 3.1).
X5T = "x5t#S256"


class RejectedCertificateError(Exception):
    """A certificate does not authenticate the client; continues "The client certificate ..."."""


class VerifyClientCertificates(OneProcess):
    """Verifies the certificate of a request; a ``Preparation``.

    Args:
        settings: How the issuer learns the certificate.
        store: The database with the clients.
        clock: Returns seconds since the epoch.

    Raises:
        ConfigurationError: the authorities cannot be read.
    """

    def __init__(
        self, settings: ClientCertificates, store: IssuerStore, clock: Callable[[], float]
    ) -> None:
        self._header = settings.header.lower()
        self._authorities = () if settings.ca_file is None else _authorities(settings.ca_file)
        self._store = store
        self._clock = clock

    def applies(self, request: WireRequest) -> bool:
        """See ``Preparation``."""
        return bool(request.headers.get(self._header))  # some proxies send an empty one

    async def prepare(self, request: WireRequest) -> WireRequest:
        """See ``Preparation``."""
        try:
            certificate = read_certificate(request.headers[self._header])
        except InvalidCertificateError as error:
            problem = f"The client certificate {error}"
        else:
            proved = {**request.confirmation, X5T: thumbprint(certificate)}
            trusted = await self._authenticated(certificate, request)
            return replace(request, confirmation=proved, trusted=trusted)
        raise DenialError("invalid_client", problem)

    async def _authenticated(
        self, certificate: x509.Certificate, request: WireRequest
    ) -> Mapping[str, Any]:
        """Return ``WireRequest.trusted`` with the outcome for the client of the request."""
        client_id = request.params.get("client_id")
        if not isinstance(client_id, str) or request.basic is not None:
            return request.trusted
        outcome = await verified_client(self._store, client_id, partial(self._outcome, certificate))
        return request.trusted if outcome is None else {**request.trusted, CERTIFICATE: outcome}

    async def _outcome(self, certificate: x509.Certificate, client: RegisteredClient) -> Outcome:
        if client.authentication.method not in METHODS:
            return None
        try:
            self._check(certificate, client)
        except RejectedCertificateError as error:
            return RejectedToken(str(error))
        return TrustedToken(
            issuer=client.client_id,
            subject=client.client_id,
            expires_at=certificate.not_valid_after_utc.timestamp(),
            claims={},
            clients=(client.client_id,),
            method=client.authentication.method,
        )

    def _check(self, certificate: x509.Certificate, client: RegisteredClient) -> None:
        now = datetime.fromtimestamp(self._clock(), UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise RejectedCertificateError("has expired or is not valid yet")
        if client.authentication.method == SELF_SIGNED:
            if not _is_registered(certificate, client):
                raise RejectedCertificateError("has a key that the client did not register")
            return
        if not any(_issued(certificate, each, now) for each in self._authorities):
            raise RejectedCertificateError("is not issued by an authority in ca_file")
        if not _names(certificate, client.metadata):
            raise RejectedCertificateError("does not have the name that the client registered")


def _authorities(path: str) -> tuple[x509.Certificate, ...]:
    try:
        found = tuple(x509.load_pem_x509_certificates(Path(path).read_bytes()))
    except (OSError, ValueError) as error:
        problem = f"{path} cannot be read ({getattr(error, 'strerror', None) or 'no certificate'})"
    else:
        return found
    raise ConfigurationError(f"client_certificates: {problem}", errors={"ca_file": [problem]})


def _issued(certificate: x509.Certificate, authority: x509.Certificate, now: datetime) -> bool:
    if not authority.not_valid_before_utc <= now <= authority.not_valid_after_utc:
        return False
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_registered(certificate: x509.Certificate, client: RegisteredClient) -> bool:
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return False
    own = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    known = registered_keys(client).keys
    registered = (each for each in known if not isinstance(each, OctKey))
    return any(hmac.compare_digest(own, each.as_der(private=False)) for each in registered)


def _names(certificate: x509.Certificate, metadata: Mapping[str, Any]) -> bool:
    """Return whether a certificate has the name in the client's metadata (section 2.1.2)."""
    if SUBJECT_DN in metadata:
        # Tools write the relative names in either order.
        found = [_parts(each) for each in certificate.subject.rdns]
        wanted = [_parts(each) for each in x509.Name.from_rfc4514_string(metadata[SUBJECT_DN]).rdns]
        return found in (wanted, wanted[::-1])
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    found_names = {
        SAN_DNS: [name.lower() for name in names.get_values_for_type(x509.DNSName)],
        SAN_URI: names.get_values_for_type(x509.UniformResourceIdentifier),
        SAN_EMAIL: names.get_values_for_type(x509.RFC822Name),
        SAN_IP: [str(address) for address in names.get_values_for_type(x509.IPAddress)],
    }
    member = next(name for name in found_names if name in metadata)
    return _normal(member, metadata[member]) in found_names[member]


def _normal(member: str, value: str) -> str:
    """Return a registered name in the spelling of ``_names``."""
    if member == SAN_DNS:
        return value.lower()
    return str(ip_address(value)) if member == SAN_IP else value


def _parts(name: x509.RelativeDistinguishedName) -> set[tuple[str, str]]:
    return {(each.oid.dotted_string, str(each.value)) for each in name}
