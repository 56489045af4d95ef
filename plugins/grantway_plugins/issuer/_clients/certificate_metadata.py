"""Client metadata about certificates (RFC 8705)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from grantway_plugins.server._http.denial import DenialError

from .certificate_settings import ClientCertificates

#: Authentication with a certificate of an authority (section 2.1), and with a registered key
#: (section 2.2).
TLS_CLIENT_AUTH, SELF_SIGNED = "tls_client_auth", "self_signed_tls_client_auth"
METHODS = frozenset({TLS_CLIENT_AUTH, SELF_SIGNED})
#: Metadata that binds the client's access tokens to its certificate (section 3.4).
BOUND = "tls_client_certificate_bound_access_tokens"
#: Metadata that identifies the certificate (section 2.1.2); a client has one of them.
SUBJECT_DN = "tls_client_auth_subject_dn"
SAN_DNS, SAN_URI = "tls_client_auth_san_dns", "tls_client_auth_san_uri"
SAN_IP, SAN_EMAIL = "tls_client_auth_san_ip", "tls_client_auth_san_email"
IDENTITIES = (SUBJECT_DN, SAN_DNS, SAN_URI, SAN_IP, SAN_EMAIL)
_ERROR = "invalid_client_metadata"


def offered_methods(settings: ClientCertificates | None) -> tuple[str, ...]:
    """Return the authentication methods with a certificate that the settings enable."""
    if settings is None:
        return ()
    return (SELF_SIGNED,) if settings.ca_file is None else (TLS_CLIENT_AUTH, SELF_SIGNED)


def certificate_members(members: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Return the members about certificates, as they are stored.

    Args:
        members: The client's metadata.
        method: The client's authentication method.

    Raises:
        DenialError: a member is invalid or missing.
    """
    found = {name: members[name] for name in IDENTITIES if members.get(name) is not None}
    if method == TLS_CLIENT_AUTH and len(found) != 1:
        raise DenialError(
            _ERROR, f"{TLS_CLIENT_AUTH} requires exactly one of {', '.join(IDENTITIES)}"
        )
    if method != TLS_CLIENT_AUTH and found:
        raise DenialError(_ERROR, f"{next(iter(found))} requires {TLS_CLIENT_AUTH}")
    for name, value in found.items():
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise DenialError(_ERROR, f"{name} must be printable text")
    if method == SELF_SIGNED and members.get("jwks") is None:
        raise DenialError(_ERROR, f"{SELF_SIGNED} requires jwks with the key of the certificate")
    if SUBJECT_DN in found:
        _check_name(found[SUBJECT_DN])
    if SAN_IP in found:
        _check_address(found[SAN_IP])
    return found


def _check_name(text: str) -> None:
    from cryptography.x509 import Name  # noqa: PLC0415 - few clients need it

    try:
        Name.from_rfc4514_string(text)
    except ValueError:
        pass
    else:
        return
    raise DenialError(
        _ERROR, f"{SUBJECT_DN} must be a distinguished name of RFC 4514, like CN=app,O=Example"
    )


def _check_address(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        pass
    else:
        return
    raise DenialError(_ERROR, f"{SAN_IP} must be an IP address, like 192.0.2.7 or 2001:db8::7")
