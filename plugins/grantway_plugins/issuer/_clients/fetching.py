"""Fetch JSON documents that strangers choose, with limits."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from grantway._exceptions import GrantwayError
from grantway._processes.copies import OneProcess
from grantway._processes.driving import drive, drive_async
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from grantway._transport.transport import HttpTransport

#: Time limit for one document, in seconds.
DEADLINE = 5.0
#: Maximum size of a document, in bytes.
MAX_DOCUMENT = 65_536
#: Seconds for which a document is used without being fetched again, at least and at most.
LEAST_AGE, MOST_AGE = 60.0, 86_400.0
_DEFAULT_AGE = 3600.0
_OK = 200
_MAX_AGE = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
_NO_STORE = re.compile(r"(?:^|,)\s*no-(?:store|cache)", re.IGNORECASE)


class FetchError(Exception):
    """A document could not be fetched. The message says why, without parts of the document.

    Attributes:
        final: Whether the server responded that there is no such document.
    """

    def __init__(self, problem: str, *, final: bool = False) -> None:
        super().__init__(problem)
        self.final = final


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetched document; ``max_age`` is the time for which it may be used, in seconds."""

    body: bytes = field(repr=False)
    max_age: float


class Fetcher(OneProcess):
    """Fetches documents of public hosts, and of the given private ones.

    Redirects are not followed. Responses are limited in size and time.

    Args:
        private_hosts: Hosts that may be on private networks.
    """

    def __init__(self, private_hosts: tuple[str, ...] = ()) -> None:
        self._public = _transport(public_only=True)
        self._private = _transport(public_only=False)
        self._private_hosts = private_hosts

    async def fetch(self, url: str) -> Fetched:
        """Fetch a document in the running event loop.

        Raises:
            FetchError: the document cannot be fetched.
        """
        request = _request(url)
        return await drive_async(
            self._steps(url, public_only=True),
            lambda transport: transport.send_async(request, Deadline(DEADLINE)),
        )

    def read(self, url: str, *, public_only: bool) -> Fetched:
        """Fetch a document as ``fetch`` does, and block the thread.

        Args:
            url: URL of the document.
            public_only: Whether a stranger chose the URL, so that it must not be on a private
                network.
        """
        request = _request(url)
        return drive(
            self._steps(url, public_only=public_only),
            lambda transport: transport.send(request, Deadline(DEADLINE)),
        )

    def _steps(
        self, url: str, *, public_only: bool
    ) -> Generator[HttpTransport, HttpResponse, Fetched]:
        """Yield the transport that sends the request, and return the document."""
        is_private = not public_only or urlsplit(url).hostname in self._private_hosts
        try:
            response = yield self._private if is_private else self._public
        except GrantwayError as error:
            problem = error.message.rstrip(".")
        else:
            return _checked(response)
        raise FetchError(problem)

    def close(self) -> None:
        """Close idle connections."""
        self._public.close()
        self._private.close()


def _request(url: str) -> HttpRequest:
    return HttpRequest("GET", url, {"Accept": "application/json"})


def _transport(*, public_only: bool) -> HttpTransport:
    return HttpTransport(
        connect_timeout=DEADLINE / 2,
        read_timeout=DEADLINE / 2,
        max_response=MAX_DOCUMENT,
        public_only=public_only,
    )


def _checked(response: HttpResponse) -> Fetched:
    if response.status != _OK:
        final = response.status in {404, 410}
        raise FetchError(f"the server returned status {response.status}", final=final)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise FetchError("the document is not application/json", final=True)
    return Fetched(response.body, _max_age(response.headers))


def _max_age(headers: Mapping[str, str]) -> float:
    control = headers.get("cache-control", "")
    if _NO_STORE.search(control):
        return LEAST_AGE
    found = _MAX_AGE.search(control)
    return min(max(float(found[1]), LEAST_AGE), MOST_AGE) if found else _DEFAULT_AGE
