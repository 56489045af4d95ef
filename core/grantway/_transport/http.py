"""One HTTP request and its answer, and where a secret may be sent. Loads no HTTP library."""

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

#: Statuses with which a server says that it did nothing (RFC 8470 section 5.2 for 425).
REFUSED = frozenset({425, 429, 503})
#: From here on a status says that the server failed, and not what came of the request.
SERVER_FAULT = 500
_SUCCESS_FROM, _SUCCESS_TO = 200, 300


@dataclass(frozen=True, slots=True)
class HttpRequest(Value):
    """One request. Headers and body hold secrets, so they stay out of the repr."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class HttpResponse(Value):
    """One answer: status, headers (lower-case names; repeated ones joined by a comma), body."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def succeeded(self) -> bool:
        """Whether the status means success (2xx)."""
        return _SUCCESS_FROM <= self.status < _SUCCESS_TO


class Transport(Protocol):
    """Sends one request and returns one answer of any status but a redirect."""

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """Send once; never retry, never follow a redirect.

        Raises:
            ConnectionFailedError: nothing reached the server.
            OutcomeUnknownError: the request may have reached it, and no answer came back.
            RedirectRefusedError: the server pointed elsewhere.
            ResponseTooLargeError: the answer is past the cap.
        """
        ...

    def close(self) -> None:
        """Close idle connections."""
        ...


def require_secure(url: str, name: str) -> str:
    """Check that an endpoint is https, or http on this machine (RFC 6749 section 3.2, RFC 8252).

    Args:
        url: The endpoint.
        name: What it is called, for the error.

    Returns:
        Its host and port.

    Raises:
        InsecureEndpointError: plain http to another machine.
        ConfigurationError: not an absolute http or https address, or one with credentials in it.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except (ValueError, AttributeError, TypeError):
        parts, host = None, None
    if parts is None or not host or parts.scheme not in ("http", "https"):
        raise ConfigurationError(
            f'{name}: must be an absolute https address, like "https://example.com/token".'
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
    """Return whether a provider's address is one to show to people or open in a browser.

    That is an absolute http or https address with a host, and without credentials, spaces or
    characters that do not show.
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
        and "\\" not in url  # browsers read it as a slash, so the host would be another
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, in seconds or as a date (RFC 9110 10.2.3).

    Args:
        headers: Headers of a response, lower-case names.

    Returns:
        Seconds from now, never negative; None where there is no such header or it is malformed.
    """
    value = headers.get("retry-after")
    if value is None:
        return None
    from urllib3.exceptions import InvalidHeader  # noqa: PLC0415 - only failures need it
    from urllib3.util import Retry  # noqa: PLC0415

    reader = Retry()
    reader.retry_after_max = sys.maxsize  # callers decide how long they wait
    try:
        return max(0.0, float(reader.parse_retry_after(value)))
    except (InvalidHeader, ValueError, OverflowError):  # a year or a number past all bounds
        return None


def can_travel(text: str) -> bool:
    """Whether UTF-8 can carry a text; half a character (a lone surrogate) it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
