"""A machine of a fleet: a process whose threads share one credential.

Run ``python worker.py``. The first line of input contains the arguments of ``Worker``. Each further
line is a command such as ``{"do": "request"}``, whose result is printed as one line.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tests.fleet.clock import CLOCK

CLOCK.install()

from grantway import Client, Provider, RetryPolicy, Token  # noqa: E402 - after installing the clocks
from grantway._exceptions import GrantwayError  # noqa: E402
from grantway._transport.deadline import Deadline  # noqa: E402
from grantway._transport.http import HttpRequest, HttpResponse  # noqa: E402
from grantway._transport.transport import HttpTransport  # noqa: E402
from grantway_plugins.stores._plugin import grantway_register_stores  # noqa: E402

if TYPE_CHECKING:
    from grantway._types.store import Store

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
#: Seconds between two polls.
_POLL = 0.01


def open_store(kind: str, options: dict[str, Any]) -> Store:
    """Return a new store instance."""
    return grantway_register_stores()[kind](**options)


class Worker:
    """The state of one machine.

    Args:
        issuer: Address of the issuer.
        client_id: Client ID that all machines use.
        client_secret: Secret of that client.
        store: Name and options of the store, or None.
        threads: Number of threads that request tokens at once.
        stop_at: Place to stop once: ``before`` sending the refresh request, ``between`` receiving
            the response and saving it, or ``after`` saving it. The machine prints a notification
            and continues after the next line of input.
        recheck: Seconds after which a held token is compared with the stored one.
    """

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        client_secret: str,
        store: tuple[str, dict[str, Any]] | None,
        threads: int,
        stop_at: str = "",
        recheck: float | None = None,
    ) -> None:
        self._stop_at = stop_at
        self._client = Client(
            Provider(issuer=issuer, token_endpoint=f"{issuer}/token"),
            client_id=client_id,
            client_secret=client_secret,
            transport=_Stopping(self._stop),
            retry=RetryPolicy(attempts=1),  # retries have separate tests
        )
        self._store = None if store is None else open_store(*store)
        self._credential = self._client.credential(
            grant_type=GRANT_TYPE,
            subject="fleet",
            store=self._store,
            on_token=self._saved,
            recheck=recheck,
        )
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)
        self._barrier = threading.Barrier(threads)

    def request(self, timeout: float | None = None) -> dict[str, Any]:
        """Request a token in every thread at once."""
        return self._all(self._request, timeout)

    def poll(self, rounds: int) -> dict[str, Any]:
        """Poll in every thread until it has seen a number of distinct tokens."""
        return self._all(self._poll, rounds)

    def invalidate(self, rejected: list[str]) -> None:
        """Invalidate the current token if it is one of the rejected ones."""
        token = self._credential.token()
        if token.access_token in rejected:
            self._credential.invalidate(token)

    def wait_for_refreshes(self) -> str | None:
        """Wait for background refreshes, and return the class name of the last error."""
        for thread in threading.enumerate():
            if thread.name == "grantway-refresh":
                thread.join()
        error = self._credential.last_error
        return None if error is None else type(error).__name__

    def accept(self, **token: Any) -> None:
        """Accept the token of a login."""
        self._credential.accept(Token(**token))

    def forget(self) -> None:
        """Log out."""
        self._credential.forget()

    def limit(self, size: int | None) -> None:
        """Limit the size of files in bytes, to simulate a full disk; None removes the limit."""
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    def execute(self, arguments: dict[str, Any]) -> Any:
        """Execute a command, and return its result.

        Args:
            arguments: ``do``, the method; ``pass`` and ``wrong``, seconds for the clocks; and the
                arguments of the method.
        """
        CLOCK.passed += arguments.pop("pass", 0.0)
        CLOCK.wrong = arguments.pop("wrong", CLOCK.wrong)
        return getattr(self, arguments.pop("do"))(**arguments)

    def close(self) -> None:
        """Close the client, the store and the threads."""
        self._pool.shutdown()
        self._client.close()
        close = getattr(self._store, "close", None)
        if close is not None:
            close()

    def _all(self, work: Any, argument: Any) -> dict[str, Any]:
        began = time.perf_counter()
        found: list[Any] = list(self._pool.map(work, [argument] * self._threads))
        return {
            "tokens": sorted({token for tokens, _error in found for token in tokens}),
            "errors": sorted(error for _tokens, error in found if error),
            "seconds": time.perf_counter() - began,
        }

    def _request(self, timeout: float | None) -> tuple[list[str], str]:
        self._barrier.wait()
        try:
            return [self._token(timeout)], ""
        except GrantwayError as error:
            return [], type(error).__name__

    def _poll(self, rounds: int) -> tuple[list[str], str]:
        self._barrier.wait()
        seen: dict[str, None] = {}
        while len(seen) < rounds:
            try:
                seen[self._token(None)] = None
            except GrantwayError as error:
                return list(seen), type(error).__name__
            time.sleep(_POLL)
        return list(seen), ""

    def _token(self, timeout: float | None) -> str:
        requested_at = time.time()
        token = self._credential.token(timeout)
        # Compare with the time of the request: a busy machine may have paused this thread since.
        if token.expires_at is None or token.expires_at <= requested_at:
            raise AssertionError("an expired token was returned")
        return token.access_token

    def _saved(self, _token: Token) -> None:
        self._stop("after")

    def _stop(self, place: str) -> None:
        if place == self._stop_at:
            self._stop_at = ""
            reply({"at": place})
            sys.stdin.readline()  # the main thread waits for this thread and does not read


class _Stopping(HttpTransport):
    """A transport that stops before sending a request and after receiving the response."""

    def __init__(self, stop: Any) -> None:
        super().__init__()
        self._stop = stop

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        self._stop("before")
        response = super().send(request, deadline)
        self._stop("between")
        return response


def reply(what: object) -> None:
    """Print a value as one line of JSON."""
    print(json.dumps(what), flush=True)


def main() -> None:
    """Execute the commands from standard input."""
    with ExitStack() as stack:
        worker = Worker(**json.loads(sys.stdin.readline()))
        stack.callback(worker.close)
        reply({"ready": os.getpid()})
        for line in iter(sys.stdin.readline, ""):
            reply(worker.execute(json.loads(line)))


if __name__ == "__main__":
    main()
