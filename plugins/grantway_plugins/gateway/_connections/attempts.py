"""Logins at providers that users have started in a browser and not finished."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from grantway._exceptions import StoreUnreadableError
from grantway._processes.copies import Value

if TYPE_CHECKING:
    from .service import Connections


@dataclass(frozen=True, slots=True)
class Attempt(Value):
    """A login at a provider that a user has started.

    Attributes:
        user: ``User.id`` of the user.
        redirect_uri: The redirect URI of the provider.
        state: Identifies the login in the redirect; a secret.
        code_verifier: The PKCE verifier; a secret.
    """

    user: str
    redirect_uri: str
    state: str = field(repr=False)
    code_verifier: str = field(repr=False)

    def has_state(self, state: str) -> bool:
        """Return whether a redirect belongs to this login."""
        return hmac.compare_digest(state.encode("utf-8", "replace"), self.state.encode())


class Attempts:
    """Keeps one login per session and provider, so that abandoned ones cannot pile up.

    A login can be finished only in the session that started it, and only once.

    Args:
        connections: The connections.
    """

    def __init__(self, connections: Connections) -> None:
        self._records, self._sealed = connections.records, connections.sealed
        self._clock = connections.clock
        self._seconds = connections.settings.login_seconds

    async def keep(self, session_id: str, provider: str, attempt: Attempt) -> None:
        """Save a login in place of an earlier one."""
        key = _key(session_id, provider)
        await self._records.keep(
            key, self._sealed.seal(asdict(attempt), key), self._clock() + self._seconds
        )

    async def find(self, session_id: str, provider: str) -> Attempt | None:
        """Return a login that can still be finished, or None."""
        key = _key(session_id, provider)
        kept = await self._records.kept(key, self._clock())
        return None if kept is None else self._opened(kept, key)

    async def take(self, session_id: str, provider: str, attempt: Attempt) -> bool:
        """Return whether this caller may finish a login; of several, only one may."""
        key = _key(session_id, provider)
        taken = await self._records.take(key, self._clock())
        return taken is not None and self._opened(taken, key) == attempt

    def _opened(self, text: str, key: str) -> Attempt | None:
        try:
            return Attempt(**self._sealed.open(text, key))
        except StoreUnreadableError:  # its key was removed
            return None


def _key(session_id: str, provider: str) -> str:
    return f"attempt {hashlib.sha256(session_id.encode()).hexdigest()} {provider}"
