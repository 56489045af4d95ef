"""A machine of a fleet: a process whose threads share one credential; told what to do in lines.

``python worker.py``: the first line says who it is, see ``Worker``; each further one is an order,
``{"do": "ask"}``, that is answered with a line.
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

from tests.fleet.clock import Clock

CLOCK = Clock()
CLOCK.install()

from grantway import Client, Provider, RetryPolicy, Token  # noqa: E402 - by these clocks
from grantway._exceptions import GrantwayError  # noqa: E402
from grantway._transport.deadline import Deadline  # noqa: E402
from grantway._transport.http import HttpRequest, HttpResponse  # noqa: E402
from grantway._transport.transport import RequestsTransport  # noqa: E402
from grantway_plugins.stores._plugin import grantway_register_stores  # noqa: E402

if TYPE_CHECKING:
    from grantway._types.store import Store

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
#: Seconds between two looks of a thread that polls.
_POLL = 0.01


def open_store(kind: str, options: dict[str, Any]) -> Store:
    """The store that each machine of a fleet opens for itself."""
    return grantway_register_stores()[kind](**options)


class Worker:
    """What this machine holds.

    Args:
        issuer: The provider's address.
        client_id: Who all machines are.
        client_secret: And their secret.
        store: Name and options of the store, or None.
        threads: How many ask at once.
        stop_at: Where to stop, the first time: ``before`` the refresh token is sent, ``between``
            the answer and its saving, or ``after`` that; it tells so, and goes on at a line.
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
    ) -> None:
        self._stop_at = stop_at
        self._client = Client(
            Provider(issuer=issuer, token_endpoint=f"{issuer}/token"),
            client_id=client_id,
            client_secret=client_secret,
            transport=_Stopping(self._stop),
            retry=RetryPolicy(attempts=1),  # what is tried again has tests of its own
        )
        self._store = None if store is None else open_store(*store)
        self._credential = self._client.credential(
            grant_type=GRANT_TYPE, subject="fleet", store=self._store, on_token=self._told
        )
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)
        self._barrier = threading.Barrier(threads)

    def ask(self, timeout: float | None = None) -> dict[str, Any]:
        """Let every thread ask for a token at one moment."""
        return self._all(self._ask, timeout)

    def poll(self, rounds: int) -> dict[str, Any]:
        """Let every thread ask again and again until it has seen so many tokens."""
        return self._all(self._poll, rounds)

    def invalidate(self, refused: list[str]) -> None:
        """Say that the token did not work, where it is one of these."""
        token = self._credential.token()
        if token.access_token in refused:
            self._credential.invalidate(token)

    def quiet(self) -> str | None:
        """Wait until nothing runs in the background; what went wrong there."""
        for thread in threading.enumerate():
            if thread.name == "grantway-refresh":
                thread.join()
        error = self._credential.last_error
        return None if error is None else type(error).__name__

    def accept(self, **token: Any) -> None:
        """Take a token from a login."""
        self._credential.accept(Token(**token))

    def limit(self, size: int | None) -> None:
        """Let no file grow past so many bytes, as on a full disk."""
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    def obey(self, order: dict[str, Any]) -> Any:
        """Do what a line says."""
        CLOCK.passed += order.pop("pass", 0.0)
        CLOCK.wrong = order.pop("wrong", CLOCK.wrong)
        return getattr(self, order.pop("do"))(**order)

    def close(self) -> None:
        """Leave nothing open."""
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

    def _ask(self, timeout: float | None) -> tuple[list[str], str]:
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
        asked = time.time()
        token = self._credential.token(timeout)
        # Not by the time it is now: a busy machine may have stopped this thread meanwhile.
        if token.expires_at is None or token.expires_at <= asked:
            raise AssertionError("a token was given out past its end")
        return token.access_token

    def _told(self, _token: Token) -> None:
        self._stop("after")

    def _stop(self, place: str) -> None:
        if place == self._stop_at:
            self._stop_at = ""
            say({"at": place})
            sys.stdin.readline()  # the main thread waits for this one, and does not read


class _Stopping(RequestsTransport):
    """Stops before a request leaves, and once more when its answer is there."""

    def __init__(self, stop: Any) -> None:
        super().__init__()
        self._stop = stop

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        self._stop("before")
        answer = super().send(request, deadline)
        self._stop("between")
        return answer


def say(what: object) -> None:
    """One line to who gives the orders."""
    print(json.dumps(what), flush=True)


def main() -> None:
    """Obey until the last order."""
    with ExitStack() as open_things:
        worker = Worker(**json.loads(sys.stdin.readline()))
        open_things.callback(worker.close)
        say({"ready": os.getpid()})
        for line in iter(sys.stdin.readline, ""):
            say(worker.obey(json.loads(line)))


if __name__ == "__main__":
    main()
