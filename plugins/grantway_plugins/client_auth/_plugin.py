"""Registers the methods by their names in RFC 7591 section 2; loads each when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping

from grantway._exceptions import ConfigurationError
from grantway._requests.client_auth import ClientAuth, ClientAuthFactory
from grantway.hookspecs import hookimpl


def private_key_jwt(client_id: str, client_secret: str | None) -> ClientAuth:
    """``private_key_jwt`` from settings that are all text: the key stands for the secret."""
    from ._assertions import PrivateKeyJwt  # noqa: PLC0415 - joserfc loads when it is needed

    if not client_secret:
        raise ConfigurationError(
            "client_secret: private_key_jwt takes the private key here, as the text of a PEM or "
            "JWK; or give auth=PrivateKeyJwt(client_id, key)."
        )
    return PrivateKeyJwt(client_id, client_secret)


def client_secret_jwt(client_id: str, client_secret: str | None) -> ClientAuth:
    """``client_secret_jwt``."""
    from ._assertions import ClientSecretJwt  # noqa: PLC0415 - the same

    if not client_secret:
        raise ConfigurationError("client_secret: client_secret_jwt signs with it; give it.")
    return ClientSecretJwt(client_id, client_secret)


def mutual_tls(client_id: str, client_secret: str | None) -> ClientAuth:
    """``tls_client_auth`` and ``self_signed_tls_client_auth``: the transport has the proof."""
    from ._mutual_tls import MutualTls  # noqa: PLC0415 - the same

    if client_secret is not None:
        raise ConfigurationError("client_secret: mutual TLS has none; leave it out.")
    return MutualTls(client_id)


@hookimpl
def grantway_register_client_auth() -> Mapping[str, ClientAuthFactory]:
    """Bring the methods of RFC 7523 and RFC 8705."""
    return {
        "client_secret_jwt": client_secret_jwt,
        "private_key_jwt": private_key_jwt,
        "self_signed_tls_client_auth": mutual_tls,
        "tls_client_auth": mutual_tls,
    }
