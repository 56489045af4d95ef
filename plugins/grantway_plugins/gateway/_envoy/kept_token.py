"""The token of a route, kept fresh without requests while Envoys use it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from grantway._exceptions import GrantwayError, WaitTimeoutError
from grantway._types.freshness import remaining
from grantway._types.token import Token
from grantway_plugins.gateway._running.shared_token import SharedToken

_log = logging.getLogger("grantway.gateway")

#: Longest time between two looks at the credential in seconds, and the time while it refreshes.
_TICK, _SOON = 1.0, 0.05


#: Returns the token of a route by its name, after at most some seconds; None if there is no route
#: with this name that gives all requests the same token.
Find = Callable[[str, float], Awaitable[SharedToken | None]]


class KeptToken:
    """The token of a route, for the streams that subscribed to it.

    Looking at the credential at least every second keeps it fresh, and finds tokens that a reload,
    a logout or another machine replaced.

    Args:
        name: Name of the route.
        find: Returns its token.

    Attributes:
        value: The value of the header; empty if there is no token; None until this is known.
        version: Number of the value, which grows with each change.
        wakes: Called after each change.
    """

    def __init__(self, name: str, find: Find) -> None:
        self.name = name
        self.value: str | None = None
        self.version = 0
        self.wakes: set[Callable[[], None]] = set()
        self._find = find
        self._token: Token | None = None
        self._task = asyncio.create_task(self._keep())

    def close(self) -> None:
        """Stop refreshing."""
        self._task.cancel()

    async def _keep(self) -> None:
        while True:  # noqa: ASYNC110 - nothing signals a refresh
            await asyncio.sleep(await self._look())

    async def _look(self) -> float:
        """Update the value, and return the seconds until the next look."""
        left = _TICK if self._token is None else max(0.0, remaining(self._token))
        try:
            found = await self._find(self.name, min(_TICK, left))
        except WaitTimeoutError:
            # The provider is slow: the last token stays in use until it expires.
            if self._token is not None and remaining(self._token) <= 0:
                self._lose("its provider does not respond")
            return 0.0
        except Exception as error:  # noqa: BLE001 - stores and secret sources may raise anything
            self._lose(error.code if isinstance(error, GrantwayError) else type(error).__name__)
            return _TICK
        if found is None:
            self._lose("it is not a route of this gateway that gives all requests the same token")
            return _TICK
        self._token = found.token
        self._set(found.value)
        return _SOON if found.refreshing else max(_SOON, min(_TICK, found.fresh_for))

    def _lose(self, reason: str) -> None:
        if self.value != "":
            _log.warning("Envoy gets no token of the route %s: %s", self.name, reason)
        self._token = None
        self._set("")

    def _set(self, value: str) -> None:
        if value != self.value:
            self.value = value
            self.version += 1
            for wake in self.wakes:
                wake()
