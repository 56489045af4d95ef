"""Encrypt all tokens and records of connections with the newest key."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from grantway._exceptions import GrantwayError, StoreSaveError

from .details import resealed
from .records import pages

if TYPE_CHECKING:
    from .connection import Connection
    from .service import Connections

#: Connections that are encrypted at once.
_AT_ONCE = 8
#: Rounds, because a gateway may save a token with an old key during the first one.
_ROUNDS = 3
#: Attempts to save a record that gateways change at the same time.
_ATTEMPTS = 5
#: Number of different errors that are reported.
_SHOWN = 5


@dataclass(slots=True)
class Reencryption:
    """The result of encrypting everything again.

    Attributes:
        connections: Number of connections.
        tokens: Number of tokens that were encrypted again.
        records: Number of records that were encrypted again.
        failed: Number of connections whose token or record still needs an old key.
        problems: Messages of the first different errors.
        absent: Number of connections by provider, for providers that are not in the file, and whose
            records do not name the tokens.
        finished: Whether nothing needs an old key any more.
    """

    connections: int = 0
    tokens: int = 0
    records: int = 0
    failed: int = 0
    problems: list[str] = field(default_factory=list)
    absent: Counter[str] = field(default_factory=Counter)
    finished: bool = False


async def reencrypt(connections: Connections) -> Reencryption:
    """Encrypt tokens and records with the newest key. Repeating it is harmless.

    Gateways may run meanwhile. Each token is locked while it is encrypted again, and a record that
    a gateway changes at the same time is read again.

    Raises:
        StoreError: The connections cannot be listed. What was done before is saved.
    """
    result = Reencryption()
    for _ in range(_ROUNDS):
        before = result.tokens + result.records
        result.connections, result.failed = 0, 0
        result.problems.clear()
        result.absent.clear()
        async for page in pages(connections.records):
            limit = asyncio.Semaphore(_AT_ONCE)
            await asyncio.gather(*(_limited(limit, connections, each, result) for each in page))
        if before == result.tokens + result.records:
            result.finished = not (result.failed or result.absent)
            break
        if result.failed:
            break
    return result


async def _limited(
    limit: asyncio.Semaphore, connections: Connections, each: Connection, result: Reencryption
) -> None:
    async with limit:
        result.connections += 1
        try:
            record = await _record(connections, each)
            result.records += record  # not in one statement, which would lose counts meanwhile
            token = await connections.tokens.reencrypt(each)
            if token is None:
                result.absent[each.provider] += 1
            result.tokens += bool(token)
        except GrantwayError as error:
            result.failed += 1
            problem = f"{each.provider}: {error.message}"
            if problem not in result.problems and len(result.problems) < _SHOWN:
                result.problems.append(problem)


async def _record(connections: Connections, known: Connection | None) -> bool:
    """Encrypt the details of a record again; return False if the newest key did it before."""
    about = ("", "") if known is None else (known.user, known.provider)
    for _ in range(_ATTEMPTS):
        if known is None:
            return False  # disconnected meanwhile
        details = resealed(known.details, connections.sealed, *about)
        if details is None:
            return False
        if await connections.records.change(replace(known, details=details)):
            return True
        known = await connections.records.connection(*about)
    raise StoreSaveError("The record was changed by gateways again and again; run this again.")
