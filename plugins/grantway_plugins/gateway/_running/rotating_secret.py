"""A client's secret in a file that is replaced now and then, while the gateway runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from grantway._exceptions import ConfigurationError, InvalidClientException
from grantway._requests.client_auth import ClientAuth
from grantway_plugins._config.file_signature import file_signature

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._requests.middleware import Next
    from grantway._requests.outgoing_request import OutgoingRequest
    from grantway._wire.provider_response import ProviderResponse

_log = logging.getLogger("grantway.gateway")


class RotatingSecret:
    """Proves who the client is, by the secret that stands in a file at the moment.

    The file is looked at before each request to the provider. While it is away, empty or
    unreadable, as when it is just being written, the last secret counts.

    Args:
        path: The file.
        read: Reads the secret; raises ``ConfigurationError``.
        make: Makes the client authentication of a secret.

    Raises:
        ConfigurationError: the file cannot be read, or holds no secret.
    """

    def __init__(
        self, path: Path, read: Callable[[], str], make: Callable[[str], ClientAuth]
    ) -> None:
        self._path, self._read, self._make = path, read, make
        self._lock = threading.Lock()
        self._stamp = file_signature(self._path)
        self._auth = make(read())
        self._before: tuple[str, ...] = ()
        #: How often another secret was found.
        self.rotations = 0

    @property
    def client_id(self) -> str:
        """The client's public name."""
        return self._auth.client_id

    def authenticate(self, request: OutgoingRequest) -> None:
        """See ``grantway._requests.client_auth.ClientAuth``."""
        self.look()
        self._auth.authenticate(request)

    def secrets(self) -> tuple[str, ...]:
        """The secret, and the one before: a request under way may hold it."""
        return (*self._auth.secrets(), *self._before)

    def look(self) -> None:
        """Take up another secret if there is one."""
        stamp = file_signature(self._path)
        if stamp == self._stamp:
            return
        with self._lock:
            if stamp == self._stamp:
                return
            try:
                auth = self._make(self._read())
            except ConfigurationError as error:
                _log.warning("the last secret is used on: %s", error)
                return
            if set(auth.secrets()) != set(self._auth.secrets()):
                self._before = self._auth.secrets()
                self._auth = auth
                self.rotations += 1
                _log.info("another secret of client %s was found", auth.client_id)
            # Last: who sees the new stamp does not look again.
            self._stamp = stamp

    def __repr__(self) -> str:
        return f"RotatingSecret({str(self._path)!r})"


def once_more_with_another_secret(exchange: Exchange, call_next: Next) -> ProviderResponse:
    """Send once more where the secret was refused and another has come meanwhile; a middleware.

    Who is refused for its secret has spent nothing, so that is safe for every grant.
    """
    auth = exchange.client
    if not isinstance(auth, RotatingSecret):
        return call_next(exchange)
    before = auth.rotations
    try:
        return call_next(exchange)
    except InvalidClientException:
        auth.look()
        if auth.rotations == before:
            raise
    return call_next(exchange)
