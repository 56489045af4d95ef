"""Deliver a webhook that reports a broken connection."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from grantway_plugins.gateway._connections._webhook.message import BrokenMessage
from grantway_plugins.gateway._connections.details import Details

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.records import Job
    from grantway_plugins.gateway._connections.service import Connections

_log = logging.getLogger("grantway.gateway")


async def deliver(connections: Connections, job: Job) -> None:
    """Send the message of a claimed job, and plan the next attempt if it fails.

    A message is sent at least once. It is dropped without being sent if the connection is not
    broken any more, or if the file no longer has a webhook.

    Raises:
        StoreError: The records failed. Another attempt follows when the claim ends.
    """
    message = BrokenMessage.of(job)
    known = await connections.records.connection(message.user, message.provider)
    webhook = connections.webhook
    if webhook is None or known is None or known.state != "broken":
        await connections.records.finish(job.id)
        return
    details = Details.opened(known.details, connections.sealed, known.user, known.provider)
    url = connections.settings.page(known.provider)
    result = await webhook.send(message.id, message.body(details, url))
    delay = result.next_in(job.attempts)
    if delay is not None:
        connections.observer.webhook("failed")
        await connections.records.schedule(replace(job, due_at=connections.clock() + delay))
        return
    connections.observer.webhook("given_up" if result.result == "failed" else result.result)
    if result.result != "delivered":
        _log.error(
            "The webhook %s about a broken connection to %s was not delivered (%s) and is not "
            "sent again",
            message.id,
            message.provider,
            result.reason,
        )
    await connections.records.finish(job.id)
