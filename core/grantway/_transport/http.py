"""HTTP requests and responses, and checks of URLs. Imports no HTTP library."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from grantway._exceptions import ConfigurationError, InsecureEndpointError
from grantway._processes.copies import Value

if TYPE_CHECKING:
    from .deadline import Deadline

#: Statuses of requests that the server did not process (425: RFC 8470 section 5.2).
REFUSED = frozenset({425, 429, 503})
#: First status of server errors, after which the outcome of the request is unknown.
SERVER_FAULT = 500
_SUCCESS_FROM, _SUCCESS_TO = 200, 300


@dataclass(slots=True)
class HttpRequest(Value):
    """An HTTP request. The repr omits headers and body, which contain secrets."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class HttpResponse(Value):
    """An HTTP response. Header names are in lower case; repeated headers are joined by commas."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def succeeded(self) -> bool:
        """Whether the status means success (2xx)."""
        return _SUCCESS_FROM <= self.status < _SUCCESS_TO


class Transport(Protocol):
    """Sends one request and returns its response, except redirects.

    For event loops, a transport may also have ``async def send_async(request, deadline)`` and
    ``async def aclose()``. Without ``send_async``, each asynchronous call runs ``send`` in a new
    thread; cancelling it does not stop the thread.
    """

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """Send a request once, without retries or redirects.

        Raises:
            ConnectionFailedError: nothing reached the server.
            OutcomeUnknownError: the request may have reached the server, and there was no response.
            RedirectRefusedError: the server returned a redirect.
            ResponseTooLargeError: the response exceeds the size limit.
        """
        ...

    def close(self) -> None:
        """Close idle connections."""
        ...


def require_secure(url: str, name: str) -> str:
    """Check that an endpoint is https, or http on this machine (RFC 6749 section 3.2, RFC 8252).

    Args:
        url: The endpoint.
        name: The name of the endpoint, for errors.

    Returns:
        The host and port.

    Raises:
        InsecureEndpointError: the URL is plain http to another machine.
        ConfigurationError: the URL is not absolute http or https, or contains credentials.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except (ValueError, AttributeError, TypeError):
        parts, host = None, None
    if parts is None or not host or parts.scheme not in ("http", "https"):
        raise ConfigurationError(
            f'{name}: must be an absolute https address, like "https://login.example.com".'
        )
    if parts.username is not None or parts.fragment or not url.isprintable() or " " in url:
        raise ConfigurationError(
            f"{name}: must have no user name, password, fragment or space in the address."
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise InsecureEndpointError(
            f"{name}: http://{host} would send secrets in the clear; use https. Plain http is "
            "accepted on this machine only (127.0.0.1, [::1], localhost)."
        )
    return parts.netloc


def is_web_address(url: str) -> bool:
    """Return whether a provider's URL may be shown to users or opened in a browser.

    It must be an absolute http or https URL with a host, without credentials, spaces or
    unprintable characters.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and bool(host)
        and parts.username is None
        and url.isprintable()
        and " " not in url
        and "\\" not in url  # browsers treat it as a slash, which changes the host
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, in seconds or as a date (RFC 9110 10.2.3).

    Args:
        headers: Headers of a response, lower-case names.

    Returns:
        Seconds from now, never negative; None if the header is missing or malformed.
    """
    value = headers.get("retry-after")
    if value is None:
        return None
    from urllib3.exceptions import InvalidHeader  # noqa: PLC0415 - only failures need it
    from urllib3.util import Retry  # noqa: PLC0415

    reader = Retry()
    reader.retry_after_max = sys.maxsize  # callers limit the wait
    try:
        return max(0.0, float(reader.parse_retry_after(value)))
    except (InvalidHeader, ValueError, OverflowError):  # a year or number out of range
        return None


def can_travel(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8; lone surrogates cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is the loopback of this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
