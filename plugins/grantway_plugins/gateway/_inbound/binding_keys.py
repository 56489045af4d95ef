"""The keys that bind tokens and codes to the callers of a broker."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from grantway._exceptions import ConfigurationError
from grantway._secrets.masked import Masked
from grantway_plugins.stores.encrypted import _keys as store_keys

if TYPE_CHECKING:
    from grantway._requests.client_auth import ClientAuth
    from grantway_plugins.stores.encrypted._keys import KeySource

#: Keys as an application passes them.
Keys = bytes | str | Sequence[bytes | str]


def binding_keys(keys: Masked[Keys | KeySource | None], auth: ClientAuth) -> KeySource:
    """Return the keys, or one derived from the client's secret (RFC 5869) if there are none.

    Args:
        keys: Keys of 32 bytes each or their base64 encoding, newest first; or a function that
            returns them.
        auth: The gateway's client authentication at the provider.

    Raises:
        ConfigurationError: A key is invalid, or there is neither a key nor a client secret.
    """
    if callable(keys.value):
        return keys.value
    if keys.value is not None:
        return store_keys.from_value(Masked(keys.value), "keys")
    if secret := getattr(auth, "client_secret", None):
        return derived_key(Masked(secret), auth.client_id)
    raise ConfigurationError(
        "keys: is missing, and the client has no client_secret to derive a key from. Pass the "
        "result of grantway_plugins.stores.generate_key(), the same in every process. The key "
        "binds refresh tokens and codes to the caller.",
        errors={"keys": ["is required for a client without a client_secret"]},
    )


def derived_binding_key(client_id: str, client_secret: str) -> str:
    """Return the key that a broker without ``keys`` derives from its client's secret, in base64.

    Pass it after a new key, so that tokens sealed with the old key are still accepted.

    Args:
        client_id: The gateway's client ID at the provider.
        client_secret: The gateway's client secret at the provider.
    """
    (key,) = derived_key(Masked(client_secret), client_id)().value
    return base64.urlsafe_b64encode(key).decode()


def derived_key(secret: Masked[str], client_id: str) -> KeySource:
    """Return the key that every process with this client secret derives."""
    hkdf = HKDF(SHA256(), store_keys.LENGTH, None, b"grantway broker binding\0" + _utf8(client_id))
    key: Masked[tuple[bytes, ...]] = Masked((hkdf.derive(_utf8(secret.value)),))
    return lambda: key


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
