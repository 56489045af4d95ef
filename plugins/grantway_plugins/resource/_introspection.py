"""Ask an issuer about its tokens (RFC 7662)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from grantway._exceptions import ConfigurationError, GrantwayError
from grantway._processes.copies import OneProcess
from grantway._requests.client import Client

from ._errors import VerificationUnavailableError

#: Maximum number of requests at once, and of tokens that wait for one.
THREADS, WAITING = 8, 256
#: Minimum seconds between two attempts to create the client.
PAUSE = 10.0

_Answer = Mapping[str, Any] | str


class Introspector(OneProcess):
    """Asks an issuer about its tokens, in threads, and once for all requests with a token.

    Args:
        issuer: The issuer, for errors.
        client: The client that asks, or a function that creates it.
    """

    def __init__(self, issuer: str, client: Client | Callable[[], Client]) -> None:
        self._issuer = issuer
        self._client = client if isinstance(client, Client) else None
        self._create = None if isinstance(client, Client) else client
        self._problem, self._failed_at = "", float("-inf")
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="grantway-introspection")
        self._lock = threading.Lock()
        self._creating = threading.Lock()
        self._asking: dict[bytes, Future[_Answer]] = {}

    def members(
        self, token: str, digest: bytes
    ) -> Generator[Future[_Answer], _Answer, Mapping[str, Any]]:
        """Return the members of the introspection response.

        Args:
            token: The token.
            digest: Identifies the token.

        Raises:
            VerificationUnavailableError: The issuer gave no response, or too many tokens wait.
        """
        answer = yield self._ask(token, digest)
        if isinstance(answer, str):
            raise VerificationUnavailableError(f"Introspection at {self._issuer} failed: {answer}.")
        return answer

    def close(self) -> None:
        """Stop the threads, and close the client if this object created it."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None and self._create is not None:
            self._client.close()

    def _ask(self, token: str, digest: bytes) -> Future[_Answer]:
        with self._lock:
            asking = self._asking.get(digest)
            if asking is not None:
                return asking
            if len(self._asking) >= THREADS + WAITING:
                raise VerificationUnavailableError(
                    f"Too many tokens wait for introspection at {self._issuer}."
                )
            asking = self._asking[digest] = Future[_Answer]()
        asking.set_running_or_notify_cancel()  # a request that stops waiting cancels nothing
        try:
            self._threads.submit(self._run, token, digest, asking)
        except RuntimeError:  # no thread can be started, or the threads were stopped
            self._finish(digest, asking, "no thread can be started")
        return asking

    def _run(self, token: str, digest: bytes, asking: Future[_Answer]) -> None:
        answer: _Answer
        try:
            answer = self._connected().call(
                "introspection", token=token, token_type_hint="access_token"
            )
        except GrantwayError as error:
            answer = f"{error.code}, {error.message.rstrip('.')}"
        except Exception as error:  # noqa: BLE001 - requests must not wait forever
            answer = f"unexpected {type(error).__name__}"
        self._finish(digest, asking, answer)

    def _finish(self, digest: bytes, asking: Future[_Answer], answer: _Answer) -> None:
        with self._lock:
            del self._asking[digest]
        asking.set_result(answer)

    def _connected(self) -> Client:
        """Return the client; create it first, but not again immediately after a failure."""
        with self._creating:
            if self._client is None:
                assert self._create is not None  # one of them is given
                if time.monotonic() - self._failed_at < PAUSE:
                    raise ConfigurationError(self._problem)
                try:
                    self._client = self._create()
                except GrantwayError as error:
                    self._problem, self._failed_at = error.message, time.monotonic()
                    raise
            return self._client
