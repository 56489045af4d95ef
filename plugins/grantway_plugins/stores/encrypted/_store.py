"""A store around another one, which then holds nothing that can be read without the key.

The key under which a token lies is authenticated with it, so that write access to the store
is not enough to give one tenant's token to another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

from grantway._credentials import token_format as record
from grantway._exceptions import ConfigurationError, StoreUnreadableError
from grantway._plugins.default_registry import default_registry
from grantway._processes.copies import OneProcess
from grantway._secrets.masked import Masked
from grantway._types.token import Token

from . import _keys as store_keys
from ._sealing import NotSealedError, Sealer, SealError, UnknownKeyError

if TYPE_CHECKING:
    from grantway._types.store import Store

    from ._keys import KeySource

#: Token type of what the store around which this stands is given.
TOKEN_TYPE = "encrypted"

#: Before every ciphertext, so that a later layout can be told from this one.
_LAYOUT = "1"


class EncryptedStore(OneProcess):
    """Keeps tokens in another store, encrypted.

    The other store sees the key under which a token lies, how long the token is, and, of a token
    without a refresh token, when it ends, so that it can forget it then. Who can write to that
    store can delete tokens and put back older ones, and nothing else: what was changed, or moved
    to another key, is refused.

    Args:
        inner: A store, the name of a registered one, or its options with its name as ``kind``:
            ``{"kind": "file", "folder": "tokens"}``.
        key: 32 bytes, or their base64 text, as from ``generate_key``. Of several, the first
            encrypts and every one decrypts.
        key_env: Name of the environment variable that holds the key, or several with commas
            between them; conventionally ``GRANTWAY_STORE_KEY``.
        key_ring: Service in the operating system's key ring, such as ``grantway``, where the key
            lies; the first one is made there.

    Raises:
        ConfigurationError: not one of ``key``, ``key_env`` and ``key_ring``, or what it names is
            no key; or the inner store cannot be made.
        StoreUnreadableError: the key ring cannot be used.
    """

    def __init__(
        self,
        inner: Store | str | Mapping[str, Any],
        *,
        key: bytes | str | Sequence[bytes | str] | None = None,
        key_env: str | None = None,
        key_ring: str | None = None,
    ) -> None:
        hidden = Masked(key)
        del key  # a report that shows the locals of each frame would show it
        self._sealer = Sealer(_source(hidden, key_env, key_ring), _LAYOUT)
        self._inner = _inner(inner)

    def load(self, key: str) -> Token | None:
        """See ``grantway.Store``.

        Raises:
            StoreUnreadableError: also where a token was encrypted with another key, was changed,
                or is not encrypted. It stays as it is.
        """
        envelope = self._inner.load(key)
        if envelope is None:
            return None
        if envelope.token_type != TOKEN_TYPE:
            raise StoreUnreadableError(
                f"{self!r}: a token there is not encrypted. Save it once through this store, or "
                "log in again."
            )
        plain = self._open(key, envelope.access_token)
        return record.decode_token(plain.value, f"{self!r}, decrypted")

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """See ``grantway.Store``."""
        self._inner.save(key, self._seal(key, token), fence=fence)

    def check_writable(self, key: str, token: Token) -> None:
        """See ``grantway.Store``; as far as the inner store can tell."""
        check_writable = getattr(self._inner, "check_writable", None)
        if check_writable is not None:
            check_writable(key, self._seal(key, token))

    def delete(self, key: str, *, fence: int = 0) -> None:
        """See ``grantway.Store``."""
        self._inner.delete(key, fence=fence)

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """See ``grantway.Store``; the inner store's."""
        return self._inner.lock(key, timeout)

    def close(self) -> None:
        """Close the inner store, where it is one that is closed."""
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()

    def _seal(self, key: str, token: Token) -> Token:
        # With a refresh token it is worth keeping past the access token's end.
        ends = token.expires_at if token.refresh_token is None else None
        return Token(
            self._sealer.seal(record.encode_token(token), key), TOKEN_TYPE, expires_at=ends
        )

    def _open(self, key: str, text: str) -> Masked[bytes]:
        try:
            return self._sealer.open(text, key)
        except NotSealedError:
            problem = (
                f"a token there is not encrypted in version {_LAYOUT} of this layout; a newer "
                "grantway may have written it."
            )
        except UnknownKeyError as unknown:
            problem = (
                f"a token there is encrypted with the key whose id is {unknown.key_id[:16]!r}, and "
                f"the keys given are {', '.join(unknown.known)}. Give that key too, after the "
                "newest, or log in again. Nothing was removed."
            )
        except SealError:
            problem = (
                "a token there was changed, or moved from another key, after it was encrypted. "
                "Nothing was removed; find out who writes to the store, delete the token, and log "
                "in again."
            )
        raise StoreUnreadableError(f"{self!r}: {problem}")

    def __repr__(self) -> str:
        # A report on what __init__ refused asks before there is one.
        return f"EncryptedStore({getattr(self, '_inner', None)!r})"


def _source(key: Masked[Any], key_env: str | None, key_ring: str | None) -> KeySource:
    given = sum(one is not None for one in (key.value, key_env, key_ring))
    if given != 1:
        raise ConfigurationError(
            f"one of key, key_env and key_ring must be given, not {given} of them.",
            errors={name: ["exactly one of the three"] for name in ("key", "key_env", "key_ring")},
        )
    if key_env is not None:
        return store_keys.from_environment(key_env)
    if key_ring is not None:
        return store_keys.from_key_ring(key_ring)
    return store_keys.given(key)


def _inner(inner: Store | str | Mapping[str, Any]) -> Store:
    if isinstance(inner, str):
        return default_registry().store(inner)
    if isinstance(inner, Mapping) and isinstance(inner.get("kind"), str):
        options = dict(inner)
        return default_registry().store(options.pop("kind"), **options)
    if hasattr(inner, "load"):
        return cast("Store", inner)
    raise ConfigurationError(
        "inner: the store to encrypt: a store, the name of one, or its options with its name as "
        'kind, like {"kind": "file"}.',
        errors={"inner": ["must be a store, or name one"]},
    )
