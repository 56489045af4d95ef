"""Send one webhook once."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from grantway._exceptions import (
    GrantwayError,
    ResponseTooLargeError,
    SecretUnavailableError,
)
from grantway._processes.copies import OneProcess
from grantway._requests.cached_source import CachedSource
from grantway._secrets.masked import Masked
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, require_secure, retry_after

from .signing import parse_secrets, signed_headers

if TYPE_CHECKING:
    from grantway._transport.transport import HttpTransport

#: Seconds for one attempt, as the specification recommends.
TIMEOUT = 20.0
_SUCCESS = range(200, 300)
#: The receiver wants no more messages.
_GONE = 410
#: Seconds between two attempts of one message: eight attempts in about a day.
DELAYS = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 28_800.0, 28_800.0)
#: Longest ``Retry-After`` that is honoured, in seconds.
_LONGEST_RETRY_AFTER = 28_800.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of one attempt.

    Attributes:
        result: ``delivered``; ``failed``, which is tried again; or ``refused`` for good.
        reason: Status or error code of an attempt that failed.
        retry_after: Shortest time in seconds until the next attempt.
    """

    result: Literal["delivered", "failed", "refused"]
    reason: str = ""
    retry_after: float = 0.0

    def next_in(self, attempts: int) -> float | None:
        """Return the seconds until the next attempt, or None if there is none.

        Args:
            attempts: Number of attempts so far.
        """
        if self.result != "failed" or attempts > len(DELAYS):
            return None
        # At different times, so that messages that failed together do not return together.
        spread = random.uniform(1.0, 1.2)  # noqa: S311 - it protects nothing
        return max(DELAYS[attempts - 1] * spread, min(self.retry_after, _LONGEST_RETRY_AFTER))


class Webhook(OneProcess):
    """Sends messages to one URL. Redirects are not followed.

    Args:
        url: An https URL, or an http URL of this machine.
        secret: The secret, or its source, which is read again when it changes.
        transport: Sends the requests.

    Raises:
        ConfigurationError: The URL or the secret is not valid.
    """

    def __init__(self, url: str, secret: str | CachedSource, transport: HttpTransport) -> None:
        self._host = require_secure(url, "url")
        self._url = url
        self._source = secret if isinstance(secret, CachedSource) else None
        self._keys = None if isinstance(secret, CachedSource) else parse_secrets(secret)
        self._transport = transport

    async def send(self, message_id: str, body: bytes) -> Delivery:
        """Send a message. Failures are results, not exceptions.

        Args:
            message_id: Identifier of the message, the same for each attempt.
            body: A JSON object.
        """
        try:
            headers = signed_headers(message_id, time.time(), body, await self._current_keys())
            headers["Content-Type"] = "application/json"
            request = HttpRequest("POST", self._url, headers, body)
            response = await self._transport.send_async(request, Deadline(TIMEOUT))
            status, given = response.status, response.headers
        except ResponseTooLargeError as error:  # only the status matters
            status, given = error.evidence.status or 0, {}
        except GrantwayError as error:
            return Delivery("failed", error.code)
        if status in _SUCCESS:
            return Delivery("delivered")
        if status == _GONE:
            return Delivery("refused", str(status))
        return Delivery("failed", str(status), retry_after(given) or 0.0)

    def check(self) -> None:
        """Check a secret that a source provides, if it can be read now.

        Raises:
            ConfigurationError: The secret is not valid.
        """
        if self._source is not None:
            try:
                parse_secrets(self._source.read().value)
            except SecretUnavailableError:
                return  # read again for each message

    async def _current_keys(self) -> Masked[tuple[bytes, ...]]:
        if self._source is None:
            assert self._keys is not None
            return self._keys
        secret = self._source.fresh()
        if secret is None:
            secret = await asyncio.wrap_future(self._source.begin())
        return parse_secrets(secret.value)

    def close(self) -> None:
        """Close idle connections, including those of event loops."""
        self._transport.close()

    def __repr__(self) -> str:
        return f"Webhook({self._host!r})"  # the rest of the URL may be a secret
