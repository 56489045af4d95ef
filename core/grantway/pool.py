"""Many credentials by name: bounded, and as quick with a million as with one."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cachetools import FIFOCache

from .credential import Credential
from .exceptions import ConfigurationError
from .token import Token

#: How many entries in use are passed over to find one that is not, so that no caller waits long.
_CHANCES = 16


class CredentialPool:
    """CredentialPool made when they are first asked for, one a name: a tenant, a user, a route.

    Past its bound, one that nobody asked for lately is forgotten (first in, first out, with a
    second chance for those in use); its token is in the store, if there is one, and comes back
    from there.

    Args:
        make: Makes the credential of a name, and must make a different one for each, as with
            ``subject=name``. Sends nothing, so it may run while others wait.
        entries: CredentialPool that are kept at most.

    Raises:
        ConfigurationError: ``entries`` is not a whole number from 1.
    """

    __slots__ = ("_credentials", "_lock", "_make")

    def __init__(self, make: Callable[[str], Credential], *, entries: int = 100_000) -> None:
        if not isinstance(entries, int) or isinstance(entries, bool) or entries < 1:
            raise ConfigurationError(
                f"entries: a whole number from 1, not {entries!r}.",
                errors={"entries": ["must be a whole number from 1"]},
            )
        self._make = make
        # A reader looks into it without a lock, which its ``[]`` allows: that is one lookup in a
        # dict and changes nothing. (An LRU cache changes its order with every look.)
        self._credentials: FIFOCache[str, Credential] = FIFOCache(entries)
        self._lock = threading.Lock()

    def token(self, name: str, timeout: float | None = None) -> Token:
        """A valid token; see ``Credential.token``.

        Args:
            name: Whose; empty is refused.
            timeout: Seconds to wait at most.
        """
        try:
            credential = self._credentials[name]
        except KeyError:
            credential = self._new(name)
        credential.used = True
        return credential.token(timeout)

    async def token_async(
        self,
        name: str,
        timeout: float | None = None,  # noqa: ASYNC109 - as token()
    ) -> Token:
        """As ``token``, for event loops."""
        return await self.credential(name).token_async(timeout)

    def credential(self, name: str) -> Credential:
        """The credential of a name.

        Raises:
            ConfigurationError: the name is empty: a token for nobody would be one for everybody.
        """
        try:
            credential = self._credentials[name]
        except KeyError:
            credential = self._new(name)
        credential.used = True
        return credential

    def invalidate(self, name: str, token: Token) -> None:
        """Say that a token did not work where it was used; see ``Credential.invalidate``."""
        self.credential(name).invalidate(token)

    def __len__(self) -> int:
        return len(self._credentials)

    def __repr__(self) -> str:
        return f"CredentialPool({len(self)} of {self._credentials.maxsize:g} entries)"

    def _new(self, name: str) -> Credential:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(
                f"name: a text that is not empty, such as a tenant's, not {name!r}; a token for "
                "nobody would be one for everybody.",
                errors={"name": ["must not be empty"]},
            )
        made = self._make(name)
        with self._lock:
            try:
                return self._credentials[name]  # another thread was first
            except KeyError:
                pass
            self._make_room()
            self._credentials[name] = made
        return made

    def _make_room(self) -> None:
        cache = self._credentials
        if len(cache) < cache.maxsize:
            return
        for _ in range(_CHANCES):
            name, credential = cache.popitem()
            if not credential.used:
                return
            credential.used = False
            cache[name] = credential
        cache.popitem()
