"""Registration of the methods under their names in RFC 7591 section 2, each loaded on first use."""

from __future__ import annotations

from collections.abc import Mapping

from grantway._exceptions import ConfigurationError
from grantway._requests.client_auth import ClientAuth, ClientAuthFactory
from grantway.hookspecs import hookimpl


def private_key_jwt(client_id: str, client_secret: str | None) -> ClientAuth:
    """Create ``private_key_jwt`` from text settings; the client secret is the private key."""
    from ._assertions import PrivateKeyJwt  # noqa: PLC0415 - imports joserfc on first use

    if not client_secret:
        raise ConfigurationError(
            "client_secret: is missing; private_key_jwt expects the private key here, as the text "
            "of a PEM or JWK. Or use auth=PrivateKeyJwt(client_id, key)."
        )
    return PrivateKeyJwt(client_id, client_secret)


def client_secret_jwt(client_id: str, client_secret: str | None) -> ClientAuth:
    """Create ``client_secret_jwt``."""
    from ._assertions import ClientSecretJwt  # noqa: PLC0415 - imports joserfc on first use

    if not client_secret:
        raise ConfigurationError("client_secret: is missing; client_secret_jwt requires it.")
    return ClientSecretJwt(client_id, client_secret)


def mutual_tls(client_id: str, client_secret: str | None) -> ClientAuth:
    """Create ``tls_client_auth`` or ``self_signed_tls_client_auth``."""
    from ._mutual_tls import MutualTls  # noqa: PLC0415 - loaded on first use

    if client_secret is not None:
        raise ConfigurationError("client_secret: mutual TLS does not use one; leave it out.")
    return MutualTls(client_id)


@hookimpl
def grantway_register_client_auth() -> Mapping[str, ClientAuthFactory]:
    """Register the methods of RFC 7523 and RFC 8705."""
    return {
        "client_secret_jwt": client_secret_jwt,
        "private_key_jwt": private_key_jwt,
        "self_signed_tls_client_auth": mutual_tls,
        "tls_client_auth": mutual_tls,
    }
