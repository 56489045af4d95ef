"""A client secret in a file that may be replaced while the gateway runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

from grantway._exceptions import ConfigurationError, InvalidClientException
from grantway._requests.client_auth import ClientAuth
from grantway_plugins._file_signature import file_signature

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._requests.outgoing_request import OutgoingRequest
    from grantway._wire.provider_response import ProviderResponse

_log = logging.getLogger("grantway.gateway")


class RotatingSecret:
    """Client authentication with the current secret in a file.

    The file is checked before each request to the provider. While it is missing, empty or
    unreadable, for example while it is being written, the last secret is used.

    Args:
        path: The file.
        read: Reads the secret; raises ``ConfigurationError``.
        make: Creates the client authentication for a secret.

    Raises:
        ConfigurationError: The file cannot be read, or contains no secret.
    """

    def __init__(
        self, path: Path, read: Callable[[], str], make: Callable[[str], ClientAuth]
    ) -> None:
        self._path, self._read, self._make = path, read, make
        self._lock = threading.Lock()
        self._signature = file_signature(self._path)
        self._auth = make(read())
        self._before: tuple[str, ...] = ()
        #: Number of times that the secret has changed.
        self.rotations = 0

    @property
    def client_id(self) -> str:
        """The client ID."""
        return self._auth.client_id

    def authenticate(self, request: OutgoingRequest) -> None:
        """Authenticate the request with the current secret."""
        self.look()
        self._auth.authenticate(request)

    def secrets(self) -> tuple[str, ...]:
        """Return the secret and the previous one, which a request in progress may contain."""
        return (*self._auth.secrets(), *self._before)

    def look(self) -> None:
        """Load the secret again if the file has changed."""
        signature = file_signature(self._path)
        if signature == self._signature:
            return
        with self._lock:
            if signature == self._signature:
                return
            try:
                auth = self._make(self._read())
            except ConfigurationError as error:
                _log.warning("Keeping the last secret: %s", error)
                return
            if set(auth.secrets()) != set(self._auth.secrets()):
                self._before = self._auth.secrets()
                self._auth = auth
                self.rotations += 1
                _log.info("The secret of client %s has changed", auth.client_id)
            # Last, because threads that see the new signature do not check the file again.
            self._signature = signature

    def __repr__(self) -> str:
        return f"RotatingSecret({str(self._path)!r})"


def retry_with_new_secret(
    exchange: Exchange,
) -> Generator[Exchange, ProviderResponse, ProviderResponse]:
    """Retry once if the provider rejects the secret and the file has a new one (a middleware).

    A request with a rejected secret has no effect, so this is safe for every grant.
    """
    auth = exchange.client
    if not isinstance(auth, RotatingSecret):
        return (yield exchange)
    before = auth.rotations
    try:
        return (yield exchange)
    except InvalidClientException:
        auth.look()
        if auth.rotations == before:
            raise
    return (yield exchange)
