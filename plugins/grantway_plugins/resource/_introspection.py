"""Ask an issuer about its tokens (RFC 7662)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from grantway._exceptions import ConfigurationError, GrantwayError
from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway._requests.client import Client

from ._errors import InvalidTokenError, VerificationUnavailableError
from ._issuer_status import Failing, IssuerStatus
from ._token_cache import TokenCache
from ._verified_token import VerifiedToken

#: Maximum number of requests at once, and of tokens that wait for one.
THREADS, WAITING = 8, 256
#: Minimum seconds between two attempts to create the client.
PAUSE = 10.0
#: Seconds for which an issuer counts as unavailable after a question without answer.
FAILING = 30.0

#: The token, why it is not accepted, or why the issuer gave no response.
_Outcome = VerifiedToken | InvalidTokenError | str


_LOCK = fork_safe_lock()


class _Work:
    """The threads and open questions of one process. They do not survive a fork."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="grantway-introspection")
        self.creating = threading.Lock()
        self.asking: dict[bytes, Future[_Outcome]] = {}
        self.closed = False


class Introspector(OneProcess):
    """Asks an issuer about its tokens, in threads, and once for all requests with a token.

    Args:
        issuer: The issuer, for errors.
        client: The client that asks, or a function that creates it.
        judge: Returns the token that the members of a response describe, or raises
            ``InvalidTokenError``.
        cache: Results of verifications.
        asked: Is called with ``ok`` or ``failed`` after each question.
    """

    def __init__(
        self,
        issuer: str,
        client: Client | Callable[[], Client],
        judge: Callable[[Mapping[str, Any]], VerifiedToken],
        cache: TokenCache,
        asked: Callable[[str], None],
    ) -> None:
        self._issuer, self._judge, self._cache = issuer, judge, cache
        self._asked, self._failing, self._last_failure = asked, Failing(), float("-inf")
        self._client = client if isinstance(client, Client) else None
        self._create = None if isinstance(client, Client) else client
        self._problem, self._failed_at = "", float("-inf")
        self._work = _Work()

    def verify(
        self, token: str, digest: bytes
    ) -> Generator[Future[_Outcome], _Outcome, VerifiedToken]:
        """Return a token that is not in the cache, and keep the result there.

        Args:
            token: The token.
            digest: Identifies the token in the cache.

        Raises:
            InvalidTokenError: The token is not accepted.
            VerificationUnavailableError: The issuer gave no response, or too many tokens wait.
        """
        outcome = yield self._ask(token, digest)
        if isinstance(outcome, VerifiedToken):
            return outcome
        if isinstance(outcome, InvalidTokenError):
            raise InvalidTokenError(str(outcome), issuer=self._issuer)
        raise VerificationUnavailableError(
            f"Introspection at {self._issuer} failed: {outcome}.", issuer=self._issuer
        )

    def problem(self) -> str:
        """Return why the client cannot be created; empty if it can. May block."""
        try:
            self._connected()
        except GrantwayError as error:
            return error.message.rstrip(".")
        return ""

    def status(self) -> IssuerStatus:
        """Return whether the issuer answered lately, without blocking.

        It starts to create the client if there is none. A failure counts for ``FAILING`` seconds,
        so that a program that no longer gets requests because of this status recovers.
        """
        if self._client is None and time.monotonic() - self._failed_at >= PAUSE:
            with suppress(RuntimeError):  # no thread can be started
                self._own_work().threads.submit(self.problem)
        failing = time.monotonic() - self._last_failure < FAILING
        available = self._client is not None and not failing
        return IssuerStatus(available, self._failing.problem, self._failing.since)

    def close(self) -> None:
        """Stop the threads, and close the client if this object created it.

        Questions for which no thread was free fail, as do later ones.
        """
        work = self._own_work()
        work.closed = True
        work.threads.shutdown(wait=False)
        if self._client is not None and self._create is not None:
            self._client.close()

    def _ask(self, token: str, digest: bytes) -> Future[_Outcome]:
        with _LOCK:
            work = self._own_work()
            asking = work.asking.get(digest)
            if asking is not None:
                return asking
            asking = Future[_Outcome]()
            known = self._cache.find(digest)  # its question may have ended a moment ago
            if known is not None:
                asking.set_result(known)
                return asking
            if len(work.asking) >= THREADS + WAITING:
                raise VerificationUnavailableError(
                    f"Too many tokens wait for introspection at {self._issuer}.",
                    issuer=self._issuer,
                )
            work.asking[digest] = asking
        asking.set_running_or_notify_cancel()  # a request that stops waiting cancels nothing
        try:
            work.threads.submit(self._run, work, token, digest, asking)
        except RuntimeError:  # no thread can be started, or the threads were stopped
            self._finish(work, digest, asking, "no thread can be started")
        return asking

    def _own_work(self) -> _Work:
        """Return the threads and questions of this process."""
        with _LOCK:
            if self._work.process != os.getpid():
                self._work = _Work()
            return self._work

    def _run(self, work: _Work, token: str, digest: bytes, asking: Future[_Outcome]) -> None:
        outcome: _Outcome
        if work.closed:
            self._finish(work, digest, asking, "the resource was closed")
            return
        try:
            members = self._connected().call(
                "introspection", token=token, token_type_hint="access_token"
            )
            outcome = self._judge(members)
        except InvalidTokenError as error:
            outcome = error
        except GrantwayError as error:
            outcome = f"{error.code}, {error.message.rstrip('.')}"
        except Exception as error:  # noqa: BLE001 - requests must not wait forever
            outcome = f"unexpected {type(error).__name__}"
        failed = isinstance(outcome, str)
        self._failing.record(outcome if isinstance(outcome, str) else "")
        self._last_failure = time.monotonic() if failed else float("-inf")
        self._asked("failed" if failed else "ok")
        self._finish(work, digest, asking, outcome)

    def _finish(
        self, work: _Work, digest: bytes, asking: Future[_Outcome], outcome: _Outcome
    ) -> None:
        with _LOCK:
            if not isinstance(outcome, str):
                self._cache.keep(digest, outcome)
            del work.asking[digest]
        asking.set_result(outcome)

    def _connected(self) -> Client:
        """Return the client; create it first, but not again immediately after a failure."""
        with self._own_work().creating:
            if self._client is None:
                assert self._create is not None  # one of them is given
                if time.monotonic() - self._failed_at < PAUSE:
                    raise ConfigurationError(self._problem)
                try:
                    self._client = self._create()
                except GrantwayError as error:
                    self._problem, self._failed_at = error.message, time.monotonic()
                    self._failing.record(error.message.rstrip("."))
                    raise
                self._failing.record("")
            return self._client
