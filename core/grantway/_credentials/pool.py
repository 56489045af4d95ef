"""A bounded pool of credentials by name."""

from __future__ import annotations

from collections.abc import Callable

from cachetools import FIFOCache

from grantway._exceptions import ConfigurationError, StoreSaveError
from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway._types.quantity import MOST_ENTRIES, check_count
from grantway._types.token import Token

from .credential import Credential

#: Entries in use that are skipped while looking for an unused one.
_SKIPPED_AT_MOST = 16
#: Names per part. Resizing a dict blocks the interpreter: about 50 ms with a million entries, and
#: less than 1 ms with this many.
_PART = 4096
#: Names are not spread evenly over the parts, so each part gets more room than its share.
_SLACK = 1.125

#: Held while a name is added and another removed, in any pool.
_lock = fork_safe_lock()


class CredentialPool(OneProcess):
    """Credentials by name, such as a tenant, a user or a route; created on first use.

    A full pool drops a credential that was not used lately (first in, first out, with a second
    chance for those in use). Its token stays in the store, if there is one, and is loaded from
    there.

    Args:
        make: Creates the credential of a name. Each name needs a different credential, as with
            ``subject=name``. The function must send nothing.
        entries: Most credentials in the pool; above 4,096, up to an eighth more.

    Raises:
        ConfigurationError: ``entries`` is not a whole number from 1.
    """

    __slots__ = ("_last", "_make", "_parts")

    stays = "it holds tokens of this process; create one in the process that uses it"

    def __init__(self, make: Callable[[str], Credential], *, entries: int = 100_000) -> None:
        check_count("entries", entries, most=MOST_ENTRIES)
        self._make = make
        parts = 1 << ((entries - 1) // _PART).bit_length()
        room = entries if parts == 1 else int(entries / parts * _SLACK)
        # Readers take no lock: ``[]`` of a FIFO cache is one dict lookup and changes nothing. An
        # LRU cache would change its order with every lookup.
        self._parts: list[FIFOCache[str, Credential]] = [FIFOCache(room) for _ in range(parts)]
        self._last = parts - 1

    def token(self, name: str, timeout: float | None = None) -> Token:
        """Return a valid token; see ``Credential.token``.

        Args:
            name: The name of the credential; must not be empty.
            timeout: Longest wait in seconds.
        """
        try:
            credential = self._parts[hash(name) & self._last][name]
        except KeyError:
            credential = self._new(name)
        credential.used = True
        return credential.token(timeout)

    async def token_async(
        self,
        name: str,
        timeout: float | None = None,  # noqa: ASYNC109 - as token()
    ) -> Token:
        """Return a valid token without blocking the event loop; see ``token``."""
        return await self.credential(name).token_async(timeout)

    def credential(self, name: str) -> Credential:
        """Return the credential of a name.

        Raises:
            ConfigurationError: The name is empty or not text.
        """
        try:
            credential = self._parts[hash(name) & self._last][name]
        except KeyError:
            credential = self._new(name)
        credential.used = True
        return credential

    def invalidate(self, name: str, token: Token) -> None:
        """Report that a resource server rejected a token; see ``Credential.invalidate``."""
        self.credential(name).invalidate(token)

    def alive(self) -> bool:
        """Return whether any credential of the pool holds a usable token."""
        for part in self._parts:
            with _lock:
                held = list(part.values())
            if any(each.alive for each in held):
                return True
        return False

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def __repr__(self) -> str:
        room = sum(int(part.maxsize) for part in self._parts)
        return f"CredentialPool({len(self)} of {room} entries)"

    def _new(self, name: str) -> Credential:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(
                f"name: must be non-empty text, such as the name of a tenant, not {name!r}; "
                "otherwise all tenants without a name would share one token.",
                errors={"name": ["must not be empty"]},
            )
        made = self._make(name)
        part = self._parts[hash(name) & self._last]
        with _lock:
            try:
                return part[name]  # another thread added it first
            except KeyError:
                _make_room(part)
                part[name] = made
        return made


def _make_room(part: FIFOCache[str, Credential]) -> None:
    """Drop the oldest unused credential among the first candidates, if the part is full.

    Raises:
        StoreSaveError: All candidates hold tokens that have not been saved; nothing is dropped.
    """
    if len(part) < part.maxsize:
        return
    skipped: list[tuple[str, Credential]] = []
    try:
        while len(part) and len(skipped) < 2 * _SKIPPED_AT_MOST:
            name, credential = part.popitem()
            if not (credential.holds_the_only_copy() or credential.refreshing()):
                if not credential.used or len(skipped) >= _SKIPPED_AT_MOST:
                    return
                credential.used = False
            skipped.append((name, credential))
        # Rather drop a credential with a running refresh than reject the caller: waiting callers
        # still get its token, and the store has it then.
        for busy in (False, True):
            for at, (_, credential) in enumerate(skipped):
                if not credential.holds_the_only_copy() and credential.refreshing() <= busy:
                    del skipped[at]
                    return
    finally:
        part.update(skipped)
    raise StoreSaveError(
        f"The pool is full: all {len(skipped)} candidate entries hold tokens that have not been "
        "saved yet. Fix the store, or allow more entries."
    )
