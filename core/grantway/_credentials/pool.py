"""Many credentials by name: bounded, and as quick with a million as with one."""

from __future__ import annotations

from collections.abc import Callable

from cachetools import FIFOCache

from grantway._exceptions import ConfigurationError, StoreSaveError
from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway._types.quantity import MOST_ENTRIES, check_count
from grantway._types.token import Token

from .credential import Credential

#: Entries in use that are passed over to find one that is not, so that no caller waits long.
_CHANCES = 16
#: Names in one part. A dict is rebuilt as a whole now and then as it changes, and nobody runs
#: meanwhile: a million entries take some 50 ms, and these a fraction of one.
_PART = 4096
#: Names do not fall into parts evenly, so that each gets some more room than its share.
_SLACK = 1.125

#: Held while a name comes in and another goes out, of whichever pool: that is quickly done.
_lock = fork_safe_lock()


class CredentialPool(OneProcess):
    """Credentials made when they are first asked for, one a name: a tenant, a user, a route.

    Past its bound, one that nobody asked for lately is forgotten (first in, first out, with a
    second chance for those in use); its token is in the store, if there is one, and comes back
    from there.

    Args:
        make: Makes the credential of a name, and must make a different one for each, as with
            ``subject=name``. Sends nothing, so it may run while others wait.
        entries: Credentials that are kept at most; past 4,096, up to an eighth more.

    Raises:
        ConfigurationError: ``entries`` is not a whole number from 1.
    """

    __slots__ = ("_last", "_make", "_parts")

    stays = "it holds tokens of this process; make one in the process that uses it"

    def __init__(self, make: Callable[[str], Credential], *, entries: int = 100_000) -> None:
        check_count("entries", entries, most=MOST_ENTRIES)
        self._make = make
        parts = 1 << ((entries - 1) // _PART).bit_length()
        room = entries if parts == 1 else int(entries / parts * _SLACK)
        # A reader looks into a part without a lock, which its ``[]`` allows: that is one lookup
        # in a dict and changes nothing. (An LRU cache changes its order with every look.)
        self._parts: list[FIFOCache[str, Credential]] = [FIFOCache(room) for _ in range(parts)]
        self._last = parts - 1

    def token(self, name: str, timeout: float | None = None) -> Token:
        """A valid token; see ``Credential.token``.

        Args:
            name: Whose; empty is refused.
            timeout: Seconds to wait at most.
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
        """As ``token``, for event loops."""
        return await self.credential(name).token_async(timeout)

    def credential(self, name: str) -> Credential:
        """The credential of a name.

        Raises:
            ConfigurationError: the name is empty: a token for nobody would be one for everybody.
        """
        try:
            credential = self._parts[hash(name) & self._last][name]
        except KeyError:
            credential = self._new(name)
        credential.used = True
        return credential

    def invalidate(self, name: str, token: Token) -> None:
        """Say that a token did not work where it was used; see ``Credential.invalidate``."""
        self.credential(name).invalidate(token)

    def alive(self) -> bool:
        """Whether the pool holds a token that works now, so that ``token`` needs no store for it.

        Looks at each credential until one has such a token.
        """
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
                f"name: a text that is not empty, such as a tenant's, not {name!r}; a token for "
                "nobody would be one for everybody.",
                errors={"name": ["must not be empty"]},
            )
        made = self._make(name)
        part = self._parts[hash(name) & self._last]
        with _lock:
            try:
                return part[name]  # another thread was first
            except KeyError:
                _make_room(part)
                part[name] = made
        return made


def _make_room(part: FIFOCache[str, Credential]) -> None:
    """Forget one, if the part is full: the oldest that is not in use, as far as one looks.

    Raises:
        StoreSaveError: each holds a token that the store did not take. Nothing is forgotten.
    """
    if len(part) < part.maxsize:
        return
    passed: list[tuple[str, Credential]] = []
    try:
        while len(part) and len(passed) < 2 * _CHANCES:
            name, credential = part.popitem()
            if not (credential.holds_the_only_copy() or credential.under_way()):
                if not credential.used or len(passed) >= _CHANCES:
                    return
                credential.used = False
            passed.append((name, credential))
        # One whose token is on its way goes before any caller is turned away: who waits for it
        # gets it, and the store has it then.
        for busy in (False, True):
            for at, (_, credential) in enumerate(passed):
                if not credential.holds_the_only_copy() and credential.under_way() <= busy:
                    del passed[at]
                    return
    finally:
        part.update(passed)
    raise StoreSaveError(
        f"There is no room for another credential: {len(passed)} that were looked at wait for the "
        "store to take their tokens, which would else be lost. Mend the store, or allow more "
        "entries."
    )
