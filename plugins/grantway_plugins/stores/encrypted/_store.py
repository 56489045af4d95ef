"""A store that encrypts the tokens in another store.

The store key of a token is authenticated with it, so that write access to the inner store is not
enough to assign one tenant's token to another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

from grantway._credentials import token_format as record
from grantway._credentials.async_store import asynchronous
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

#: Token type of the envelopes that the inner store receives.
TOKEN_TYPE = "encrypted"

#: Version at the start of every ciphertext.
_LAYOUT = "1"


class EncryptedStore(OneProcess):
    """Encrypts tokens and stores them in another store.

    The inner store sees the key of each token, its length and, for tokens without a refresh token,
    its expiry, so that it can remove expired tokens. Write access to the inner store allows
    deleting tokens and restoring older ones, but nothing else: tokens that were modified or moved
    to another key are rejected.

    Args:
        inner: A store, the name of a registered one, or its options with its name as ``kind``:
            ``{"kind": "file", "folder": "tokens"}``.
        key: 32 bytes, or their base64 text as returned by ``generate_key``; or several keys. The
            first encrypts, all of them decrypt.
        key_env: Name of the environment variable that contains the comma-separated keys;
            conventionally ``GRANTWAY_STORE_KEY``.
        key_ring: Service in the operating system's key ring that contains the keys, such as
            ``grantway``. A first key is generated there if there is none.

    Raises:
        ConfigurationError: Not exactly one of ``key``, ``key_env`` and ``key_ring`` is given, it
            contains no valid key, or the inner store cannot be created.
        StoreUnreadableError: The key ring cannot be used.
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
        del key  # error reports that print the locals of each frame would reveal it
        self._sealer = Sealer(_source(hidden, key_env, key_ring), _LAYOUT)
        self._inner = _inner(inner)

    def load(self, key: str) -> Token | None:
        """Load a token; see ``grantway.Store``.

        Raises:
            StoreUnreadableError: Also if the token was encrypted with another key, was modified,
                or is not encrypted. The token is left in place.
        """
        return self._decrypt(key, self._inner.load(key))

    async def load_async(self, key: str) -> Token | None:
        """See ``load``."""
        return self._decrypt(key, await asynchronous(self._inner).load_async(key))

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """Save a token; see ``grantway.Store``."""
        self._inner.save(key, self._seal(key, token), fence=fence)

    async def save_async(self, key: str, token: Token, *, fence: int = 0) -> None:
        """See ``save``."""
        await asynchronous(self._inner).save_async(key, self._seal(key, token), fence=fence)

    def check_writable(self, key: str, token: Token) -> None:
        """Call the inner store's ``check_writable``, if it has one."""
        check_writable = getattr(self._inner, "check_writable", None)
        if check_writable is not None:
            check_writable(key, self._seal(key, token))

    async def check_writable_async(self, key: str, token: Token) -> None:
        """See ``check_writable``."""
        inner = asynchronous(self._inner)
        check_writable = getattr(inner, "check_writable_async", None)
        if check_writable is not None:
            await check_writable(key, self._seal(key, token))

    def delete(self, key: str, *, fence: int = 0) -> None:
        """Delete a token; see ``grantway.Store``."""
        self._inner.delete(key, fence=fence)

    async def delete_async(self, key: str, *, fence: int = 0) -> None:
        """See ``delete``."""
        await asynchronous(self._inner).delete_async(key, fence=fence)

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """Lock the key in the inner store."""
        return self._inner.lock(key, timeout)

    def lock_async(self, key: str, timeout: float) -> AbstractAsyncContextManager[int]:
        """See ``lock``."""
        return asynchronous(self._inner).lock_async(key, timeout)

    async def reencrypt_async(self, key: str, timeout: float = 30.0) -> bool:  # noqa: ASYNC109 - as lock_async()
        """Encrypt a token with the newest key, unless it is already.

        The token stays locked meanwhile, so that no refresh of another process is overwritten.

        Args:
            key: Name of the token in the store.
            timeout: Longest wait for the lock in seconds.

        Returns:
            Whether the token was encrypted again; False also if there is none.

        Raises:
            StoreUnreadableError: None of the keys decrypts the token. It is left in place.
            StoreError: The token could not be locked or saved; the old one is left in place.
        """
        inner = asynchronous(self._inner)
        if self._is_current(await inner.load_async(key)):
            return False
        async with inner.lock_async(key, timeout) as fence:
            envelope = await inner.load_async(key)
            if self._is_current(envelope):
                return False
            token = self._decrypt(key, envelope)
            assert token is not None  # a missing one is current
            await inner.save_async(key, self._seal(key, token), fence=fence)
        return True

    def _is_current(self, envelope: Token | None) -> bool:
        """Return whether nothing has to be encrypted again."""
        if envelope is None:
            return True
        encrypted = envelope.token_type == TOKEN_TYPE
        return encrypted and self._sealer.is_current(envelope.access_token)

    def close(self) -> None:
        """Close the inner store, if it has a ``close`` method."""
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()

    async def close_async(self) -> None:
        """Close what the inner store has opened on this event loop, if it has this method."""
        close = getattr(self._inner, "close_async", None)
        if close is not None:
            await close()

    def _decrypt(self, key: str, envelope: Token | None) -> Token | None:
        if envelope is None:
            return None
        if envelope.token_type != TOKEN_TYPE:
            raise StoreUnreadableError(
                f"{self!r}: the stored token is not encrypted. Save it through this store, or log "
                "in again."
            )
        plain = self._open(key, envelope.access_token)
        return record.decode_token(plain.value, f"{self!r}, decrypted")

    def _seal(self, key: str, token: Token) -> Token:
        # A token with a refresh token stays useful after the access token expires.
        expires_at = token.expires_at if token.refresh_token is None else None
        return Token(
            self._sealer.seal(record.encode_token(token), key), TOKEN_TYPE, expires_at=expires_at
        )

    def _open(self, key: str, text: str) -> Masked[bytes]:
        try:
            return self._sealer.open(text, key)
        except NotSealedError:
            problem = (
                f"the stored token is not in version {_LAYOUT} of the encrypted format; upgrade "
                "grantway if a newer version wrote it, or log in again."
            )
        except UnknownKeyError as unknown:
            problem = (
                f"the stored token is encrypted with the key whose ID is {unknown.key_id[:16]!r}, "
                f"but the configured keys have the IDs {', '.join(unknown.known)}. Add that key "
                "after the newest, or log in again. Nothing was removed."
            )
        except SealError:
            problem = (
                "the stored token was modified, or moved from another key, after it was "
                "encrypted. Nothing was removed; find out who writes to the store, delete the "
                "token, and log in again."
            )
        raise StoreUnreadableError(f"{self!r}: {problem}")

    def __repr__(self) -> str:
        # Error reports call this before __init__ has set the inner store.
        return f"EncryptedStore({getattr(self, '_inner', None)!r})"


