"""End the connections of all users to a provider."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grantway._exceptions import GrantwayError

from .records import pages

if TYPE_CHECKING:
    from .connection import Connection
    from .service import Connections

#: Connections that are removed at once.
_AT_ONCE = 8


@dataclass(slots=True)
class Removal:
    """The result of removing connections.

    Attributes:
        removed: Number of connections that were removed.
        revoked: Number of those whose token the provider revoked.
        failed: Number of connections that could not be removed.
        problems: Different reasons for which tokens were not revoked or connections not removed.
    """

    removed: int = 0
    revoked: int = 0
    failed: int = 0
    problems: set[str] = field(default_factory=set)


async def connections_to(connections: Connections, provider: str) -> list[Connection]:
    """Return the connections of all users to a provider, which may not be in the file any more."""
    listed = [each async for page in pages(connections.records) for each in page]
    return [each for each in listed if each.provider == provider]


async def remove_all(connections: Connections, found: Sequence[Connection]) -> Removal:
    """Revoke and delete connections; see ``Connections.remove``. A failure does not end it."""
    result, limit = Removal(), asyncio.Semaphore(_AT_ONCE)

    async def remove(known: Connection) -> None:
        async with limit:
            try:
                done = await connections.remove(known.user, known.provider, by="operator")
            except GrantwayError as error:
                result.failed += 1
                result.problems.add(error.message)
                return
        result.removed += done.existed
        result.revoked += done.revoked
        if done.problem:
            result.problems.add(done.problem)

    await asyncio.gather(*(remove(each) for each in found))
    return result
