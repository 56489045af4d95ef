"""Read the metadata of protected resources."""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit

from grantway._exceptions import RedirectRefusedError
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse, Transport

#: Maximum number of redirects of a document.
_REDIRECTS = 3
_PORTS = {"http": 80, "https": 443}


def read_document(
    address: str, transport: Transport, deadline: Deadline, path: str = "/"
) -> HttpResponse:
    """Return the response to a request for a document.

    Redirects within the origin are followed, such as those that add or remove a slash: the host
    could have sent the document itself. Neither the request nor a document is secret.

    Args:
        address: URL of the document.
        transport: Sends the request.
        deadline: The deadline for all requests.
        path: Part of the path that the target of a redirect must have.

    Raises:
        RedirectRefusedError: The redirect leads to another origin, or there are too many.
        TransportError: There is no response.
    """
    for remaining in range(_REDIRECTS, -1, -1):
        try:
            request = HttpRequest("GET", address, {"Accept": "application/json"})
            return transport.send(request, deadline)
        except RedirectRefusedError as redirect:
            target = urljoin(address, redirect.location)
            same = path in urlsplit(target).path and _same_origin(target, address)
            if not remaining or not redirect.location or not same:
                raise
            address = target
    raise AssertionError  # the last redirect was raised


def origin_of(parts: SplitResult) -> tuple[str, str, int | None]:
    """Return the scheme, host and port of a URL.

    Raises:
        ValueError: The URL has no host, an invalid host or port, or a user.
    """
    if parts.username is not None or not parts.hostname:
        raise ValueError(parts.scheme)
    host = parts.hostname
    # As HTTP libraries encode it, so that "bücher.example" is the same host for all.
    host = host if host.isascii() else host.encode("idna").decode()
    return parts.scheme, host, _PORTS.get(parts.scheme) if parts.port is None else parts.port


def _same_origin(one: str, other: str) -> bool:
    try:
        return origin_of(urlsplit(one)) == origin_of(urlsplit(other))
    except ValueError:
        return False