def encrypted_with(inner: Store, keys: KeySource) -> EncryptedStore:
    """Return a store that reads its keys from a source, again for a token with an unknown key."""
    source: Any = keys  # not part of the public API
    return EncryptedStore(inner, key=source)


def _source(key: Masked[Any], key_env: str | None, key_ring: str | None) -> KeySource:
    given = sum(each is not None for each in (key.value, key_env, key_ring))
    if given != 1:
        raise ConfigurationError(
            f"set exactly one of key, key_env and key_ring, not {given} of them.",
            errors={name: ["exactly one of the three"] for name in ("key", "key_env", "key_ring")},
        )
    if key_env is not None:
        return store_keys.from_environment(key_env)
    if key_ring is not None:
        return store_keys.from_key_ring(key_ring)
    if callable(key.value):
        return cast("KeySource", key.value)
    return store_keys.from_value(key)


def _inner(inner: Store | str | Mapping[str, Any]) -> Store:
    if isinstance(inner, str):
        return default_registry().store(inner)
    if isinstance(inner, Mapping) and isinstance(inner.get("kind"), str):
        options = dict(inner)
        return default_registry().store(options.pop("kind"), **options)
    if hasattr(inner, "load"):
        return cast("Store", inner)
    raise ConfigurationError(
        "inner: must be a store, the name of a registered one, or its options with its name as "
        'kind, like {"kind": "file"}.',
        errors={"inner": ["must be a store, or name one"]},
    )
