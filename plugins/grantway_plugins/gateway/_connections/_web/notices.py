"""Messages that a page shows once, after a form or a login."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from grantway._exceptions import StoreError

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.device_logins import DeviceLogin
    from grantway_plugins.gateway._connections.outcomes import Connected, Disconnected
    from grantway_plugins.gateway._connections.service import Connections

    from .sessions import BoundSession

#: Query parameter of a page that shows a message.
MARKER = "done"
_SECONDS = 300.0


class Notices:
    """Keeps the messages, so that no address can make a page show another text.

    Args:
        connections: The connections.
    """

    def __init__(self, connections: Connections) -> None:
        self._records, self._sealed = connections.records, connections.sealed
        self._clock = connections.clock

    async def keep(self, session: BoundSession, provider: str, text: str) -> None:
        """Save the message of a provider's page."""
        key = _key(session, provider)
        sealed = self._sealed.seal({"text": text}, key)
        await self._records.keep(key, sealed, self._clock() + _SECONDS)

    async def take(self, session: BoundSession, provider: str) -> str:
        """Return the message, and remove it; empty if there is none."""
        key = _key(session, provider)
        try:
            taken = await self._records.take(key, self._clock())
            return "" if taken is None else str(self._sealed.open(taken, key)["text"])
        except StoreError:
            return ""


def _key(session: BoundSession, provider: str) -> str:
    return f"notice {hashlib.sha256(session.id.encode()).hexdigest()} {provider}"


def connected_text(title: str, result: Connected) -> str:
    """Return the message about a new connection."""
    account = f" as {result.account}" if result.account else ""
    texts = [f"Your account at {title} is connected{account}."]
    if result.before:
        texts.append(
            f"Before, {result.before} was connected. If you did not intend to change the account, "
            f"connect again with {result.before}."
        )
    if result.missing_scope:
        texts.append(
            f"{title} did not allow everything that was requested, so some requests may fail."
        )
    return " ".join(texts)


def disconnected_text(title: str, result: Disconnected) -> str:
    """Return the message about a removed connection."""
    if not result.existed:
        return f"No account at {title} was connected."
    if result.revoked:
        return f"Your account at {title} is disconnected, and the access is revoked there."
    return (
        f"Your account at {title} is disconnected here, but the access was not revoked there "
        f"({result.problem}). Remove this site from the connected applications at {title}."
    )


_PROBLEMS = {
    "expired_token": "The code was not entered in time. Start again.",
    "access_denied": "The access was denied. Nothing has changed. Start again if you did not "
    "intend this.",
}
_PROBLEM = "The login failed ({}). Start again; if it still fails, tell the operator of this site."


def device_problem(login: DeviceLogin | None) -> str:
    """Return why a login with a device code failed; empty if it did not."""
    if login is None or not login.problem:
        return ""
    return _PROBLEMS.get(login.problem) or _PROBLEM.format(login.problem)
