"""Find the issuer of a resource, and find it again after a failure."""

from __future__ import annotations

import contextvars
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

from grantway._exceptions import (
    FlowCancelledError,
    GrantwayError,
    ResourceMetadataError,
    TransportError,
)
from grantway._log import logger
from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway._requests.provider import Provider
from grantway._transport.deadline import Deadline

from .record import ResourceRecord, same_issuer_and_resource
from .settings import ResourceSettings

if TYPE_CHECKING:
    from .clients import Session

#: Seconds during which the challenge of a response is used instead of another request.
_CHALLENGE_LIFETIME = 60.0
#: Least seconds between two reads of the metadata because of rejected tokens or failed requests.
_INTERVAL = 60.0
#: Seconds of one wait for a read that can be cancelled.
_WAIT = 60.0

_guard = fork_safe_lock()


class ResourceFinder(OneProcess):
    """Finds the issuer of a resource.

    Args:
        settings: The program's settings.
    """

    stays = "it has connections"

    def __init__(self, settings: ResourceSettings) -> None:
        self._settings = settings
        #: Monotonic time at which the metadata was read because of a failure.
        self._rediscovered_at = -math.inf
        #: Monotonic time and challenge of the last 401 response.
        self._last_challenge: tuple[float, str] = (-math.inf, "")

    def record_challenge(self, challenges: str) -> None:
        """Record the challenge of a 401 response, which the next search uses."""
        self._last_challenge = time.monotonic(), challenges

    def discover(
        self, record: ResourceRecord | None, cancel: threading.Event | None = None
    ) -> Provider:
        """Return the provider that the resource names now.

        If the metadata cannot be read at the moment, it is the stored one.

        Args:
            record: The stored record, or None.
            cancel: Set when no caller waits any more.

        Raises:
            FlowCancelledError: ``cancel`` was set.
            ResourceMetadataError: The metadata is invalid, or there is none yet.
            TransportError: It could not be read, and nothing is stored.
        """
        try:
            return self._read() if cancel is None else _cancellable(self._read, cancel)
        except TransportError as error:
            invalid_now = isinstance(error, ResourceMetadataError) and not error.missing
            if record is None or invalid_now:
                raise
            logger.info("%s could not be discovered again (%s)", self._settings.url, error.code)
            return record.provider

    def _read(self) -> Provider:
        settings, (challenged_at, challenge) = self._settings, self._last_challenge
        return Provider.for_resource(
            settings.url,
            issuer=settings.issuer,
            challenge=challenge if time.monotonic() - challenged_at < _CHALLENGE_LIFETIME else None,
            timeout=settings.timeout,
            transport=settings.transport(),
        )

    def _may_rediscover(self) -> bool:
        """Return whether the metadata may be read because of a failure; not if it just was."""
        now = time.monotonic()
        with _guard:
            if now - self._rediscovered_at < _INTERVAL:
                return False
            self._rediscovered_at = now
        return True

    def other_issuer(self, session: Session, cancel: threading.Event) -> Provider | None:
        """Return the provider if the resource names another issuer or identifier now."""
        found = self._rediscover(session, cancel)
        return None if found is None or same_issuer_and_resource(found, session.provider) else found

    def other_endpoints(self, session: Session, cancel: threading.Event) -> Provider | None:
        """Return the provider if the same issuer has another token endpoint now."""
        found, before = self._rediscover(session, cancel), session.provider
        if found is None or found.issuer != before.issuer:
            return None
        if found.token_endpoint == before.token_endpoint:
            return None
        return replace(found, resource=before.resource)  # the token is still for this one

    def _rediscover(self, session: Session, cancel: threading.Event) -> Provider | None:
        """Return the provider that the resource names now; None after a recent read or an error."""
        if not self._may_rediscover():
            return None
        try:
            return self.discover(ResourceRecord(session.provider), cancel)
        except FlowCancelledError:
            with _guard:
                self._rediscovered_at = -math.inf
            raise
        except GrantwayError as error:  # it must not replace the response
            logger.warning("%s", error)
        return None


def _cancellable(read: Callable[[], Provider], cancel: threading.Event) -> Provider:
    """Call a function, but stop waiting when ``cancel`` is set.

    It runs in a daemon thread, so that a server that does not respond does not delay the end of the
    program. It must not store anything.

    Raises:
        FlowCancelledError: ``cancel`` was set.
    """
    found: Future[Provider] = Future()

    def run() -> None:
        try:
            found.set_result(read())
        except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
            found.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(
        target=context.run, args=(run,), name="grantway-discovery", daemon=True
    ).start()
    deadline = Deadline(math.inf, cancel)
    while not found.done():
        if deadline.wait(_WAIT, found) and not found.done():
            raise FlowCancelledError("The search for the issuer was cancelled.")
    return found.result()
